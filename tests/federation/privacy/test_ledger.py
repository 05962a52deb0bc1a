"""Ledger entries: every event survives them, and histories keep to their unit and data set."""

from __future__ import annotations

import pytest

from federation.errors import InputError
from federation.privacy.events import (
    CLIENT,
    LABEL,
    RECORD,
    DistributedGaussian,
    Event,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
)
from federation.privacy.ledger import (
    Expenditure,
    expenditure_body,
    expenditure_of,
    expenditures,
    history_of,
)
from federation.record_chain import Entry, Head, read_chain

EVENTS: tuple[Event, ...] = (
    SampledGaussian(1.1, 0.02, 40),
    GaussianRelease(0.02),
    DistributedGaussian(1000.0, 3000.0, 3, 10_000),
    RandomisedResponse(2.0),
    Exact(),
)


def entries_of(*bodies: dict[str, object]) -> list[Entry]:
    """These bodies as a chain's entries, written and read back."""
    head, lines = Head(), []
    for body in bodies:
        head, entry = head.append(body)
        lines.append(entry.line())
    return read_chain(lines, "ledger")[1]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_survives_its_entry(event: Event) -> None:
    """Mechanism, parameters, unit, run and words are the same after reading."""
    spent = Expenditure(event, RECORD, "run 1", "an update to the sum")
    body = expenditure_body(spent, "records")
    assert body["unit"] == "one borrower's record"
    assert expenditure_of(entries_of(body)[0]) == spent


def test_a_history_spans_runs_and_keeps_to_its_unit_and_data_set() -> None:
    """Events of the same labels add up over runs; other labels and other units do not count."""
    entries = entries_of(
        *(
            expenditure_body(Expenditure(event, unit, run, "sums"), dataset)
            for event, unit, run, dataset in (
                (EVENTS[1], LABEL, "run 1", "A"),
                (EVENTS[4], LABEL, "run 2", "B"),
                (EVENTS[0], RECORD, "run 2", "A"),
                (EVENTS[3], LABEL, "run 3", "A"),
            )
        )
    )
    spent = expenditures(entries, LABEL, "A")
    assert [one.run for one in spent] == ["run 1", "run 3"]
    assert history_of(spent, LABEL).events == (EVENTS[1], EVENTS[3])
    assert history_of(expenditures(entries, CLIENT, "A"), CLIENT).events == ()
    with pytest.raises(ValueError, match="per one borrower's label and per one borrower's record"):
        history_of(spent, RECORD)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "label-release"}, "line 1: an entry of kind 'label-release' is no privacy event"),
        ({"unit": "one household"}, "line 1: not a whole privacy event"),
        ({"event": {}}, "line 1: the mechanism 'None' is not known to this version"),
        ({"event": {"mechanism": "gaussian"}}, "line 1: not an event of the mechanism 'gaussian'"),
        ({"event": {"mechanism": "gaussian", "rho": -1}}, "rho must be finite and not negative"),
        ({"event": {"mechanism": "gaussian", "rho": "1"}}, "not an event of the mechanism"),
        ({"event": {"mechanism": "exact", "rho": 1}}, "not an event of the mechanism 'exact'"),
        ({"event": 3}, "line 1: not a whole privacy event"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(change: dict[str, object], sentence: str) -> None:
    """Leaving it out would make ε too small; the line is named."""
    body = expenditure_body(Expenditure(EVENTS[1], LABEL, "run", "sums"), "A")
    with pytest.raises(InputError, match=f"ledger.jsonl, .*{sentence}"):
        expenditures(entries_of(body | change), LABEL, "another", "ledger.jsonl")

"""The privacy ledger: every expenditure of a party's data, across runs, as entries of a chain.

The ledger is a record chain in the party's vault. An entry holds an event, the unit of privacy and
the name of the data set; histories are read back by both, and never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from federation.errors import InputError
from federation.privacy.events import Event, Unit, event_from_json, event_to_json
from federation.privacy.history import PrivacyHistory
from federation.record_chain import Entry

KIND = "privacy-event"


@dataclass(frozen=True)
class Expenditure:
    """One event with its circumstances.

    Attributes:
        event: which mechanism, with which parameters.
        unit: whom it protects.
        run: the run it belongs to.
        what: in words, what was released and to whom.
    """

    event: Event
    unit: Unit
    run: str
    what: str


def expenditure_body(spent: Expenditure, dataset: str) -> dict[str, Any]:
    """An expenditure as the content of a ledger entry; `dataset` names the data in this ledger."""
    return {
        "kind": KIND,
        "unit": spent.unit.value,
        "dataset": dataset,
        "run": spent.run,
        "what": spent.what,
        "event": event_to_json(spent.event),
    }


def expenditure_of(entry: Entry, where: str = "the privacy ledger") -> Expenditure:
    """The expenditure of a ledger entry.

    Raises:
        InputError: names `where` and the line; the entry is none, or of an unknown mechanism.
    """
    place, body = f"{where}, line {entry.index + 1}", entry.body
    try:
        if body["kind"] != KIND:
            raise InputError(f"{place}: an entry of kind '{body['kind']}' is no privacy event")
        unit, run, what = Unit(body["unit"]), str(body["run"]), str(body["what"])
        return Expenditure(event_from_json(body["event"], place), unit, run, what)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place}: not a whole privacy event ({error!r})") from error


def expenditures(
    entries: Iterable[Entry], unit: Unit, dataset: str, where: str = "the privacy ledger"
) -> tuple[Expenditure, ...]:
    """What was spent of one data set, for one unit, in order.

    Every entry is read, so that one that this version can't read is never left out of an ε.

    Raises:
        InputError: an entry is not one of this version's.
    """
    return tuple(
        spent
        for entry in entries
        if (spent := expenditure_of(entry, where)).unit == unit
        and entry.body.get("dataset") == dataset
    )


def history_of(spent: Iterable[Expenditure], unit: Unit) -> PrivacyHistory:
    """The history that these expenditures of one unit make.

    Raises:
        ValueError: one is of another unit.
    """
    events = []
    for expenditure in spent:
        if expenditure.unit != unit:
            raise ValueError(f"guarantees per {expenditure.unit} and per {unit} never add up")
        events.append(expenditure.event)
    return PrivacyHistory(unit, tuple(events))

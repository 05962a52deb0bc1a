"""The privacy ledger: the whole history counts, and the budget is a hard stop."""

from __future__ import annotations

import math

import pytest

from federation.errors import InputError
from federation.privacy.accountant import LabelRelease, epsilon_of, rho_for
from federation.privacy.ledger import LabelHistory, release_body
from federation.record_chain import Entry, Head

DELTA = 1e-5
NOISY = LabelRelease(0.02, "run 1", "noisy sums to platform")
EXACT = LabelRelease(math.inf, "run 2", "exact sums to platform")


def entries_of(*bodies: dict[str, object]) -> list[Entry]:
    """These bodies as a chain's entries."""
    head, entries = Head(), []
    for body in bodies:
        head, entry = head.append(body)
        entries.append(entry)
    return entries


def test_a_history_spans_runs_and_keeps_to_its_data_set() -> None:
    """Releases of the same labels add up over runs; other labels and other entries do not count."""
    entries = entries_of(
        release_body(NOISY, "labels A"),
        {"kind": "something else"},
        release_body(EXACT, "labels B"),
        release_body(LabelRelease(0.03, "run 3", "more"), "labels A"),
    )
    history = LabelHistory.of(entries, "labels A")
    assert [release.run for release in history.releases] == ["run 1", "run 3"]
    assert history.epsilon(DELTA) == pytest.approx(epsilon_of(0.05, DELTA))
    assert math.isinf(LabelHistory.of(entries, "labels B").epsilon(DELTA))
    assert LabelHistory.of(entries, "labels C").epsilon(DELTA) == 0.0


def test_a_release_survives_its_entry() -> None:
    """ρ, run and words are the same after reading, exact releases too."""
    for release in (NOISY, EXACT):
        body = release_body(release, "labels")
        assert LabelHistory.of(entries_of(body), "labels").releases == (release,)
        assert body["unit"] == "one borrower's label"


def test_the_sentence_names_the_unit_and_the_whole_history() -> None:
    """One, several, and exact among them: no ε is claimed once sums were exact."""
    one = LabelHistory((NOISY,))
    assert one.sentence(DELTA) == (
        f"1 release of label sums: ε = {epsilon_of(0.02, DELTA):.2f} at δ = 1e-05 "
        "per one borrower's label"
    )
    assert one.after(NOISY).sentence(DELTA).startswith("2 releases of label sums: together ε = ")
    assert LabelHistory(()).sentence(DELTA) == "no label sums were ever released"
    assert LabelHistory((EXACT,)).sentence(DELTA) == (
        "1 release of exact label sums: no ε bounds what it gives away about one borrower's label"
    )
    both = one.after(EXACT).sentence(DELTA)
    assert both.startswith("2 releases of label sums, 1 of them exact: no ε bounds")
    assert "ε =" not in both


def test_the_budget_stops_the_release_that_would_pass_it() -> None:
    """Releases fit until the history with the next one is over; the error has all the numbers."""
    share = LabelRelease(rho_for(2.0, DELTA) / 3, "run", "sums")
    history = LabelHistory(())
    for _ in range(3):
        history.check_budget(share, 2.0, DELTA)
        history = history.after(share)
    with pytest.raises(InputError, match=r"is 2 .* ε = 2\.00 is spent, .* make it ε = 2\.\d\d"):
        history.check_budget(share, 2.0, DELTA)
    history.check_budget(share, None, DELTA)


def test_no_budget_has_room_for_exact_sums() -> None:
    """Exact sums have no ε, so any budget refuses them, before and after."""
    with pytest.raises(InputError, match=r"exact sums \(no ε\)"):
        LabelHistory(()).check_budget(EXACT, 1e6, DELTA)
    with pytest.raises(InputError, match="no budget can be kept any more"):
        LabelHistory((EXACT,)).check_budget(NOISY, 50.0, DELTA)

"""What another rate card would have charged, per lease and month."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.record_chain import Head
from iot.rent.cards import RateCard
from iot.rent.entry import RentEntry, content_after, entry_after
from iot.rent.errors import RentRefused
from iot.rent.month import Month
from iot.rent.rating import rate
from iot.rent.what_if import what_if
from iot.units import DAY, LeaseId, Millis
from tests.iot.leased_machine import card, cards, lease, worked

FIRST = lease()
SECOND = replace(lease(), id=LeaseId("lease-2"))
LEASES = {FIRST.id: FIRST, SECOND.id: SECOND}
SAMPLES = {
    FIRST.id: worked(1, 100, late_share=0.2),
    SECOND.id: worked(2, 100),
}


def history(terms: RateCard) -> list[RentEntry]:
    """Three months of two leases, posted at their end and again 50 days later."""
    head = Head()
    posted: list[RentEntry] = []
    for leased in LEASES.values():
        for month in (Month(2026, 1), Month(2026, 2), Month(2026, 3)):
            for after in (0, 50 * DAY):
                known_at = Millis(month.end(0) + after)
                rating = rate(leased, cards(terms), SAMPLES[leased.id], month, known_at)
                same = [
                    one.content
                    for one in posted
                    if (one.content.lease, one.content.month) == (leased.id, str(month))
                ]
                content = content_after(same, rating)
                if content is not None:
                    posted.append(entry_after(head, content))
                    head = Head(head.length + 1, posted[-1].digest)
    return posted


HISTORY = history(card())


def test_the_same_card_would_have_charged_the_same() -> None:
    assert any(entry.content.kind == "adjustment" for entry in HISTORY)
    found = what_if(HISTORY, LEASES, card())
    assert [(one.lease, one.month) for one in found.comparisons] == [
        (leased, f"2026-0{number}") for leased in ("lease-1", "lease-2") for number in (1, 2, 3)
    ]
    assert all(one.difference_minor == 0 for one in found.comparisons)
    assert found.billed_minor == sum(entry.content.amount_minor for entry in HISTORY) > 0


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.integers(1, 9_999).map(lambda cents: f"{cents // 100}.{cents % 100:02}"),
    st.integers(0, 12),
    st.integers(0, 3_000),
)
def test_it_is_what_billing_with_the_other_card_gives(hourly: str, free: int, floor: int) -> None:
    other = card(version=2, hourly=hourly, free_days=free, floor=str(floor))
    found = what_if(HISTORY, LEASES, other)
    really: dict[tuple[str, str], int] = {}
    for entry in history(other):
        key = entry.content.lease, entry.content.month
        really[key] = really.get(key, 0) + entry.content.amount_minor
    assert {(one.lease, one.month): one.would_minor for one in found.comparisons} == really
    totals = found.by_lease()
    assert sum(billed for billed, _ in totals.values()) == found.billed_minor
    assert sum(would for _, would in totals.values()) == found.would_minor
    assert found.difference_minor == found.would_minor - found.billed_minor


def test_a_dearer_card_would_have_charged_more() -> None:
    found = what_if(HISTORY, LEASES, card(version=2, fixed="350", cap=None))
    assert all(one.difference_minor >= 10_000 for one in found.comparisons)


def test_other_currencies_and_unknown_leases_are_refused() -> None:
    with pytest.raises(RentRefused, match=r"entry 0 .* is in EUR; .* is in CHF"):
        what_if(HISTORY, LEASES, card(currency="CHF"))
    with pytest.raises(RentRefused, match="'lease-2' of the ledger is not listed"):
        what_if(HISTORY, {FIRST.id: FIRST}, card())
    assert what_if([], LEASES, card()).comparisons == ()

"""What another rate card would have charged for the hours that were billed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iot.fleet.fleet import Lease
from iot.rent.breakdown import Breakdown, read_breakdown
from iot.rent.cards import RateCard
from iot.rent.entry import RentEntry
from iot.rent.errors import RentRefused
from iot.rent.month import local_day
from iot.rent.pricing import Millihours, price
from iot.units import LeaseId


@dataclass(frozen=True)
class Comparison:
    """One lease and month under both cards; amounts in minor units.

    Attributes:
        millihours: that the other card would charge, thousandths of an hour.
        billed_minor: all entries of the month, adjustments included.
        would_minor: under the other card.
    """

    lease: LeaseId
    month: str
    millihours: Millihours
    billed_minor: int
    would_minor: int

    @property
    def difference_minor(self) -> int:
        """What the lessee would have paid more."""
        return self.would_minor - self.billed_minor


@dataclass(frozen=True)
class WhatIf:
    """A rate card over history: comparisons by lease, then month."""

    card: RateCard
    comparisons: tuple[Comparison, ...]

    @property
    def billed_minor(self) -> int:
        return sum(one.billed_minor for one in self.comparisons)

    @property
    def would_minor(self) -> int:
        return sum(one.would_minor for one in self.comparisons)

    @property
    def difference_minor(self) -> int:
        """What all lessees would have paid more."""
        return self.would_minor - self.billed_minor

    def by_lease(self) -> dict[LeaseId, tuple[int, int]]:
        """Billed, and what would have been, of each lease, minor units."""
        totals: dict[LeaseId, tuple[int, int]] = {}
        for one in self.comparisons:
            billed, would = totals.get(one.lease, (0, 0))
            totals[one.lease] = (billed + one.billed_minor, would + one.would_minor)
        return totals


def what_if(
    history: Iterable[RentEntry], leases: Mapping[LeaseId, Lease], card: RateCard
) -> WhatIf:
    """Price the hours of a ledger with another card, whatever its `since`.

    Hours are those of each month's last entry, estimates as they were billed: what another card
    would estimate, and whether it subtracts idle hours, is left aside. Its free days hold.

    Raises:
        RentRefused: a lease is not listed, or was billed in another currency.
    """
    billed: dict[tuple[LeaseId, str], int] = {}
    last: dict[tuple[LeaseId, str], RentEntry] = {}
    for entry in history:
        content = entry.content
        if content.currency != card.currency:
            raise RentRefused(
                f"Rent ledger, {entry.place} is in {content.currency}; rate card '{card.id}' is in "
                f"{card.currency}, and the two can't be compared."
            )
        key = content.lease, content.month
        billed[key] = billed.get(key, 0) + content.amount_minor
        last[key] = entry
    comparisons = []
    for key in sorted(billed):
        lease = leases.get(key[0])
        if lease is None:
            raise RentRefused(f"Lease '{key[0]}' of the ledger is not listed in the fleet file.")
        hours = _charged(read_breakdown(last[key]), lease, card)
        comparisons.append(Comparison(*key, hours, billed[key], price(card, hours).amount_minor))
    return WhatIf(card, tuple(comparisons))


def _charged(month: Breakdown, lease: Lease, card: RateCard) -> Millihours:
    first_day = local_day(lease.start, lease.utc_offset_minutes)
    return Millihours(
        sum(
            day.measured + day.provisional
            for day in month.days
            if (day.day - first_day).days >= card.free_days
        )
    )

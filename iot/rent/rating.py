"""One month of one lease, metered and priced: what a posting, a replay and a preview start from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from federation.record_chain import canonical_json
from iot.codec.sample import Sample
from iot.fleet.fleet import Lease
from iot.rent.cards import RateCard, RateCards
from iot.rent.errors import RentRefused
from iot.rent.metering import MonthUse, month_use
from iot.rent.month import Month
from iot.rent.pricing import Price, price
from iot.units import Millis


@dataclass(frozen=True)
class Rating:
    """A month's rent as it is known at a moment.

    Attributes:
        known_at: samples received later are not in it.
    """

    lease: Lease
    month: Month
    card: RateCard
    use: MonthUse
    price: Price
    known_at: Millis

    @property
    def input_hash(self) -> str:
        """SHA-256 over all that the rent follows from: lease, month, card and hours by day.

        Late samples that change no day's hours leave it as it is.
        """
        content = {
            "lease": self.lease.id,
            "month": str(self.month),
            "card": self.card.digest,
            "days": [
                [str(day.day), day.measured, day.provisional, day.free] for day in self.use.days
            ],
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    @property
    def is_over(self) -> bool:
        """Whether the month, or the lease in it, has ended."""
        end = self.month.end(self.lease.utc_offset_minutes)
        if self.lease.end is not None:
            end = min(end, self.lease.end)
        return end <= self.known_at


def card_in_force(lease: Lease, cards: RateCards, month: Month) -> RateCard:
    """The version of the lease's card that prices a month: that of the month's begin, or of the
    lease's begin where that is later.

    Raises:
        RentRefused: the lease names no card, or no version was in force.
    """
    if lease.rate_card is None:
        raise RentRefused(f"Lease '{lease.id}' names no rate card: its rent is not usage-based.")
    return cards.at(lease.rate_card, max(month.start(lease.utc_offset_minutes), lease.start))


def rate(
    lease: Lease, cards: RateCards, samples: Iterable[Sample], month: Month, known_at: Millis
) -> Rating:
    """Meter and price one month of a lease.

    Args:
        samples: of the lease's device from a day before the lease on, in any order.
        known_at: what was received later, and time after it, is left out.

    Raises:
        RentRefused: the lease has no card or no time in the month, or a sample is of another
            device.
    """
    card = card_in_force(lease, cards, month)
    use = month_use(lease, card, samples, month, known_at)
    return Rating(lease, month, card, use, price(card, use.billable), known_at)

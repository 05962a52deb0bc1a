"""The days and the price of an entry, read back from its breakdown."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec

from iot.rent.entry import RentEntry
from iot.rent.errors import LedgerBroken
from iot.rent.pricing import Limit


class KeptDay(msgspec.Struct, frozen=True, array_like=True):
    """One local day: thousandths of hours by the counters and estimated; free 1: not charged."""

    day: date
    measured: int
    provisional: int
    free: Annotated[int, msgspec.Meta(ge=0, le=1)]


class KeptTier(msgspec.Struct, frozen=True, rename={"from_hours": "from", "to_hours": "to"}):
    """One tier: its band, the month's hours in it, and what they cost in whole units."""

    from_hours: Decimal
    to_hours: Decimal | None
    multiplier: Decimal
    hours: Decimal
    unit_price: Decimal
    amount: Decimal


class Breakdown(msgspec.Struct, frozen=True):
    """A month as it was rated; see `iot.rent.pricing.Price`. Amounts in whole units."""

    days: tuple[KeptDay, ...]
    fixed: Decimal
    hourly: Decimal
    floor: Decimal
    cap: Decimal | None
    tiers: tuple[KeptTier, ...]
    before_limits: Decimal
    limit: Limit
    hours: Decimal
    amount_minor: int


def read_breakdown(entry: RentEntry) -> Breakdown:
    """The breakdown of one entry.

    Raises:
        LedgerBroken: it is none.
    """
    try:
        return msgspec.json.decode(entry.content.breakdown, type=Breakdown)
    except (msgspec.ValidationError, msgspec.DecodeError):
        raise LedgerBroken(
            f"Rent ledger, {entry.place}: its breakdown can't be read; it was changed."
        ) from None

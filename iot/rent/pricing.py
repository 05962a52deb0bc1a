"""The rent of a month: clip(F + P0 · Σ m_k · hours_k, floor, cap).

Hours are whole thousandths, prices decimals, so every term is exact; the sum alone is rounded,
once, half to even, to the currency's minor unit. The rent never falls in the hours, and the rent
per hour never rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from decimal import localcontext as local_context
from enum import StrEnum
from typing import Final, NewType

from iot.rent.cards import RateCard
from iot.rent.errors import RentRefused

Millihours = NewType("Millihours", int)
"""Thousandths of an hour, 3.6 seconds: what hours are metered and billed in."""

# A product of three has at most 18 + 18 + 18 digits; one that did not fit would raise.
_EXACT: Final = Context(prec=80, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDING: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])


class Limit(StrEnum):
    """Which bound of the card made the rent, if one did."""

    NONE = "none"
    FLOOR = "floor"
    CAP = "cap"


@dataclass(frozen=True)
class TierCharge:
    """What the hours of one tier cost.

    Attributes:
        from_hours, to_hours, multiplier: of the tier.
        hours: of the month that fall into it.
        unit_price: of one hour, in whole units of the currency, exact.
        amount: hours times unit price, exact.
    """

    from_hours: Decimal
    to_hours: Decimal | None
    multiplier: Decimal
    hours: Decimal
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Price:
    """The rent of a month and how it came about.

    Attributes:
        tiers: of the card, also those without hours.
        before_limits: fixed part and tiers, exact.
        exact: after floor and cap.
        limit: which of them holds.
        amount_minor: what is due, in minor units.
    """

    tiers: tuple[TierCharge, ...]
    before_limits: Decimal
    exact: Decimal
    limit: Limit
    amount_minor: int


def hours_of(millihours: int) -> Decimal:
    """Thousandths as hours, exact."""
    return Decimal(millihours).scaleb(-3, _EXACT)


def price(card: RateCard, millihours: Millihours) -> Price:
    """Price the billable hours of one month.

    Raises:
        RentRefused: the hours are negative.
    """
    if millihours < 0:
        raise RentRefused(f"A month can't have {hours_of(millihours)} hours: 0 is the least.")
    hours = hours_of(millihours)
    with local_context(_EXACT):
        charges = []
        for tier in card.tiers:
            end = hours if tier.to_hours is None else min(hours, tier.to_hours)
            inside = max(Decimal(0), end - tier.from_hours)
            unit_price = card.hourly * tier.multiplier
            charges.append(
                TierCharge(
                    tier.from_hours,
                    tier.to_hours,
                    tier.multiplier,
                    inside,
                    unit_price,
                    inside * unit_price,
                )
            )
        before = sum((charge.amount for charge in charges), card.fixed)
        exact, limit = before, Limit.NONE
        if before < card.floor:
            exact, limit = card.floor, Limit.FLOOR
        if card.cap is not None and exact > card.cap:
            exact, limit = card.cap, Limit.CAP
    minor = exact.scaleb(card.minor_digits, _ROUNDING).to_integral_value(context=_ROUNDING)
    return Price(tuple(charges), before, exact, limit, int(minor))

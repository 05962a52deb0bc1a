"""The rent of a month: exact, never falling in the hours, never dearer an hour."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.rent.cards import RateCard
from iot.rent.errors import RentRefused
from iot.rent.pricing import Limit, Millihours, price
from tests.iot.leased_machine import card

HOURS = st.integers(0, 800_000).map(Millihours)


@st.composite
def rate_cards(draw: st.DrawFn) -> RateCard:
    ends = sorted(draw(st.sets(st.integers(1, 500), max_size=4)))
    lows = [0, *ends]
    highs: list[int | None] = [*ends, None]
    levels = draw(
        st.lists(st.integers(1, 15_000), min_size=len(lows), max_size=len(lows)).map(sorted)
    )
    multipliers = [str(Decimal(level).scaleb(-4)) for level in reversed(levels)]
    floor = draw(st.integers(0, 2_000))
    currency, digits = draw(st.sampled_from([("EUR", 2), ("JPY", 0), ("KWD", 3)]))
    cap = draw(st.none() | st.integers(floor, 20_000))
    return card(
        fixed=str(Decimal(draw(st.integers(0, 10**6))).scaleb(-digits)),
        hourly=str(Decimal(draw(st.integers(1, 10**9))).scaleb(-6)),
        floor=str(floor),
        cap=None if cap is None else str(cap),
        bands=list(zip(lows, highs, multipliers, strict=True)),
        currency=currency,
    )


def reference(terms: RateCard, millihours: int) -> Fraction:
    """The notes' formula in fractions, an hour's price found thousandth by band."""
    total = Fraction(terms.fixed)
    left = Fraction(millihours, 1_000)
    for tier in reversed(terms.tiers):
        inside = max(Fraction(0), left - Fraction(tier.from_hours))
        total += Fraction(terms.hourly) * Fraction(tier.multiplier) * inside
        left -= inside
    total = max(total, Fraction(terms.floor))
    return total if terms.cap is None else min(total, Fraction(terms.cap))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rate_cards(), HOURS)
def test_the_rent_is_the_exact_one_rounded_once_half_to_even(
    terms: RateCard, hours: Millihours
) -> None:
    rated = price(terms, hours)
    exact = reference(terms, hours)
    assert Fraction(rated.exact) == exact
    # Fractions round half to even.
    assert rated.amount_minor == round(exact * 10**terms.minor_digits)
    assert sum(tier.hours for tier in rated.tiers) * 1_000 == hours
    assert terms.fixed + sum(tier.amount for tier in rated.tiers) == rated.before_limits


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rate_cards(), HOURS, HOURS)
def test_the_rent_never_falls_and_an_hour_never_gets_dearer(
    terms: RateCard, one: Millihours, other: Millihours
) -> None:
    fewer, more = sorted((one, other))
    less, greater = price(terms, fewer), price(terms, more)
    assert less.amount_minor <= greater.amount_minor
    assert less.exact <= greater.exact
    # Rent per hour, without division.
    assert greater.exact * fewer <= less.exact * more
    prices = [tier.unit_price for tier in greater.tiers]
    assert prices == sorted(prices, reverse=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rate_cards(), st.data())
def test_no_tier_begins_with_a_jump(terms: RateCard, data: st.DataObject) -> None:
    border = int(data.draw(st.sampled_from(terms.tiers)).from_hours * 1_000)
    at = price(terms, Millihours(border)).before_limits
    after = price(terms, Millihours(border + 1)).before_limits
    dearest = terms.hourly * terms.tiers[0].multiplier / 1_000
    assert 0 < after - at <= dearest
    if border:
        assert 0 < at - price(terms, Millihours(border - 1)).before_limits <= dearest


def test_the_notes_tiers_by_hand() -> None:
    rated = price(card(), Millihours(250_500))
    # 250 + 38.50 · (80 + 0.9·80 + 0.8·80 + 0.7·10.5)
    assert rated.before_limits == Decimal("8848.975")
    assert (rated.limit, rated.amount_minor) == (Limit.CAP, 750_000)
    assert price(card(cap=None), Millihours(250_500)).amount_minor == 884_898
    assert price(card(cap=None, hourly="0.01"), Millihours(500)).limit is Limit.FLOOR


@pytest.mark.parametrize(("hours", "minor"), [(500, 0), (1_500, 2), (2_500, 2), (2_501, 3)])
def test_a_half_goes_to_the_even_unit(hours: int, minor: int) -> None:
    terms = card(fixed="0", floor="0", hourly="0.01", bands=((0, None, "1"),))
    assert price(terms, Millihours(hours)).amount_minor == minor


def test_negative_hours_are_refused() -> None:
    with pytest.raises(RentRefused, match="0 is the least"):
        price(card(), Millihours(-1))

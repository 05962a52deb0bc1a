"""Money, rates and probabilities: their types, and every rounding that the policy does.

| what | type | rounded |
|---|---|---|
| limits, advances, financed amounts | int, minor units | down, to the product's step |
| residual values, discounts, rents | int, minor units | down: no rounding lifts the price |
| shares of a claim that are advanced | Decimal | down, to 0.0001 |
| exposures at default, expected losses, capital, costs | int, minor units | up |
| income | int, minor units | down |
| annual rates offered | Decimal | up, to the policy's step |
| probabilities of default | Decimal | once, half to even, to the policy's decimals |

Between two roundings, numbers are exact or hold 34 digits (IEEE 754 decimal128).
"""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from functools import lru_cache

# Amounts stay below this: 10^15 minor units are ten thousand milliards of a currency with cents.
MOST_MINOR = 10**15
# Decimals that a rate, share or probability may have.
MOST_DECIMALS = 12
CONTEXT = Context(
    prec=34,
    rounding=ROUND_HALF_EVEN,
    Emin=-6143,
    Emax=6144,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)
ONE, ZERO = Decimal(1), Decimal(0)


def floor_minor(amount: Decimal) -> int:
    """Whole minor units, down."""
    return int(amount.to_integral_value(ROUND_FLOOR))


def ceiling_minor(amount: Decimal) -> int:
    """Whole minor units, up."""
    return int(amount.to_integral_value(ROUND_CEILING))


def floor_share(part: int, whole: int) -> Decimal:
    """Which share of a whole from 1 up a part is, down to 0.0001, a basis point."""
    return Decimal(part * 10_000 // whole).scaleb(-4)


def down_to_step(minor: int, step: int) -> int:
    """The greatest multiple of the step that is not above an amount from 0 up."""
    return minor - minor % step


def up_to_step(rate: Decimal, step: Decimal) -> Decimal:
    """The least multiple of the step that is not below a rate."""
    return (rate / step).to_integral_value(ROUND_CEILING) * step


def probability_from(score: float, decimals: int) -> Decimal:
    """A float probability in Decimal: its exact value, rounded once, half to even.

    Args:
        score: from 0 to 1.
        decimals: how many are kept.
    """
    # A first rounding to 17 digits would be a second one, so the float's exact value is used.
    return Decimal(score).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)


def within_decimals(number: Decimal) -> bool:
    """Whether a number is finite and short enough to reckon with: see MOST_DECIMALS, MOST_MINOR."""
    if not number.is_finite():
        return False
    exponent = number.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and -MOST_DECIMALS <= exponent <= 0
        and len(number.as_tuple().digits) <= 28
        and abs(number) <= MOST_MINOR
    )


@lru_cache(maxsize=65_536)
def over_horizon(probability: Decimal, horizons: Decimal) -> Decimal:
    """A probability of default over another time: 1 − (1 − p)^horizons (a constant hazard).

    Args:
        probability: over the score's own horizon.
        horizons: the other time, in horizons of the score: 2 for 24 months of a 12-month score.
    """
    survival = CONTEXT.subtract(ONE, probability)
    if not survival:
        return ONE
    # By logarithms: half the time of power(), which rounds correctly to the last digit.
    held = CONTEXT.exp(CONTEXT.multiply(CONTEXT.ln(survival), horizons))
    return CONTEXT.subtract(ONE, held)


def plain(number: Decimal) -> str:
    """A decimal number as people write it: no exponent, no zeros at the end."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def percent(share: Decimal) -> str:
    """A share or rate as a percentage: '9.85 %'."""
    return f"{plain(share * 100)} %"


def money(minor: int, currency: str, digits: int) -> str:
    """An amount as people write it: '25,000.00 EUR'."""
    sign, whole = ("−" if minor < 0 else ""), abs(minor)
    if not digits:
        return f"{sign}{whole:,} {currency}"
    units, rest = divmod(whole, 10**digits)
    return f"{sign}{units:,}.{rest:0{digits}d} {currency}"

"""Amounts: text to Decimal to whole minor units of a currency, exactly or not at all.

All arithmetic behind is on int and Fraction. The one rounding there is, of price x quantity and of
rate x base, is EN 16931's: half a minor unit away from zero.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache

from iso4217 import Currency

from contracts.documents.draft import ReviewCode
from contracts.documents.errors import Unclear

LARGEST_MINOR = 2**96 - 1  # what the contracts can hold

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,12})?", re.ASCII)
# 30 + 12 digits and the shift fit; were they not to, Decimal would round without a word.
_WIDE = Context(prec=60)


@cache
def exponent_of(code: str) -> int:
    """How many decimals a currency has: 2 for EUR, 0 for JPY, 3 for KWD (ISO 4217).

    Raises:
        Unclear: the code is no current ISO 4217 currency that has minor units.
    """
    try:
        exponent = Currency(code).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise Unclear(
            ReviewCode.CURRENCY,
            f"its currency is '{shown(code)}', which is no currency of ISO 4217 in which one pays; "
            "it must be a code such as EUR or CNY",
        )
    return exponent


def number(text: str | None, what: str) -> Decimal:
    """Read a plain decimal number.

    Args:
        text: up to 30 digits, and up to 12 behind a decimal point.
        what: how the sentence names it, such as 'the price of line 2'.

    Raises:
        Unclear: missing, or not such a number.
    """
    if text is None or not text.strip():
        raise Unclear(ReviewCode.FIELD, f"{what} is missing; state it, 0 if there is none")
    if not _NUMBER.fullmatch(text.strip()):
        raise Unclear(
            ReviewCode.AMOUNT,
            f"{what} is '{shown(text)}'; it must be a plain number such as 1234.56, of at most 30 "
            "digits, without exponent, currency or thousands signs",
        )
    return Decimal(text.strip())


def minor_units(text: str | None, exponent: int, what: str) -> int:
    """An amount in minor units, exactly.

    Args:
        text: the amount in the currency's major unit.
        exponent: how many decimals the currency has.
        what: how the sentence names it.

    Raises:
        Unclear: no number, finer than a minor unit, or beyond what the contracts hold.
    """
    scaled = _WIDE.scaleb(number(text, what), exponent)
    whole = int(scaled)
    if whole != scaled:
        raise Unclear(
            ReviewCode.AMOUNT,
            f"{what} is {shown(text)}, finer than the currency's smallest unit; it may have at "
            f"most {exponent} decimals, and is not rounded here",
        )
    if abs(whole) > LARGEST_MINOR:
        raise Unclear(
            ReviewCode.AMOUNT,
            f"{what} is {shown(text)}, beyond 2^96 - 1 minor units, the most that a receivable on "
            "chain holds; correct it",
        )
    return whole


def optional_minor_units(text: str | None, exponent: int, what: str) -> int | None:
    """As `minor_units`; None where the document says nothing."""
    return None if text is None or not text.strip() else minor_units(text, exponent, what)


def rounded(value: Fraction) -> int:
    """Round half away from zero, as EN 16931 does (BR-CO-17 and the calculation of lines)."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole


def money(minor: int, exponent: int) -> str:
    """Minor units as a person writes them: 123456 with 2 decimals is '1234.56'."""
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)


def shown(text: str | None, most: int = 40) -> str:
    """A document's own text, fit for a sentence: short, on one line, without control characters."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in (text or "").strip())
    return plain if len(plain) <= most else plain[: most - 1] + "…"

"""Currencies with their minor digits, and money as people read it.

Source: ISO 4217, the active currencies that leases are written in.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

MINOR_DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(
        (
            *("AED", "ARS", "AUD", "AZN", "BAM", "BDT", "BGN", "BOB", "BRL", "CAD", "CHF", "CNY"),
            *("COP", "CRC", "CZK", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "GBP", "GEL", "GHS"),
            *("GTQ", "HKD", "HUF", "IDR", "ILS", "INR", "KES", "KZT", "LKR", "MAD", "MDL", "MKD"),
            *("MUR", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR", "PLN", "QAR", "RON"),
            *("RSD", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "TZS", "UAH", "USD", "UYU", "UZS"),
            *("ZAR", "ZMW"),
        ),
        2,
    ),
}
"""How many digits the minor unit of a currency has: EUR 2, JPY 0."""


def money_text(amount_minor: int, currency: str) -> str:
    """Minor units as 'EUR 1,234.50'; a minus sign stands before the figure."""
    digits = MINOR_DIGITS[currency]
    return f"{currency} {Decimal(amount_minor).scaleb(-digits):,.{digits}f}"

"""What a document says, in its own words: what every format's reader hands to the checks.

All values are text as they stand in the document (amounts with a decimal point, dates as
YYYY-MM-DD), or None where the document says nothing. Readers map structure and judge nothing, so
an invoice is checked alike whether it came as UBL, CII, JSON or CSV.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.documents.draft import DocumentKind


@dataclass(frozen=True)
class StatedParty:
    """A seller or buyer."""

    name: str | None
    tax_id: str | None


@dataclass(frozen=True)
class StatedLine:
    """One line: `net` = quantity x price / price_quantity - allowances + charges."""

    place: str  # how a sentence names it, such as 'line 2'
    net: str | None
    quantity: str | None
    price: str | None
    price_quantity: str | None
    tax_category: str | None
    tax_rate: str | None
    allowances: tuple[str | None, ...] = ()
    charges: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class StatedAdjustment:
    """An allowance or a charge on the whole document."""

    place: str
    amount: str | None
    tax_category: str | None
    tax_rate: str | None


@dataclass(frozen=True)
class StatedTax:
    """One line of the tax breakdown: `tax` = `base` x `rate`."""

    place: str
    base: str | None
    tax: str | None
    category: str | None
    rate: str | None


@dataclass(frozen=True)
class StatedTotals:
    """The document's totals; in brackets the business term of EN 16931."""

    lines: str | None  # BT-106
    allowances: str | None  # BT-107
    charges: str | None  # BT-108
    net: str | None  # BT-109
    tax: str | None  # BT-110
    gross: str | None  # BT-112
    prepaid: str | None  # BT-113
    rounding: str | None  # BT-114
    payable: str | None  # BT-115


@dataclass(frozen=True)
class StatedDocument:
    """One document. `taxes` is None where the format has no breakdown of tax."""

    kind: DocumentKind
    source: str
    number: str | None
    issue_date: str | None
    due_date: str | None
    payment_terms: str | None
    shipment_date: str | None
    order_reference: str | None
    currency: str | None
    seller: StatedParty
    buyer: StatedParty
    lines: tuple[StatedLine, ...]
    totals: StatedTotals
    allowances: tuple[StatedAdjustment, ...] = ()
    charges: tuple[StatedAdjustment, ...] = ()
    taxes: tuple[StatedTax, ...] | None = None

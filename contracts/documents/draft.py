"""What comes out of reading documents: drafts, a review list, and nothing in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from contracts.units import Digest, TokenMinor


class DocumentKind(StrEnum):
    """What a document claims."""

    INVOICE = "invoice"  # goods or services were delivered: money is owed
    ORDER = "order"  # they were ordered: money will be owed


class ReviewCode(StrEnum):
    """What kind of thing a person has to look at; stable, for machines."""

    FILE = "file"  # cannot be read, is damaged, or is no document at all
    LIMIT = "limit"  # larger or deeper than the limits allow
    FORMAT = "format"  # not what its format asks for: schema, encoding, keys, columns
    TYPE = "type"  # a document of a kind that gives no receivable, such as a credit note
    FIELD = "field"  # a field is missing or cannot be read
    PARTIES = "parties"  # who owes whom is unclear
    TAX_ID = "tax-id"  # a tax id is missing or wrong
    CURRENCY = "currency"  # unknown, or more than one
    AMOUNT = "amount"  # zero, negative, too large, or with too many decimals
    TOTALS = "totals"  # the amounts do not add up
    TAX = "tax"  # the tax is not rate x base
    DATE = "date"  # missing, out of order, or absurd
    DUPLICATE = "duplicate"  # another document of the batch has the same fingerprint


@dataclass(frozen=True)
class ReceivableDraft:
    """One clear document, checked; a person or the gateway makes a receivable of it.

    Attributes:
        kind: invoice or order.
        number: as printed, without outer white space.
        seller_tax_id, buyer_tax_id: canonical (`contracts.documents.tax_ids`).
        seller_name, buyer_name: as printed.
        issue_date: day of issue.
        due_date: day by which it is to be paid; None for orders only.
        shipment_date: invoices: the day of actual delivery, if stated; orders: the day until
            which delivery is asked for, which may lie ahead.
        order_reference: the buyer's order that an invoice names.
        currency: ISO 4217.
        face: the payable amount, in minor units of `currency`; always positive.
        net: total without tax, after allowances and charges, in minor units.
        tax: total of tax, in minor units.
        lines: how many lines the document has.
        fingerprint: see `contracts.documents.fingerprint`.
        document_hash: SHA-256 of the bytes of the file that holds the document.
        source: the file's name and the document's position in it.
    """

    kind: DocumentKind
    number: str
    seller_tax_id: str
    buyer_tax_id: str
    seller_name: str
    buyer_name: str
    issue_date: date
    due_date: date | None
    shipment_date: date | None
    order_reference: str | None
    currency: str
    face: TokenMinor
    net: TokenMinor
    tax: TokenMinor
    lines: int
    fingerprint: Digest
    document_hash: Digest
    source: str


@dataclass(frozen=True)
class ReviewItem:
    """One document that a person has to look at.

    Attributes:
        source: the file's name and the document's position in it.
        reason: one sentence: what is wrong, where, and what would be right.
        code: what kind of thing it is.
    """

    source: str
    reason: str
    code: ReviewCode


@dataclass(frozen=True)
class DocumentBatch:
    """Every document that was read, in exactly one of two lists, each in the order of reading.

    A file that cannot be taken apart into documents is one item of `review`.
    """

    drafts: tuple[ReceivableDraft, ...]
    review: tuple[ReviewItem, ...]

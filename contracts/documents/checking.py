"""From what a document says to a draft: every field checked, whatever format it came in."""

from __future__ import annotations

from datetime import date

from contracts.documents.amounts import exponent_of, shown
from contracts.documents.dates import checked_dates
from contracts.documents.draft import ReceivableDraft, ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.fingerprint import NetworkSalt, fingerprint
from contracts.documents.limits import Limits
from contracts.documents.stated import StatedDocument
from contracts.documents.tax_ids import canonical_tax_id
from contracts.documents.totals import checked_totals
from contracts.units import Digest, TokenMinor

_LONGEST_TEXT = 200


def checked_draft(
    stated: StatedDocument, document_hash: Digest, salt: NetworkSalt, limits: Limits, today: date
) -> ReceivableDraft:
    """Check a document and give the draft of its receivable.

    Raises:
        Unclear: with the first reason why it is not clear.
    """
    if len(stated.lines) > limits.lines:
        raise Unclear(
            ReviewCode.LIMIT,
            f"it has {len(stated.lines)} lines, and {limits.lines} is the limit; split it",
        )
    number = _text(stated.number, "the number")
    seller = canonical_tax_id(stated.seller.tax_id, "seller")
    buyer = canonical_tax_id(stated.buyer.tax_id, "buyer")
    if seller == buyer:
        raise Unclear(
            ReviewCode.PARTIES,
            f"seller and buyer have one tax id, {seller}; nobody owes money to themself",
        )
    currency = _text(stated.currency, "the currency")
    exponent = exponent_of(currency)
    dates = checked_dates(stated, today, limits)
    totals = checked_totals(stated, exponent)
    return ReceivableDraft(
        kind=stated.kind,
        number=number,
        seller_tax_id=seller,
        buyer_tax_id=buyer,
        seller_name=_text(stated.seller.name, "the seller's name"),
        buyer_name=_text(stated.buyer.name, "the buyer's name"),
        issue_date=dates.issue,
        due_date=dates.due,
        shipment_date=dates.shipment,
        order_reference=_optional_text(stated.order_reference, "the reference to an order"),
        currency=currency,
        face=TokenMinor(totals.payable),
        net=TokenMinor(totals.net),
        tax=TokenMinor(totals.tax),
        lines=len(stated.lines),
        fingerprint=fingerprint(salt, stated.kind, seller, number, dates.issue.year),
        document_hash=document_hash,
        source=stated.source,
    )


def _text(text: str | None, what: str) -> str:
    plain = _optional_text(text, what)
    if plain is None:
        raise Unclear(ReviewCode.FIELD, f"{what} is missing; state it")
    return plain


def _optional_text(text: str | None, what: str) -> str | None:
    """Text on one line, without what could deceive a reader or a terminal."""
    plain = " ".join((text or "").split())
    if not plain:
        return None
    if not plain.isprintable():
        raise Unclear(
            ReviewCode.FIELD,
            f"{what} holds invisible or control characters ('{shown(plain)}'); remove them",
        )
    if len(plain) > _LONGEST_TEXT:
        raise Unclear(
            ReviewCode.FIELD,
            f"{what} has {len(plain)} characters; it may have {_LONGEST_TEXT}",
        )
    return plain

"""Invoices of EN 16931 in both syntaxes: factur-x reads them into business terms (BT-1, ...).

factur-x (BSD, Akretion) validates against the official XML schemas, which it ships, and finds each
business term; nothing of it is fetched. Its Schematron check asks a server and is not used: what
matters here is checked in `totals`, `dates` and `tax_ids`. What it would pass over in silence
(another currency in one amount, instalments, a payee who is not the seller) is refused here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from facturx import get_level, parse_ubl_cii_xml
from facturx.facturx import FACTURX_LEVEL2xsd, UBL_21_xsd
from lxml import etree

from contracts.documents.amounts import shown
from contracts.documents.draft import DocumentKind, ReviewCode
from contracts.documents.errors import Unclear
from contracts.documents.limits import Limits
from contracts.documents.stated import (
    StatedAdjustment,
    StatedDocument,
    StatedLine,
    StatedParty,
    StatedTax,
    StatedTotals,
)

# It would write what invoices say into the log.
logging.getLogger("factur-x").setLevel(logging.CRITICAL + 1)

# UNTDID 1001: commercial, metered, and partial invoices.
_CLAIMS = frozenset({"380", "82", "326"})
_NO_CLAIMS = {
    "381": "a credit note, by which money is owed the other way",
    "384": "a corrected invoice, which replaces another one that may be financed already",
    "386": "an invoice for prepayment, of which nothing is delivered yet",
    "389": "a self-billed invoice, whose number is counted by the buyer and not by the seller",
    "393": "a factored invoice, whose claim was assigned to somebody already",
}


def ubl_invoice(root: etree._Element, source: str, limits: Limits) -> StatedDocument:
    """Read a UBL 2.1 invoice.

    Raises:
        Unclear: not valid, of a type that is no claim, or ambiguous.
    """
    return _invoice(root, "ubl-2.1-invoice", "en16931", source, limits)


def cii_invoice(root: etree._Element, source: str, limits: Limits) -> StatedDocument:
    """Read a CII invoice: the XML of Factur-X and ZUGFeRD 2, or XRechnung.

    Raises:
        Unclear: not valid, of a profile without lines, of a type that is no claim, or ambiguous.
    """
    try:
        level = get_level(root, "factur-x")
    except (ValueError, AttributeError):  # another guideline, or none
        level = "en16931"
    if level not in FACTURX_LEVEL2xsd:
        level = "en16931"
    if level in ("minimum", "basicwl"):
        raise Unclear(
            ReviewCode.TOTALS,
            f"its profile is {level.upper()}, which has no lines to check the total by; ask for "
            "profile BASIC or above",
        )
    return _invoice(root, "factur-x", level, source, limits)


def _invoice(
    root: etree._Element, flavor: str, level: str, source: str, limits: Limits
) -> StatedDocument:
    lines = len(root.findall("{*}InvoiceLine")) + len(
        root.findall("{*}SupplyChainTradeTransaction/{*}IncludedSupplyChainTradeLineItem")
    )
    if lines > limits.lines:
        raise Unclear(
            ReviewCode.LIMIT, f"it has {lines} lines, and {limits.lines} is the limit; split it"
        )
    # Both spellings are true or false in XML; the library knows one.
    for flag in root.iter("{*}ChargeIndicator", "{*}Indicator"):
        text = (flag.text or "").strip()
        flag.text = {"0": "false", "1": "true"}.get(text, flag.text and text)
    _validate(root, flavor, level)
    try:
        terms = _Terms(
            parse_ubl_cii_xml(root, flavor=flavor, level=level, date_as="string", check_xsd=False),
            "the invoice",
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unclear(
            ReviewCode.FORMAT,
            "it is valid XML of its kind, but a date or attachment in it cannot be read; dates "
            "must be whole days without a time zone",
        ) from None
    _refuse_type(terms)
    _refuse_payee(root)
    _refuse_mixed_currency(root, terms)
    return _stated(terms, source)


def _validate(root: etree._Element, flavor: str, level: str) -> None:
    schema = _schema(UBL_21_xsd[flavor] if flavor in UBL_21_xsd else FACTURX_LEVEL2xsd[level])
    if not schema.validate(root):
        first = schema.error_log[0]
        raise Unclear(
            ReviewCode.FORMAT,
            f"it is not valid by its XML schema: line {first.line}: {shown(first.message, 160)}; "
            "have the sender correct it",
        )


@cache
def _schema(file: str) -> etree.XMLSchema:
    """One of the library's schemas, kept: that of UBL takes 60 ms to load."""
    return etree.XMLSchema(file=str(files("facturx") / "xsd_and_schematron" / file))


class _Terms:
    """Business terms of one group, each of which must stand there at most once."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self._values = values
        self._place = place

    def text(self, term: str, name: str) -> str | None:
        """One value, or None.

        Raises:
            Unclear: there are several.
        """
        value = self._values.get(term)
        if isinstance(value, list):
            if len(set(value)) > 1:
                raise Unclear(
                    ReviewCode.FIELD,
                    f"{self._place} states {name} ({term}) {len(value)} times, and not alike; "
                    "which one counts is unclear, so it must stand there once",
                )
            value = value[0]
        return None if value is None else str(value)

    def first(self, term: str) -> str | None:
        """For what is only shown, the first of several will do."""
        value = self._values.get(term)
        return str(value[0] if isinstance(value, list) else value) if value else None

    def group(self, term: str, place: str) -> _Terms:
        return _Terms(self._values.get(term) or {}, place)

    def groups(self, term: str, place: str) -> list[_Terms]:
        """A repeated group; each is named by its place, from 1."""
        found: Sequence[Mapping[str, Any]] = self._values.get(term) or []
        return [_Terms(one, f"{place} {index}") for index, one in enumerate(found, start=1)]

    @property
    def place(self) -> str:
        return self._place


def _refuse_type(terms: _Terms) -> None:
    code = terms.text("BT-3", "the type") or ""
    if code in _CLAIMS:
        return
    what = _NO_CLAIMS.get(code, "no invoice that becomes a receivable by itself")
    raise Unclear(
        ReviewCode.TYPE,
        f"its type code is '{shown(code)}', {what}; drafts are made of the types "
        f"{', '.join(sorted(_CLAIMS))}",
    )


def _refuse_payee(root: etree._Element) -> None:
    """Money that goes to another than the seller may be assigned already."""
    payee = next(root.iter("{*}PayeeParty", "{*}PayeeTradeParty"), None)
    if payee is None:
        return
    name = next((one.text for one in payee.iter("{*}Name", "{*}RegistrationName")), None)
    raise Unclear(
        ReviewCode.PARTIES,
        f"it names a payee other than the seller ('{shown(name)}', BG-10), so the claim may be "
        "assigned already; have the payee's consent, or an invoice without a payee",
    )


def _refuse_mixed_currency(root: etree._Element, terms: _Terms) -> None:
    """Every amount is in the invoice's currency; only totals of tax may be in that of the tax."""
    currency, tax_currency = terms.text("BT-5", "the currency"), terms.text("BT-6", "of tax")
    for element in root.iterfind(".//*[@currencyID]"):
        stated = element.get("currencyID")
        name = etree.QName(element).localname
        parent = etree.QName(element.getparent()).localname
        of_tax = name == "TaxTotalAmount" or (name, parent) == ("TaxAmount", "TaxTotal")
        if stated != currency and not (of_tax and stated == tax_currency):
            raise Unclear(
                ReviewCode.CURRENCY,
                f"the amount in element {name} at line {element.sourceline} is in "
                f"'{shown(stated)}', but the invoice in '{shown(currency)}'; it must be in one "
                "currency",
            )


def _stated(terms: _Terms, source: str) -> StatedDocument:
    return StatedDocument(
        kind=DocumentKind.INVOICE,
        source=source,
        number=terms.text("BT-1", "the number"),
        issue_date=terms.text("BT-2", "the issue date"),
        due_date=terms.text("BT-9", "the due date"),
        payment_terms=terms.first("BT-20"),
        shipment_date=terms.text("BT-72", "the delivery date"),
        order_reference=terms.text("BT-13", "the order"),
        currency=terms.text("BT-5", "the currency"),
        seller=_party(terms.group("BG-4", "the seller")),
        buyer=_party(terms.group("BG-7", "the buyer")),
        lines=tuple(_line(one) for one in terms.groups("BG-25", "line")),
        totals=StatedTotals(
            lines=terms.text("BT-106", "the total of lines"),
            allowances=terms.text("BT-107", "the total of allowances"),
            charges=terms.text("BT-108", "the total of charges"),
            net=terms.text("BT-109", "the total without tax"),
            tax=terms.text("BT-110", "the total of tax"),
            gross=terms.text("BT-112", "the total with tax"),
            prepaid=terms.text("BT-113", "the amount prepaid"),
            rounding=terms.text("BT-114", "the rounding amount"),
            payable=terms.text("BT-115", "the payable amount"),
        ),
        allowances=tuple(_adjustment(one) for one in terms.groups("BG-20", "allowance")),
        charges=tuple(_adjustment(one) for one in terms.groups("BG-21", "charge")),
        taxes=tuple(
            StatedTax(
                place=one.place,
                base=one.text("BT-116", "the base"),
                tax=one.text("BT-117", "the tax"),
                category=one.text("BT-118", "the category"),
                rate=one.text("BT-119", "the rate"),
            )
            for one in terms.groups("BG-23", "tax breakdown")
        ),
    )


def _party(party: _Terms) -> StatedParty:
    """A party's VAT id; where it has none, its registration, which may be a Chinese credit code."""
    tax_id = party.text("vat_identifier", "the VAT id")
    registration = party.text("legal_identifier", "the registration")
    return StatedParty(party.text("name", "the name"), tax_id or registration)


def _line(line: _Terms) -> StatedLine:
    return StatedLine(
        place=line.place,
        net=line.text("BT-131", "the net amount"),
        quantity=line.text("BT-129", "the quantity"),
        price=line.text("BT-146", "the price"),
        price_quantity=line.text("BT-149", "the price's base quantity"),
        tax_category=line.text("BT-151", "the category of tax"),
        tax_rate=line.text("BT-152", "the rate of tax"),
        allowances=tuple(
            one.text("amount", "the amount") for one in line.groups("BG-27", "allowance")
        ),
        charges=tuple(one.text("amount", "the amount") for one in line.groups("BG-28", "charge")),
    )


def _adjustment(one: _Terms) -> StatedAdjustment:
    return StatedAdjustment(
        place=one.place,
        amount=one.text("amount", "the amount"),
        tax_category=one.text("vat_category_code", "the category of tax"),
        tax_rate=one.text("vat_rate", "the rate of tax"),
    )

"""Invoices and orders as JSON from an ERP: one document, or a list of documents.

{
  "kind": "invoice",                      "invoice" or "order"
  "number": "INV-0012",
  "issue_date": "2026-01-31",             all dates YYYY-MM-DD
  "due_date": "2026-03-02",               invoices
  "shipment_date": "2026-01-30",          optional; of an order, the day delivery is asked for by
  "order_reference": "PO-77",             optional
  "payment_terms": "30 days net",         optional, and no substitute for a due date
  "currency": "EUR",                      ISO 4217
  "seller": {"name": "...", "tax_id": "DE136695976"},
  "buyer": {"name": "...", "tax_id": "FR83404833048"},
  "lines": [{
    "net": 90.00,                         quantity x price / price_quantity - allowances + charges
    "quantity": 10, "price": 10.00,       optional, both or neither
    "price_quantity": 1,                  optional
    "allowances": [10.00], "charges": [], optional
    "tax_category": "S",                  optional: of EN 16931; S with a rate, Z without
    "tax_rate": 19
  }],
  "allowances": [{"amount": 5.00, "tax_category": "S", "tax_rate": 19}],   optional, and
  "charges": [],                          on the whole document
  "taxes": [{"category": "S", "rate": 19, "base": 85.00, "tax": 16.15}],   optional
  "totals": {"net": 85.00, "tax": 16.15, "gross": 101.15, "payable": 101.15,
             "lines": 90.00, "allowances": 5.00, "charges": 0, "prepaid": 0, "rounding": 0}
}                                         the first four totals are needed, the others optional

Numbers may be JSON numbers or text; either is read as it is written and never passes through a
float. A key that is not listed here is refused, so that no misspelt one is overlooked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from contracts.documents.amounts import shown
from contracts.documents.draft import DocumentKind, ReviewCode, ReviewItem
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
from contracts.documents.text_source import decoded

_TOTALS = (
    "lines",
    "allowances",
    "charges",
    "net",
    "tax",
    "gross",
    "prepaid",
    "rounding",
    "payable",
)


def read_json(data: bytes, source: str, limits: Limits) -> Iterator[StatedDocument | ReviewItem]:
    """Read the documents of a JSON file, one by one.

    Args:
        data: the file.
        source: its name; documents of a list are named 'NAME, document 2'.
        limits: on the number of documents.

    Yields:
        what a document says, or why it cannot be read; the others go on.

    Raises:
        Unclear: the file as a whole is no JSON, or holds too many documents.
    """
    content = _parsed(decoded(data))
    if not isinstance(content, list):
        yield _document(content, source)
        return
    if not content:
        raise Unclear(ReviewCode.FILE, "it is an empty list; it must hold a document at least")
    if len(content) > limits.documents:
        raise Unclear(
            ReviewCode.LIMIT,
            f"it holds {len(content)} documents, and {limits.documents} is the limit; split it",
        )
    for index, one in enumerate(content, start=1):
        place = f"{source}, document {index}"
        try:
            yield _document(one, place)
        except Unclear as unclear:
            yield ReviewItem(place, unclear.reason, unclear.code)


def _parsed(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise Unclear(ReviewCode.FORMAT, f"it holds {constant}, which is no number of JSON")

    try:
        # Numbers stay text, as written: no float comes into being.
        return json.loads(
            text,
            parse_float=str,
            parse_int=str,
            parse_constant=refuse,
            object_pairs_hook=_without_repeats,
        )
    except json.JSONDecodeError as error:
        raise Unclear(
            ReviewCode.FORMAT,
            f"it is no JSON (line {error.lineno}, column {error.colno}), or is cut short; ask for "
            "the original file",
        ) from None
    except RecursionError:
        raise Unclear(
            ReviewCode.LIMIT, "its lists and objects lie too deep in each other; no invoice's do"
        ) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unclear(
            ReviewCode.FORMAT,
            f"an object has the key '{shown(twice)}' twice; which one counts is unclear",
        )
    return found


class _Object:
    """A JSON object of which every key is known."""

    def __init__(self, value: Any, place: str, allowed: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            raise Unclear(ReviewCode.FORMAT, f"{place} must be a JSON object, in braces")
        for key in value:
            if key not in allowed:
                raise Unclear(
                    ReviewCode.FORMAT,
                    f"{place} has the unknown key '{shown(key)}'; known are {', '.join(allowed)}",
                )
        self._value, self._place = value, place

    def text(self, key: str) -> str | None:
        """Text or number, as written."""
        value = self._value.get(key)
        if value is None or isinstance(value, str):
            return value
        raise Unclear(
            ReviewCode.FORMAT, f"'{key}' of {self._place} must be text or a number, nothing else"
        )

    def items(self, key: str) -> list[Any]:
        value = self._value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Unclear(
                ReviewCode.FORMAT, f"'{key}' of {self._place} must be a list, in brackets"
            )
        return value

    def get(self, key: str) -> Any:
        return self._value.get(key)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            raise Unclear(ReviewCode.FORMAT, f"'{key}' of {self._place} must be a list of numbers")
        return tuple(values)


_KEYS = (
    "kind",
    "number",
    "issue_date",
    "due_date",
    "shipment_date",
    "order_reference",
    "payment_terms",
    "currency",
    "seller",
    "buyer",
    "lines",
    "allowances",
    "charges",
    "taxes",
    "totals",
)


def _document(value: Any, source: str) -> StatedDocument:
    document = _Object(value, "the document", _KEYS)
    kind = document.text("kind")
    if kind not in tuple(DocumentKind):
        raise Unclear(
            ReviewCode.TYPE,
            f"its 'kind' is '{shown(kind)}'; it must be 'invoice' or 'order' (a credit note gives "
            "no receivable)",
        )
    totals = _Object(document.get("totals"), "'totals'", _TOTALS)
    return StatedDocument(
        kind=DocumentKind(kind),
        source=source,
        number=document.text("number"),
        issue_date=document.text("issue_date"),
        due_date=document.text("due_date"),
        payment_terms=document.text("payment_terms"),
        shipment_date=document.text("shipment_date"),
        order_reference=document.text("order_reference"),
        currency=document.text("currency"),
        seller=_party(document.get("seller"), "'seller'"),
        buyer=_party(document.get("buyer"), "'buyer'"),
        lines=tuple(
            _line(one, f"line {index}")
            for index, one in enumerate(document.items("lines"), start=1)
        ),
        totals=StatedTotals(**{name: totals.text(name) for name in _TOTALS}),
        allowances=_adjustments(document.items("allowances"), "allowance"),
        charges=_adjustments(document.items("charges"), "charge"),
        taxes=None if document.get("taxes") is None else _taxes(document.items("taxes")),
    )


def _party(value: Any, place: str) -> StatedParty:
    party = _Object(value, place, ("name", "tax_id"))
    return StatedParty(party.text("name"), party.text("tax_id"))


def _line(value: Any, place: str) -> StatedLine:
    keys = ("net", "quantity", "price", "price_quantity", "tax_category", "tax_rate")
    line = _Object(value, place, (*keys, "allowances", "charges"))
    return StatedLine(
        place=place,
        **{key: line.text(key) for key in keys},
        allowances=line.texts("allowances"),
        charges=line.texts("charges"),
    )


def _adjustments(values: list[Any], name: str) -> tuple[StatedAdjustment, ...]:
    keys = ("amount", "tax_category", "tax_rate")
    found = []
    for index, value in enumerate(values, start=1):
        one = _Object(value, f"{name} {index}", keys)
        found.append(StatedAdjustment(f"{name} {index}", **{key: one.text(key) for key in keys}))
    return tuple(found)


def _taxes(values: list[Any]) -> tuple[StatedTax, ...]:
    keys = ("category", "rate", "base", "tax")
    found = []
    for index, value in enumerate(values, start=1):
        one = _Object(value, f"tax {index}", keys)
        found.append(StatedTax(f"tax {index}", **{key: one.text(key) for key in keys}))
    return tuple(found)

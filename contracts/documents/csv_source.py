"""Invoices and orders as CSV from an ERP: a row a line, the document's own fields in each row.

Needed columns: number, issue_date, currency, seller_name, seller_tax_id, buyer_name, buyer_tax_id,
net, tax, gross, payable (the document's totals), line_net, tax_rate (percent).
Optional: kind (invoice if it is not there), due_date (invoices need one), shipment_date,
order_reference, payment_terms, prepaid, rounding, quantity and price, price_quantity,
line_allowance, line_charge, tax_category. Other columns are ignored.

Rows of one kind, seller and number are one document. Allowances on the whole document are lines
with a negative net amount. Delimiter and decimal sign are found out, or told by a mapping file
(`contracts.documents.mapping`). A file must use one decimal sign and no thousands signs: '1,234'
means two things a thousand apart, and is not guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO

from contracts.documents.amounts import shown
from contracts.documents.draft import DocumentKind, ReviewCode, ReviewItem
from contracts.documents.errors import Unclear
from contracts.documents.limits import Limits
from contracts.documents.mapping import COLUMNS, REQUIRED, ColumnMapping
from contracts.documents.spelling import compact_tax_id
from contracts.documents.stated import StatedDocument, StatedLine, StatedParty, StatedTotals
from contracts.documents.text_source import decoded

_DELIMITERS = (",", ";", "\t", "|")
_OF_LINE = (
    "line_net",
    "quantity",
    "price",
    "price_quantity",
    "line_allowance",
    "line_charge",
    "tax_category",
    "tax_rate",
)
_NUMBERS = (
    "net",
    "tax",
    "gross",
    "payable",
    "prepaid",
    "rounding",
    *(name for name in _OF_LINE if name != "tax_category"),
)


@dataclass(frozen=True)
class _Row:
    """One row: our names to its cells, in the file's own notation; `place` is its line there."""

    place: int
    cells: Mapping[str, str]


def looks_like_csv(text: str, mapping: ColumnMapping) -> bool:
    """Whether the first line is a header in which the column of the number stands."""
    wanted = mapping.columns.get("number", "number").casefold()
    first = text.lstrip().partition("\n")[0]
    return any(
        wanted in (cell.strip().strip('"').casefold() for cell in first.split(delimiter))
        for delimiter in (mapping.delimiter or "", *_DELIMITERS)
        if delimiter and delimiter in first
    )


def read_csv(
    data: bytes, source: str, mapping: ColumnMapping, limits: Limits
) -> Iterator[StatedDocument | ReviewItem]:
    """Read the documents of a CSV file, in the order of their first rows.

    Yields:
        what a document says, or why it cannot be read; the others go on.

    Raises:
        Unclear: the file as a whole cannot be read.
    """
    text = decoded(data, mapping.encoding)
    delimiter = mapping.delimiter or _delimiter(text)
    rows = _rows(text, delimiter, mapping)
    if not rows:
        raise Unclear(ReviewCode.FILE, "it is a CSV file with a header and no rows; it is empty")
    decimal = mapping.decimal or _decimal_sign(rows, delimiter)
    documents: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        cells = row.cells
        number = cells.get("number", "")
        # Rows without a number can't be told apart, so each stands for itself.
        key = (
            (number, compact_tax_id(cells.get("seller_tax_id", "")), cells.get("kind", ""))
            if number
            else (str(row.place),)
        )
        documents.setdefault(key, []).append(row)
    if len(documents) > limits.documents:
        raise Unclear(
            ReviewCode.LIMIT,
            f"it holds {len(documents)} documents, and {limits.documents} is the limit; split it",
        )
    for group in documents.values():
        first, last = group[0].place, group[-1].place
        place = f"{source}, line {first}" if first == last else f"{source}, lines {first} to {last}"
        try:
            yield _document(group, place, decimal, mapping)
        except Unclear as unclear:
            yield ReviewItem(place, unclear.reason, unclear.code)


def _rows(text: str, delimiter: str, mapping: ColumnMapping) -> list[_Row]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str | None] = []
    rows: list[_Row] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _header(cells, mapping)
                continue
            if len(cells) != len(names):
                raise Unclear(
                    ReviewCode.FORMAT,
                    f"its line {reader.line_num} has {len(cells)} cells where the header names "
                    f"{len(names)} columns; put cells with a '{delimiter}' inside into quotes",
                )
            own = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name}
            rows.append(_Row(reader.line_num, {**mapping.values, **own}))
    except csv.Error:
        raise Unclear(
            ReviewCode.FORMAT,
            f"its line {reader.line_num} is no CSV; look for a quote that is opened and not closed",
        ) from None
    return rows


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _header(cells: Sequence[str], mapping: ColumnMapping) -> list[str | None]:
    """Our name of each column, None for those of no interest."""
    theirs = {mapping.columns.get(name, name).casefold(): name for name in COLUMNS}
    names = [theirs.get(cell.strip().casefold()) for cell in cells]
    known = [name for name in names if name]
    for name in known:
        if known.count(name) > 1:
            raise Unclear(
                ReviewCode.FORMAT,
                f"its header names the column '{mapping.columns.get(name, name)}' twice; which one "
                "counts is unclear",
            )
    missing = [name for name in REQUIRED if name not in known and name not in mapping.values]
    if missing:
        raise Unclear(
            ReviewCode.FORMAT,
            f"its header lacks the columns {', '.join(missing)}; add them, or say in a mapping "
            "file what they are called",
        )
    return names


def _decimal_sign(rows: Sequence[_Row], delimiter: str) -> str:
    signs = {
        sign
        for row in rows
        for name in _NUMBERS
        for sign in (".", ",")
        if sign in row.cells.get(name, "")
    }
    if len(signs) > 1:
        raise Unclear(
            ReviewCode.AMOUNT,
            "its numbers have both points and commas, so which one is the decimal sign is unclear; "
            "write 1234.56 or 1234,56, the same in the whole file, without thousands signs",
        )
    if signs == {delimiter}:
        raise Unclear(
            ReviewCode.AMOUNT,
            "its numbers and its cells both have commas, so the commas in numbers may be thousands "
            'signs; write decimal points, or say decimal = "," in a mapping file',
        )
    return signs.pop() if signs else "."


def _document(
    rows: Sequence[_Row], source: str, decimal: str, mapping: ColumnMapping
) -> StatedDocument:
    head = rows[0].cells
    for row in rows[1:]:
        for name in COLUMNS:
            if name not in _OF_LINE and row.cells.get(name) != head.get(name):
                raise Unclear(
                    ReviewCode.FIELD,
                    f"'{name}' is '{shown(row.cells.get(name))}' in line {row.place} and "
                    f"'{shown(head.get(name))}' in line {rows[0].place} of one document; it must "
                    "be the same in all its rows",
                )
    kind = head.get("kind") or DocumentKind.INVOICE
    if kind not in tuple(DocumentKind):
        raise Unclear(
            ReviewCode.TYPE,
            f"its kind is '{shown(kind)}'; it must be 'invoice' or 'order' (a credit note gives no "
            "receivable)",
        )

    def amount(cells: Mapping[str, str], name: str) -> str | None:
        return _plain(cells.get(name, ""), decimal, name)

    totals = {
        name: amount(head, name)
        for name in ("net", "tax", "gross", "prepaid", "rounding", "payable")
    }
    return StatedDocument(
        kind=DocumentKind(kind),
        source=source,
        number=head.get("number"),
        issue_date=_iso(head.get("issue_date", ""), mapping.dates),
        due_date=_iso(head.get("due_date", ""), mapping.dates),
        shipment_date=_iso(head.get("shipment_date", ""), mapping.dates),
        payment_terms=head.get("payment_terms"),
        order_reference=head.get("order_reference"),
        currency=head.get("currency"),
        seller=StatedParty(head.get("seller_name"), head.get("seller_tax_id")),
        buyer=StatedParty(head.get("buyer_name"), head.get("buyer_tax_id")),
        lines=tuple(
            StatedLine(
                place=f"line {index}",
                net=amount(row.cells, "line_net"),
                quantity=amount(row.cells, "quantity"),
                price=amount(row.cells, "price"),
                price_quantity=amount(row.cells, "price_quantity"),
                tax_category=row.cells.get("tax_category") or None,
                tax_rate=amount(row.cells, "tax_rate"),
                allowances=_one(amount(row.cells, "line_allowance")),
                charges=_one(amount(row.cells, "line_charge")),
            )
            for index, row in enumerate(rows, start=1)
        ),
        totals=StatedTotals(lines=None, allowances=None, charges=None, **totals),
    )


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _plain(text: str, decimal: str, name: str) -> str | None:
    """A number with a decimal point, None for an empty cell; the checks refuse what is none."""
    if not text:
        return None
    if decimal == ",":
        if "." in text:
            raise Unclear(
                ReviewCode.AMOUNT,
                f"'{name}' is '{shown(text)}' in a file whose decimal sign is a comma; write it "
                "without thousands signs",
            )
        return text.replace(",", ".")
    return text


def _iso(text: str, notation: str) -> str | None:
    """A date as YYYY-MM-DD; what is none goes on as it is, for the checks to refuse."""
    if not text:
        return None
    try:
        return datetime.strptime(text, notation).date().isoformat()
    except ValueError:
        return text

"""A mapping file: what an ERP's CSV export calls the columns, and how it writes numbers and dates.

[csv]                            # all optional
delimiter = ";"                  # otherwise found out: comma, semicolon, tab or bar
decimal = ","                    # otherwise found out; with commas as delimiters, a point
dates = "%d.%m.%Y"               # otherwise YYYY-MM-DD
encoding = "latin-1"             # otherwise UTF-8, or UTF-16 with its mark

[columns]                        # ours = "theirs"; the others keep our names
number = "Belegnummer"
net = "Nettobetrag"

[values]                         # what is the same in all rows and has no column
kind = "invoice"
currency = "EUR"
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from contracts.documents.errors import DocumentsError

REQUIRED = (
    "number",
    "issue_date",
    "currency",
    "seller_name",
    "seller_tax_id",
    "buyer_name",
    "buyer_tax_id",
    "net",
    "tax",
    "gross",
    "payable",
    "line_net",
    "tax_rate",
)
OPTIONAL = (
    "kind",
    "due_date",
    "shipment_date",
    "order_reference",
    "payment_terms",
    "prepaid",
    "rounding",
    "quantity",
    "price",
    "price_quantity",
    "line_allowance",
    "line_charge",
    "tax_category",
)
COLUMNS = (*REQUIRED, *OPTIONAL)
_LARGEST_FILE = 100_000
_SETTINGS = ("delimiter", "decimal", "dates", "encoding")


@dataclass(frozen=True)
class ColumnMapping:
    """How to read a CSV export; the default reads our own names.

    Attributes:
        columns: our name to theirs, where they differ.
        values: our name to the one value of all rows.
        delimiter, decimal: None: found out from the file.
        dates: strptime's notation.
        encoding: of files without a mark of their own.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    decimal: str | None = None
    dates: str = "%Y-%m-%d"
    encoding: str = "utf-8"


def read_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Raises:
        DocumentsError: it is missing, no TOML, or has an unknown key or a wrong value.
    """
    try:
        with path.open("rb") as stream:
            content = tomllib.loads(stream.read(_LARGEST_FILE).decode())
    except OSError as error:
        raise DocumentsError(
            f"{path}: cannot be read ({error.strerror}); name the mapping file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DocumentsError(f"{path}: is no TOML file ({error}); correct it") from None
    for name in content:
        if name not in ("csv", "columns", "values"):
            raise DocumentsError(
                f"{path}: has the unknown table [{name}]; known are [csv], [columns] and [values]"
            )
    settings = _texts(path, content, "csv", _SETTINGS)
    mapping = ColumnMapping(
        columns=_texts(path, content, "columns", COLUMNS),
        values=_texts(path, content, "values", COLUMNS),
        **settings,
    )
    _check(path, mapping)
    return mapping


def _texts(
    path: Path, content: Mapping[str, Any], table: str, known: tuple[str, ...]
) -> dict[str, str]:
    values = content.get(table, {})
    if not isinstance(values, dict):
        raise DocumentsError(f"{path}: '{table}' must be a table, [{table}]")
    for key, value in values.items():
        if key not in known:
            raise DocumentsError(
                f"{path}: [{table}] has the unknown key '{key}'; known are {', '.join(known)}"
            )
        if not isinstance(value, str) or not value:
            raise DocumentsError(f"{path}: '{key}' of [{table}] must be text in quotes")
    return dict(values)


def _check(path: Path, mapping: ColumnMapping) -> None:
    both = sorted(set(mapping.columns) & set(mapping.values))
    if both:
        raise DocumentsError(f"{path}: gives '{both[0]}' a column and a value; it can have one")
    if mapping.delimiter is not None and len(mapping.delimiter) != 1:
        raise DocumentsError(f"{path}: 'delimiter' of [csv] must be one sign, such as \";\"")
    if mapping.decimal not in (None, ".", ","):
        raise DocumentsError(f'{path}: \'decimal\' of [csv] must be "." or ","')
    try:
        codecs.lookup(mapping.encoding)
    except LookupError:
        raise DocumentsError(
            f"{path}: 'encoding' of [csv] is none that is known; for example \"latin-1\""
        ) from None
    if date(2031, 12, 25).strftime(mapping.dates) == date(2030, 11, 24).strftime(mapping.dates):
        raise DocumentsError(f"{path}: 'dates' of [csv] must be such as \"%d.%m.%Y\"")

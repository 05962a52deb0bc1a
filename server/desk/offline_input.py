"""A file of borrowers to score, and the file of their scores: CSV or Parquet.

Values are read as text and checked by the same rules as a caller's, so that a file and a request
mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from clients.vault import write_private
from federation.errors import InputError
from federation.schema import FeatureKind, FeatureSpec
from federation.scoring.row_rules import GivenColumn

ID_COLUMNS = ("id", "borrower", "borrower_id")
MISSING_TEXTS = ("", "nan", "NaN", "null", "NULL", "<NA>")
SUFFIXES = (".csv", ".parquet")
_COUNTS = re.compile(r"Expected ([0-9]+) columns, got ([0-9]+)")


@dataclass(frozen=True)
class BorrowerFile:
    """Borrowers to score.

    Attributes:
        path: where they come from.
        identifiers: ids as they stand there.
        columns: the label party's features.
    """

    path: Path
    identifiers: list[str]
    columns: list[GivenColumn]

    def slices(self, size: int) -> Iterator[tuple[list[str], list[GivenColumn]]]:
        """So many borrowers at a time."""
        for first in range(0, len(self.identifiers), size):
            rows = slice(first, first + size)
            yield (
                self.identifiers[rows],
                [
                    GivenColumn(
                        one.feature,
                        one.values[rows],
                        None if one.missing is None else one.missing[rows],
                    )
                    for one in self.columns
                ],
            )


def read_borrowers(path: Path, specs: Sequence[FeatureSpec], id_column: str | None) -> BorrowerFile:
    """Read the ids and the features that a model needs; other columns are left alone.

    Args:
        path: a CSV or Parquet file.
        specs: the features.
        id_column: the borrowers' ids; None: 'id', 'borrower' or 'borrower_id'.

    Raises:
        InputError: the file can't be read, lacks a column, or holds text for a number.
    """
    table = _read(path)
    names = table.column_names
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: has two columns '{name}'; each needs a name of its own")
    if id_column is None:
        id_column = next((name for name in ID_COLUMNS if name in names), None)
    if id_column is None or id_column not in names:
        raise InputError(
            f"{path}: has no column '{id_column or 'id'}' of borrower ids; name it with "
            f"--id-column, one of: {', '.join(names)}"
        )
    lacking = [spec.name for spec in specs if spec.name not in names]
    if lacking:
        raise InputError(
            f"{path}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}, which the "
            "model needs; a column may be empty where values are missing"
        )
    identifiers: list[str] = []
    for row, identifier in enumerate(_texts(table, id_column), start=1):
        if identifier is None:
            raise InputError(f"{path}: row {row} has no id in column '{id_column}'")
        identifiers.append(identifier)
    if not identifiers:
        raise InputError(f"{path}: holds no borrower")
    return BorrowerFile(path, identifiers, [_column(table, spec, path) for spec in specs])


def write_scores(path: Path, columns: dict[str, Any]) -> None:
    """Write a table of scores, all of it or nothing; CSV unless the name ends in .parquet.

    Raises:
        InputError: the file's name has another ending, or can't be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: ends in '{path.suffix}'; .csv or .parquet is right")
    table = pa.table(columns)
    buffer = pa.BufferOutputStream()
    if path.suffix == ".parquet":
        pq.write_table(table, buffer)
    else:
        pa_csv.write_csv(table, buffer)
    try:
        write_private(path, buffer.getvalue().to_pybytes())
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror})") from error


def _read(path: Path) -> pa.Table:
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: ends in '{path.suffix}'; .csv or .parquet is right")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        with pa_csv.open_csv(path) as head:
            texts = {name: pa.string() for name in head.schema.names}
        # Every cell as text: '007' is an id, and a missing code is told by its spelling.
        return pa_csv.read_csv(
            path,
            convert_options=pa_csv.ConvertOptions(
                column_types=texts, strings_can_be_null=False, check_utf8=True
            ),
        )
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror or 'no such format'})") from None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        # What Arrow says ends in the row itself, with its id and values: only the counts are told.
        counts = _COUNTS.search(str(error))
        reason = f"; a row has {counts[2]} columns, the header {counts[1]}" if counts else ""
        raise InputError(f"{path}: can't be read as {path.suffix[1:]}{reason}") from None


def _texts(table: pa.Table, name: str) -> list[str | None]:
    try:
        texts: list[str | None] = pc.cast(table.column(name), pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"column '{name}' can't be read as text") from error
    return [None if text is None or text in MISSING_TEXTS else text for text in texts]


def _column(table: pa.Table, spec: FeatureSpec, path: Path) -> GivenColumn:
    column = table.column(spec.name)
    if spec.kind is FeatureKind.CATEGORICAL:
        texts = _texts(table, spec.name)
        absent = np.array([text is None for text in texts], dtype=np.bool_)
        return GivenColumn(spec.name, [text or "" for text in texts], absent)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = column.to_numpy().astype(np.float64)
        missing = np.isnan(values)
        return GivenColumn(spec.name, np.where(missing, 0.0, values), missing)
    texts = _texts(table, spec.name)
    numbers = np.zeros(len(texts))
    for row, text in enumerate(texts):
        try:
            # float() would take '1_000' for a number.
            numbers[row] = 0.0 if text is None else float(text.replace("_", "no number"))
        except ValueError as error:
            raise InputError(
                f"{path}: row {row + 1}, column '{spec.name}': is no number; a number or nothing "
                "is right"
            ) from error
    return GivenColumn(spec.name, numbers, np.array([text is None for text in texts], np.bool_))

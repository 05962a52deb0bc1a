"""Columns of a CSV or Parquet file, read as text or as numbers; errors name row and column.

Rows are named by their place under the header: the first is 'row 1', and where a CSV file has one
line a row, its line is named too ('row 1, line 2'). Sentences name places and kinds of values,
never a value: they can end up in another party's log.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from clients.cell_values import (
    MISSING_NUMBERS,
    TextColumn,
    category_text,
    encode_text,
    floats_of,
    parse_number,
    parse_numbers,
)
from clients.manifest import SourceSettings
from clients.settings_file import suggest
from federation.errors import InputError

_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True)
class TabularColumns:
    """What was read: ids as they stand, texts and numbers (NaN is missing) by column."""

    row_count: int
    identifiers: list[object]
    texts: Mapping[str, TextColumn]
    numbers: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TabularFile:
    """A CSV or Parquet file with a header."""

    source: SourceSettings

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.source.path

    @property
    def is_csv(self) -> bool:
        """Say whether the file is CSV; otherwise it is Parquet."""
        return self.path.suffix.lower() == ".csv"

    @cached_property
    def column_names(self) -> list[str]:
        """The header.

        Raises:
            InputError: the file is missing, empty, or not what its ending says.
        """
        try:
            if not self.is_csv:
                return list(pa.parquet.read_schema(self.path).names)
            # 'utf-8-sig' is UTF-8 without the mark that spreadsheets put first.
            utf8 = self.source.encoding.casefold().replace("_", "-") in ("utf-8", "utf8")
            with self.path.open(
                encoding="utf-8-sig" if utf8 else self.source.encoding, newline=""
            ) as text:
                return next(csv.reader(text, delimiter=self.source.separator), [])
        except FileNotFoundError:
            raise InputError(
                f"{self.path}: there is no such file; set 'path' of the manifest to where the "
                "table lies (relative to the manifest)"
            ) from None
        except UnicodeDecodeError:
            raise self._encoding_error() from None
        except (OSError, pa.ArrowInvalid, csv.Error) as error:
            kind = "a CSV table" if self.is_csv else "a Parquet table"
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise InputError(f"{self.path}: cannot be read{reason}; it must be {kind}") from None

    def row_name(self, position: int) -> str:
        """Name a row by its position from 0."""
        row = f"row {position + 1}"
        return f"{row} (line {position + 2})" if self._one_line_a_row else row

    def require(self, column: str, asked_by: str) -> None:
        """Refuse a column that the file lacks, or has twice.

        Args:
            column: its name.
            asked_by: who asks ("bank/manifest.toml: [ids] column"), for the error's sentence.
        """
        found = self.column_names.count(column)
        if found == 1:
            return
        if found > 1:
            raise InputError(
                f"{self.path}: has {found} columns named '{column}'; {asked_by} needs exactly one"
            )
        if not self.column_names:
            raise InputError(f"{self.path}: is empty; its first line must name the columns")
        hint = suggest(column, self.column_names)
        if self.is_csv and len(self.column_names) == 1:
            for other in ";\t|,":
                if other != self.source.separator and other in self.column_names[0]:
                    shown = "\\t" if other == "\t" else other
                    hint = f"its columns look separated by '{shown}': set separator = \"{shown}\""
        raise InputError(f"{asked_by} is '{column}', which {self.path} does not have; {hint}")

    def read(
        self,
        *,
        identifiers: str,
        texts: Iterable[str] = (),
        numbers: Mapping[str, Sequence[str | float]] | None = None,
    ) -> TabularColumns:
        """Read some columns; every name must have passed `require`.

        Args:
            identifiers: the column of ids; read as text, so that leading zeros stay.
            texts: columns of text; white space around a value is not part of it.
            numbers: columns of numbers, each with its codes for 'missing'.

        Raises:
            InputError: the file is not a table, or a value is not a finite number where a number
                must be.
        """
        numbers = numbers or {}
        texts = list(texts)
        table, typed = self._read_table(identifiers, texts, numbers)
        read_numbers: dict[str, npt.NDArray[np.float64]] = {}
        for name, codes in numbers.items():
            column = table.column(name)
            values = (
                self._as_numbers(name, column, codes) if name not in typed else floats_of(column)
            )
            for code in codes:
                if (number := parse_number(str(code), ".")) is not None:
                    values[values == number] = np.nan
            infinite = np.flatnonzero(np.isinf(values))
            if infinite.size:
                raise self._number_error(name, int(infinite[0]), "an infinite number")
            read_numbers[name] = values
        return TabularColumns(
            row_count=table.num_rows,
            identifiers=self._as_identifiers(identifiers, table.column(identifiers)),
            texts={name: encode_text(table.column(name), category_text) for name in texts},
            numbers=read_numbers,
        )

    @cached_property
    def _one_line_a_row(self) -> bool:
        """Whether no row spans lines and no line is blank, so that lines can be counted."""
        if not self.is_csv:
            return False
        with self.path.open("rb") as stream:
            lines = [line.strip() != b"" and line.count(b'"') % 2 == 0 for line in stream]
        return all(lines)

    def _read_table(
        self, identifiers: str, texts: list[str], numbers: Mapping[str, Sequence[str | float]]
    ) -> tuple[pa.Table, frozenset[str]]:
        """Read the columns; return them and the names of those that came as numbers at once."""
        names = [identifiers, *texts, *numbers]
        if not self.is_csv:
            try:
                table = pa.parquet.read_table(self.path, columns=names)
            except (OSError, pa.ArrowException):
                raise InputError(
                    f"{self.path}: cannot be read; the Parquet file is damaged"
                ) from None
            is_number = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal
            return table, frozenset(
                name
                for name in numbers
                if any(test(table.schema.field(name).type) for test in is_number)
            )
        # A column with a text code for 'missing' is read as text and converted value by value.
        typed = frozenset(
            name
            for name, codes in numbers.items()
            if all(parse_number(str(code), ".") is not None for code in codes)
        )
        try:
            return self._read_csv(names, typed), typed
        except pa.ArrowInvalid as error:
            if "conversion error to double" not in str(error):
                raise self._csv_error(str(error)) from None
        # Some cell is no plain number: it may be spelled '+5' or ' ', or it is wrong; reading
        # everything as text lets the conversion say which row it is.
        try:
            return self._read_csv(names, frozenset()), frozenset()
        except pa.ArrowInvalid as error:
            raise self._csv_error(str(error)) from None

    def _read_csv(
        self, names: list[str], typed: frozenset[str], *, threads: bool = True
    ) -> pa.Table:
        """Read columns of a CSV file, those of `typed` as numbers, all others as text."""
        try:
            return pa.csv.read_csv(
                self.path,
                read_options=pa.csv.ReadOptions(
                    use_threads=threads, encoding=self.source.encoding, block_size=8 << 20
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.source.separator, newlines_in_values=True
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=names,
                    column_types={
                        name: pa.float64() if name in typed else pa.string() for name in names
                    },
                    null_values=list(MISSING_NUMBERS),
                    decimal_point=self.source.decimal,
                ),
            )
        except UnicodeDecodeError:
            raise self._encoding_error() from None
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror or error})") from None

    def _csv_error(self, reason: str) -> InputError:
        """Turn the reader's error, which quotes values, into a sentence that does not."""
        if "UTF8" in reason:
            return self._encoding_error()
        match = _RAGGED.search(reason)
        if match and match.group(1) is None:
            # With threads the reader does not count rows; read again without, to name the row.
            try:
                self._read_csv(self.column_names[:1], frozenset(), threads=False)
            except pa.ArrowInvalid as error:
                match = _RAGGED.search(str(error)) or match
        if match:
            place = self.row_name(int(match.group(1)) - 2) if match.group(1) else "a row"
            return InputError(
                f"{self.path}: {place} has {match.group(3)} cells where the header names "
                f"{match.group(2)} columns; every row needs one cell a column"
            )
        return InputError(f"{self.path}: is not a CSV table; it must be one with a header line")

    def _encoding_error(self) -> InputError:
        """Say that the file's text is in another encoding than declared."""
        return InputError(
            f"{self.path}: is not {self.source.encoding} text; set 'encoding' of the manifest's "
            '[source], for example to "latin-1", or save the file as UTF-8'
        )

    def _as_identifiers(self, name: str, column: pa.ChunkedArray) -> list[object]:
        """Return ids as text or whole numbers, None where there is none."""
        if pa.types.is_floating(column.type):
            # A table of whole numbers with gaps is often stored as floats.
            values = floats_of(column)
            fractions = np.flatnonzero(~np.isnan(values) & (np.abs(values) > 2**53))
            fractions = np.union1d(fractions, np.flatnonzero(np.mod(values, 1) > 0))
            if fractions.size:
                raise InputError(
                    f"{self.path}, column '{name}': {self.row_name(int(fractions[0]))} has a "
                    "fraction or a rounded number as its id; store ids as text"
                )
            return [None if math.isnan(value) else int(value) for value in values.tolist()]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (_is_text(column.type) or pa.types.is_integer(column.type)):
            raise InputError(
                f"{self.path}, column '{name}': holds values of type {column.type}; "
                "ids must be text or whole numbers"
            )
        identifiers: list[object] = column.to_pylist()
        return identifiers

    def _as_numbers(
        self, name: str, column: pa.ChunkedArray, codes: Sequence[str | float]
    ) -> npt.NDArray[np.float64]:
        """Convert a column that was not read as numbers, value by distinct value."""
        if pa.types.is_boolean(column.type):
            return floats_of(column.cast(pa.int8()))
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        if not _is_text(column.type):
            first = int(pc.index(pc.is_valid(column), True).as_py())
            raise self._number_error(name, max(first, 0), f"a value of type {column.type}")
        decimal = self.source.decimal
        numbers, wrong = parse_numbers(column, decimal, codes)
        if wrong is not None:
            raise self._number_error(name, wrong.row, wrong.kind)
        return numbers

    def _number_error(self, name: str, position: int, kind: str) -> InputError:
        """Say where a number should be and what is there."""
        return InputError(
            f"{self.path}, column '{name}': {self.row_name(position)} has {kind} where a number "
            "must be; correct it, list it under 'missing', or make the feature categorical"
        )


def _is_text(kind: pa.DataType) -> bool:
    """Say whether a column's type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

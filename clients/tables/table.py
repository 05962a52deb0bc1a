"""What all tables have in common: columns by name, rows by position, and batches of both.

Rows are named as a person finds them: by line in a CSV file, by file and row in a folder of Parquet
files. Sentences name places and kinds of values, never a value: they can end up in another party's
log.

A source may be far larger than memory. What is kept of it are the columns asked for: floats, texts
as indices into their distinct values, and ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clients.cell_values import (
    TextCollector,
    TextColumn,
    category_text,
    floats_of,
    is_text,
    numbers_of,
    plain_array,
    type_name,
)
from federation.errors import InputError

OnProgress = Callable[[int], None]


class Table(Protocol):
    """A table that can be read again and again."""

    @property
    def place(self) -> str:
        """What errors name: the file, the folder, or the manifest and its table."""

    @property
    def keeps_order(self) -> bool:
        """Whether every reading gives the rows in the same order."""

    @property
    def decimal(self) -> str:
        """The decimal sign of numbers that come as text."""

    @property
    def column_names(self) -> list[str]:
        """The columns.

        Raises:
            InputError: the table is missing, or not what the manifest says.
        """

    def hint(self, column: str) -> str:
        """Say what may be meant by a column that is not there."""

    def row_name(self, position: int) -> str:
        """Name a row by its position from 0 in the last reading."""

    def batches(
        self, columns: Sequence[str], texts: frozenset[str]
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read some columns in batches of bounded size.

        Args:
            columns: their names, no two alike, all of which passed `require`.
            texts: those of them with few distinct values, to be encoded where the source can.

        Raises:
            InputError: the source is damaged, or goes away.
        """


@dataclass(frozen=True)
class Columns:
    """What was read: ids as they stand, texts and numbers (NaN is missing) by column."""

    row_count: int
    identifiers: list[object]
    texts: Mapping[str, TextColumn]
    numbers: Mapping[str, npt.NDArray[np.float64]]


def require(table: Table, column: str, asked_by: str) -> None:
    """Refuse a column that a table lacks, or has twice.

    Args:
        table: the table.
        column: its name.
        asked_by: who asks ("bank/manifest.toml: [ids] column"), for the error's sentence.
    """
    found = table.column_names.count(column)
    if found == 1:
        return
    if found > 1:
        raise InputError(
            f"{table.place}: has {found} columns named '{column}'; {asked_by} needs exactly one"
        )
    if not table.column_names:
        raise InputError(f"{table.place}: is empty; its first line must name the columns")
    raise InputError(
        f"{asked_by} is '{column}', which {table.place} does not have; {table.hint(column)}"
    )


def read_columns(
    table: Table,
    *,
    identifiers: str,
    texts: Iterable[str] = (),
    numbers: Mapping[str, Sequence[str | float]] | None = None,
    on_progress: OnProgress | None = None,
) -> Columns:
    """Read some columns; every name must have passed `require`.

    Args:
        table: the table.
        identifiers: the column of ids; read as text, so that leading zeros stay.
        texts: columns of text; white space around a value is not part of it.
        numbers: columns of numbers, each with its codes for 'missing'.
        on_progress: told the number of rows read so far, after every batch.

    Raises:
        InputError: the source is not a table, or a value is not a finite number where a number
            must be.
    """
    numbers = numbers or {}
    collectors = {name: TextCollector(category_text) for name in texts}
    chunks: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in numbers}
    found: list[object] = []
    names = list(dict.fromkeys([identifiers, *collectors, *numbers]))
    # Closed at once where a value is wrong: files and connections must not wait for the collector.
    with closing(table.batches(names, frozenset(collectors))) as batches:
        for batch in batches:
            done = len(found)
            for name, codes in numbers.items():
                values, wrong = numbers_of(batch.column(name), table.decimal, codes)
                if wrong is not None:
                    raise _number_error(table, name, done + wrong.row, wrong.kind)
                chunks[name].append(values)
            for name, collector in collectors.items():
                if pa.types.is_nested(batch.column(name).type):
                    raise InputError(
                        f"{table.place}, column '{name}': holds values of type "
                        f"{type_name(batch.column(name).type)}; a column must hold text, numbers, "
                        "truth values or dates"
                    )
                collector.add(batch.column(name))
            found += _identifiers(table, identifiers, batch.column(identifiers), done)
            if on_progress is not None:
                on_progress(len(found))
    return Columns(
        row_count=len(found),
        identifiers=found,
        texts={name: collector.finish() for name, collector in collectors.items()},
        # One column after another, so that no second copy of all of them is ever there.
        numbers={name: _joined(chunks.pop(name)) for name in list(chunks)},
    )


def _joined(chunks: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return np.concatenate(chunks) if chunks else np.empty(0)


def _identifiers(table: Table, name: str, column: pa.Array, done: int) -> list[object]:
    """Return a batch of ids as text or whole numbers, None where there is none."""
    column = plain_array(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        # A table of whole numbers with gaps is often stored as floats.
        values = floats_of(column)
        rounded = ~np.isnan(values) & (np.abs(values) > 2**53)
        fractions = np.flatnonzero(rounded | (np.mod(values, 1) > 0))
        if fractions.size:
            raise InputError(
                f"{table.place}, column '{name}': {table.row_name(done + int(fractions[0]))} has a "
                "fraction or a rounded number as its id; store ids as text"
            )
        return [None if math.isnan(value) else int(value) for value in values.tolist()]
    if not (is_text(column.type) or pa.types.is_integer(column.type)) and column.null_count < len(
        column
    ):
        raise InputError(
            f"{table.place}, column '{name}': holds values of type {type_name(column.type)}; "
            "ids must be text or whole numbers"
        )
    identifiers: list[object] = column.to_pylist()
    return identifiers


def _number_error(table: Table, name: str, position: int, kind: str) -> InputError:
    """Say where a number should be and what is there."""
    return InputError(
        f"{table.place}, column '{name}': {table.row_name(position)} has {kind} where a number "
        "must be; correct it, list it under 'missing', or make the feature categorical"
    )

"""A copy of a bank's rows as they were when a run began, in its own vault.

A run's steps may come to different processes and over days: the copy keeps the rows the same, and
spares reading and checking the source each time. Parquet: floats, texts, and three small columns.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clients.vault import write_private
from federation.errors import InputError
from federation.horizontal.rows import BankRows
from federation.neural.schema import InputSchema
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

_LABEL, _PART = "label", "part"
_FEATURE = "feature: "
_NOTES = b"veilscore notes"


def write_rows(path: Path, rows: BankRows) -> None:
    """Write the copy, mode 0600."""
    columns = {_FEATURE + name: pa.array(column.values) for name, column in rows.columns.items()}
    table = pa.table({_LABEL: rows.labels, _PART: rows.parts, **columns})
    table = table.replace_schema_metadata({_NOTES: "\n".join(rows.notes).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_private(path, sink.getvalue().to_pybytes())


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock file; another process that asks for it waits."""
    for folder in reversed(path.parents):
        folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_rows(path: Path, schema: InputSchema) -> BankRows:
    """Read the copy back.

    Raises:
        InputError: the file is damaged, or of other columns.
    """
    try:
        return _rows_of(pq.read_table(path), schema)
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not the rows that this run began with; without them this bank can't go on "
            "with the run: start a new one"
        ) from error


def _rows_of(table: pa.Table, schema: InputSchema) -> BankRows:
    present = np.ones(table.num_rows, dtype=np.bool_)
    columns = {}
    for column in schema.numeric:
        spec = FeatureSpec(column.name, FeatureKind.NUMERIC, column.unit)
        values = table.column(_FEATURE + column.name).to_numpy()
        columns[column.name] = FeatureColumn(spec, values.astype(np.float64), present)
    for choice in schema.categorical:
        spec = FeatureSpec(choice.name, FeatureKind.CATEGORICAL, categories=choice.categories)
        texts = table.column(_FEATURE + choice.name).to_pylist()
        columns[choice.name] = FeatureColumn(spec, np.array(texts, dtype=object), present)
    notes = (table.schema.metadata or {}).get(_NOTES, b"").decode()
    return BankRows(
        columns,
        table.column(_LABEL).to_numpy().astype(np.uint8),
        table.column(_PART).to_numpy().astype(np.uint8),
        tuple(notes.split("\n")) if notes else (),
    )

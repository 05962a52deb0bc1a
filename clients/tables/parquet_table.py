"""A Parquet file, a folder of them, or all files of a pattern; read page by page.

Folders called 'region=north' (hive partitions) give their files a column 'region'; its values are
text, so that '01' stays '01'. The files are read one after another in the order of their names,
each by its own types: pyarrow's datasets would take the first file's types for all, and fill a
column that some file lacks with nulls.
"""

from __future__ import annotations

import glob
from bisect import bisect_right
from collections.abc import Generator, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from clients.cell_values import is_text
from clients.settings_file import suggest
from clients.source_settings import FileSource
from federation.errors import InputError

BATCH_ROWS = 1 << 16
# Column chunks are read through a buffer of this size instead of whole.
BUFFER_BYTES = 1 << 18
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class ParquetTable:
    """Rows are named 'row 3', or 'file part-2.parquet, row 3' where there are several files.

    Args:
        source: the file, folder or pattern.
    """

    keeps_order = True

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._path = source.path
        self._first_rows: list[int] = []

    @property
    def place(self) -> str:
        """The file, folder or pattern."""
        return self._source.place

    @property
    def decimal(self) -> str:
        """The decimal sign of numbers that are stored as text."""
        return self._source.decimal

    @cached_property
    def column_names(self) -> list[str]:
        """The columns of the first file and of its folders' names."""
        first = self._files[0]
        own = list(self._open(first).schema_arrow.names)
        return own + [name for name in self._partitions(first) if name not in own]

    def hint(self, column: str) -> str:
        """Suggest a column."""
        return suggest(column, self.column_names)

    def row_name(self, position: int) -> str:
        """Name a row, and its file where there are several."""
        if self._is_one_file:
            return f"row {position + 1}"
        file = max(bisect_right(self._first_rows, position) - 1, 0)
        return f"file {self._name(self._files[file])}, row {position - self._first_rows[file] + 1}"

    def batches(
        self, columns: Sequence[str], texts: frozenset[str]
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read columns; texts keep the encoding by dictionary that they have in the file."""
        encoded = [self._check(path, columns, texts) for path in self._files]
        self._first_rows = []
        done = 0
        for path, as_dictionary in zip(self._files, encoded, strict=True):
            self._first_rows.append(done)
            partitions = self._partitions(path)
            try:
                with self._open(path, as_dictionary) as file:
                    own = [name for name in columns if name in file.schema_arrow.names]
                    # Without any column of its own a file still says how many rows it has.
                    read = own or file.schema_arrow.names[:1]
                    for batch in file.iter_batches(BATCH_ROWS, columns=read, use_threads=False):
                        yield _with_partitions(batch, columns, partitions)
                        done += batch.num_rows
            except (OSError, pa.ArrowException):
                raise InputError(f"{path}: cannot be read; the Parquet file is damaged") from None

    @cached_property
    def _is_one_file(self) -> bool:
        return self._path.is_file()

    @cached_property
    def _files(self) -> list[Path]:
        """The files, by name; without those that writers keep for themselves ('_', '.')."""
        if self._is_one_file:
            return [self._path]
        if self._path.is_dir():
            paths, meaning = self._root.rglob("*.parquet"), "holds"
        elif glob.has_magic(str(self._path)):
            paths, meaning = self._root.glob(str(self._path.relative_to(self._root))), "fits"
        else:
            raise InputError(
                f"{self._path}: there is no such file; set 'path' of the manifest to where the "
                "table lies (relative to the manifest)"
            )
        files = sorted(
            path
            for path in paths
            if path.is_file()
            and not any(part[0] in "_." for part in path.relative_to(self._root).parts)
        )
        if not files:
            raise InputError(
                f"{self._path}: {meaning} no .parquet file; set 'path' of the manifest to a file, "
                "a folder of Parquet files, or a pattern that some files fit"
            )
        return files

    @cached_property
    def _root(self) -> Path:
        """The folder below which partitions begin; of a pattern, what is fixed of it."""
        if self._is_one_file:
            return self._path.parent
        root = self._path
        while glob.has_magic(str(root)) and not root.is_dir():
            root = root.parent
        return root

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _partitions(self, path: Path) -> dict[str, str | None]:
        """The columns that a file's folders give it."""
        parts = [part.partition("=") for part in path.relative_to(self._root).parts[:-1]]
        found = {unquote(key): unquote(value) for key, sign, value in parts if key and sign}
        return {key: None if value == _NULL_PARTITION else value for key, value in found.items()}

    def _open(self, path: Path, as_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(
                path,
                read_dictionary=list(as_dictionary),
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
            )
        except (OSError, pa.ArrowException) as error:
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise InputError(
                f"{path}: cannot be read{reason}; it must be a Parquet table"
            ) from None

    def _check(self, path: Path, columns: Sequence[str], texts: frozenset[str]) -> list[str]:
        """Find out before anything is read whether every file has every column.

        Returns:
            Those of the texts that the file holds as text, to be read by its dictionary.
        """
        with self._open(path) as file:
            schema = file.schema_arrow
        names = schema.names
        lacking = [name for name in columns if name not in {*names, *self._partitions(path)}]
        twice = [name for name in columns if names.count(name) > 1]
        if lacking or twice:
            what = f"has no column '{lacking[0]}'" if lacking else f"has '{twice[0]}' twice"
            raise InputError(
                f"{self.place}: file {self._name(path)} {what}, unlike file "
                f"{self._name(self._files[0])}; all files of a table need the same columns"
            )
        return [name for name in texts if name in names and is_text(schema.field(name).type)]


def _with_partitions(
    batch: pa.RecordBatch, columns: Sequence[str], partitions: dict[str, str | None]
) -> pa.RecordBatch:
    """Put the columns together that a file and its folders give."""
    arrays = [
        batch.column(name)
        if name in batch.schema.names
        else pa.repeat(pa.scalar(partitions[name], pa.string()), batch.num_rows)
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))

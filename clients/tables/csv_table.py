"""A CSV file with a header, read as a stream. Every cell comes as text, so that ids keep zeros."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Sequence
from functools import cached_property

import pyarrow as pa
import pyarrow.csv

from clients.settings_file import suggest
from clients.source_settings import FileSource
from federation.errors import InputError

BLOCK_BYTES = 8 << 20

_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


class CsvTable:
    """Rows are named by their place under the header, and by line where one line is one row.

    Args:
        source: the file and how it is written.
    """

    keeps_order = True

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._path = source.path

    @property
    def place(self) -> str:
        """The file."""
        return self._source.place

    @property
    def decimal(self) -> str:
        """The manifest's decimal sign."""
        return self._source.decimal

    @cached_property
    def column_names(self) -> list[str]:
        """The header; empty where the file is."""
        # 'utf-8-sig' is UTF-8 without the mark that spreadsheets put first.
        utf8 = self._source.encoding.casefold().replace("_", "-") in ("utf-8", "utf8")
        try:
            with self._path.open(
                encoding="utf-8-sig" if utf8 else self._source.encoding, newline=""
            ) as text:
                return next(csv.reader(text, delimiter=self._source.separator), [])
        except FileNotFoundError:
            raise InputError(
                f"{self._path}: there is no such file; set 'path' of the manifest to where the "
                "table lies (relative to the manifest)"
            ) from None
        except UnicodeDecodeError:
            raise self._encoding_error() from None
        except (OSError, csv.Error) as error:
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise InputError(
                f"{self._path}: cannot be read{reason}; it must be a CSV table"
            ) from None

    def hint(self, column: str) -> str:
        """Suggest a column, or the separator that the header seems to have."""
        if len(self.column_names) == 1:
            for other in ";\t|,":
                if other != self._source.separator and other in self.column_names[0]:
                    shown = "\\t" if other == "\t" else other
                    return f"its columns look separated by '{shown}': set separator = \"{shown}\""
        return suggest(column, self.column_names)

    def row_name(self, position: int) -> str:
        """Name a row: 'row 1 (line 2)'."""
        row = f"row {position + 1}"
        return f"{row} (line {position + 2})" if self._one_line_a_row else row

    def batches(
        self, columns: Sequence[str], texts: frozenset[str] = frozenset()
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read columns as text, a few thousand rows at once."""
        try:
            with pa.csv.open_csv(
                self._path,
                # One thread: with more, errors don't say which row they mean; and turning text
                # into numbers costs more than finding it.
                read_options=pa.csv.ReadOptions(
                    use_threads=False, encoding=self._source.encoding, block_size=BLOCK_BYTES
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self._source.separator, newlines_in_values=True
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict.fromkeys(columns, pa.string()),
                ),
            ) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            raise self._error(str(error)) from None
        except UnicodeDecodeError:
            raise self._encoding_error() from None
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read ({error.strerror or error})") from None

    @cached_property
    def _one_line_a_row(self) -> bool:
        """Whether no row spans lines and no line is blank, so that lines can be counted."""
        with self._path.open("rb") as stream:
            return all(line.strip() != b"" and line.count(b'"') % 2 == 0 for line in stream)

    def _error(self, reason: str) -> InputError:
        """Turn the reader's error, which quotes values, into a sentence that does not."""
        if "UTF8" in reason:
            return self._encoding_error()
        if match := _RAGGED.search(reason):
            place = self.row_name(int(match.group(1)) - 2) if match.group(1) else "a row"
            return InputError(
                f"{self._path}: {place} has {match.group(3)} cells where the header names "
                f"{match.group(2)} columns; every row needs one cell a column"
            )
        if "straddl" in reason:
            return InputError(
                f"{self._path}: a row is longer than {BLOCK_BYTES >> 20} MiB; probably a quote is "
                "opened and not closed"
            )
        return InputError(f"{self._path}: is not a CSV table; it must be one with a header line")

    def _encoding_error(self) -> InputError:
        """Say that the file's text is in another encoding than declared."""
        return InputError(
            f"{self._path}: is not {self._source.encoding} text; set 'encoding' of the manifest's "
            '[source], for example to "latin-1", or save the file as UTF-8'
        )

"""Rows of a CSV file beside the fleet file, each as an `Entry`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from iot.errors import FleetInvalid
from iot.fleet.entry import Entry

if TYPE_CHECKING:
    import _csv


def read_rows(
    path: Path, columns: tuple[str, ...], needed: tuple[str, ...], most_bytes: int
) -> Iterator[Entry]:
    """Read a table with a header.

    Args:
        path: of the file, UTF-8.
        columns: that may stand in the header, in any order, each once.
        needed: those of them that must.
        most_bytes: that the file may have.

    Raises:
        FleetInvalid: names the file and the line, and says what would be right.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise FleetInvalid(f"{path}: is larger than {most_bytes} bytes.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, csv.reader(file, strict=True), columns, needed)
    except OSError as error:
        raise FleetInvalid(f"{path}: can't be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise FleetInvalid(f"{path}: is no UTF-8 text; save it as UTF-8.") from None


def _rows(
    path: Path, reader: _csv.Reader, columns: tuple[str, ...], needed: tuple[str, ...]
) -> Iterator[Entry]:
    header: list[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = cells
                _check_header(path, header, columns, needed)
            elif len(cells) != len(header):
                # csv gives an empty line as no cells.
                if cells:
                    raise FleetInvalid(
                        f"{path}, line {reader.line_num}: has {len(cells)} cells where the header "
                        f"has {len(header)}; give every column one."
                    )
            else:
                place = f"{path}, line {reader.line_num}"
                yield Entry(dict(zip(header, cells, strict=True)), place, None)
    except csv.Error as error:
        raise FleetInvalid(f"{path}, line {reader.line_num}: is no CSV ({error}).") from None
    if header is None:
        raise FleetInvalid(f"{path}: is empty; its first line must be {','.join(columns)}.")


def _check_header(
    path: Path, header: list[str], columns: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    for column in header:
        if column not in columns:
            raise FleetInvalid(
                f"{path}, line 1, {column[:64]!r}: is not known; the columns are "
                f"{', '.join(columns)}."
            )
        if header.count(column) > 1:
            raise FleetInvalid(f"{path}, line 1, {column}: stands there twice.")
    for column in needed:
        if column not in header:
            raise FleetInvalid(f"{path}, line 1, {column}: is missing; it is a needed column.")

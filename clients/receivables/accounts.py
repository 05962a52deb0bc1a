"""Which accounts on chain are whose: the table of borrowers beside the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import compress

import pyarrow as pa
from eth_utils.address import is_address, is_checksum_address, to_checksum_address

from clients.cell_values import plain_array, text_of
from clients.source_settings import ReceivablesSource
from clients.tables.table import Table, require
from contracts.units import Address
from federation.errors import InputError

Cell = str | None


@dataclass(frozen=True)
class Borrowers:
    """Borrowers in the order of their table.

    Attributes:
        rows: where each appears first, positions from 0, by its id as it stands there.
        accounts: whose each account is, by its EIP-55 address, in the table's order.
        account_rows: where each account stands.
        columns: the table's further columns, one cell a borrower, such as the end of a consent.
    """

    rows: dict[str, int]
    accounts: dict[Address, str]
    account_rows: dict[Address, int]
    columns: dict[str, tuple[Cell, ...]]

    def only(self, names: set[str]) -> Borrowers:
        """Some of them."""
        kept = [name in names for name in self.rows]
        return Borrowers(
            {name: row for name, row in self.rows.items() if name in names},
            {account: name for account, name in self.accounts.items() if name in names},
            self.account_rows,
            {key: tuple(compress(cells, kept)) for key, cells in self.columns.items()},
        )


def read_borrowers(table: Table, source: ReceivablesSource, further: Sequence[str]) -> Borrowers:
    """Read borrowers and their accounts.

    Args:
        table: of `source.borrowers`.
        source: the manifest's.
        further: more columns to read of it.

    Raises:
        InputError: a column is missing, a row has no borrower or no account, an account is none or
            stands there twice, or the rows of one borrower differ in a further column.
    """
    for key, column in (
        ("borrower_column", source.borrower_column),
        ("account_column", source.account_column),
    ):
        require(table, column, f"{source.where} '{key}'")
    rows: dict[str, int] = {}
    accounts: dict[Address, str] = {}
    account_rows: dict[Address, int] = {}
    cells: dict[str, tuple[Cell, ...]] = {}
    for row, (name, account, *others) in enumerate(_rows(table, source, further)):
        where = f"{table.place}, column '{{}}': {table.row_name(row)}"
        if not name:
            raise InputError(
                f"{source.place}, column '{source.borrower_column}': {table.row_name(row)} has no "
                "id (it is empty or NaN); every row needs one"
            )
        address = _address(account, where.format(source.account_column))
        if address in accounts:
            raise InputError(
                f"{where.format(source.account_column)} has the account of "
                f"{table.row_name(account_rows[address])} again; an account belongs to one "
                "borrower, and stands there once"
            )
        accounts[address], account_rows[address] = name, row
        rows.setdefault(name, row)
        first = cells.setdefault(name, tuple(others))
        if first != tuple(others):
            column = next(c for c, a, b in zip(further, first, others, strict=True) if a != b)
            raise InputError(
                f"{where.format(column)} differs from {table.row_name(rows[name])}, which is the "
                "same borrower's; all rows of a borrower must agree"
            )
    columns = {
        key: tuple(row[place] for row in cells.values()) for place, key in enumerate(further)
    }
    return Borrowers(rows, accounts, account_rows, columns)


def _rows(
    table: Table, source: ReceivablesSource, further: Sequence[str]
) -> Iterator[tuple[Cell, ...]]:
    columns = [source.borrower_column, source.account_column, *further]
    with closing(table.batches(columns, frozenset())) as batches:
        for batch in batches:
            yield from zip(*(_texts(batch.column(name)) for name in columns), strict=True)


def _texts(column: pa.Array) -> list[Cell]:
    """A column's cells as text; ids stay as they stand."""
    values = plain_array(column).to_pylist()
    return [None if value is None else text_of(value) for value in values]


def _address(account: Cell, where: str) -> Address:
    text = (account or "").strip()
    if not text.startswith("0x") or not is_address(text):
        raise InputError(f"{where} has no address of an account; write 0x and 40 hex digits")
    # In one case it holds no checksum; in both, eth_utils alone would let a wrong one pass.
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and not is_checksum_address(text):
        raise InputError(
            f"{where} has an address whose upper and lower case (EIP-55) does not fit its digits; "
            "copy it again from where it comes from"
        )
    return Address(to_checksum_address(text))

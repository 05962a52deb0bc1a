"""The book's rows out of the derived tables and back into them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from contracts.index.book import Book, Invoice, Leaf, Loan, Order
from contracts.index.decoding import Event
from contracts.index.event_numbers import FIRST_ORDER, amount
from contracts.index.event_rows import read_events
from contracts.index.schema import LARGEST, events, invoices, leaves, loans, orders

BATCH = 500  # ids a statement; SQLite allows at least 999 parameters

_Key = TypeVar("_Key", int, str)
_Row = TypeVar("_Row")


def claims_of(found: Iterable[Event]) -> tuple[set[int], set[str]]:
    """Ids of leaves and of orders that events are about.

    Raises:
        AmountTooLarge: a list names an id that the tables can't hold.
    """
    leaf_ids: set[int] = set()
    order_ids: set[str] = set()
    for event in found:
        if event.claim is None or event.contract not in ("registry", "pool", "orders"):
            continue
        claim = int(event.claim)
        if claim > FIRST_ORDER:
            order_ids.add(event.claim)
        elif claim <= LARGEST:
            leaf_ids.add(claim)
        if event.name == "ReceivableMerged":
            leaf_ids.update(id_ for id_ in map(int, event.arguments["parents"]) if id_ <= LARGEST)
        elif event.name == "ReceivableSplit":
            leaf_ids.update(id_ for id_ in map(int, event.arguments["children"]) if id_ <= LARGEST)
        elif event.name == "OrderConverted":
            leaf_ids.add(amount(event, "receivable"))
    return leaf_ids, order_ids


def load_book(connection: Connection, found: Iterable[Event]) -> Book:
    """As much of the state as these events concern."""
    leaf_ids, order_ids = claims_of(found)
    book = Book()
    # A pool is admitted once and for good, in an event among a handful.
    admitted = read_events(connection, events.c.name == "PoolAdmitted")
    before = min((event.block_number for event in found), default=0)
    for event in admitted:
        if event.block_number < before:
            book.pools.add(event.text("pool"))
    book.leaves = _load(connection, leaves, leaves.c.id, leaf_ids, Leaf)
    roots = {leaf.root for leaf in book.leaves.values()}
    book.invoices = _load(connection, invoices, invoices.c.root, roots, Invoice)
    book.loans = _load(connection, loans, loans.c.id, leaf_ids, Loan)
    book.orders = _load(connection, orders, orders.c.id, order_ids, Order)
    return book


def write_book(connection: Connection, book: Book) -> None:
    """Write the rows that were touched."""
    _upsert(connection, invoices, book.invoices, book.touched_invoices)
    _upsert(connection, leaves, book.leaves, book.touched_leaves)
    _upsert(connection, loans, book.loans, book.touched_loans)
    _upsert(connection, orders, book.orders, book.touched_orders)


def batches(ids: Collection[_Key]) -> Iterator[list[_Key]]:
    """Ids in order, at most `BATCH` at a time."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), BATCH):
        yield ordered[start : start + BATCH]


def _load(
    connection: Connection,
    table: sa.Table,
    key: sa.Column[Any],
    ids: Collection[_Key],
    make: Callable[..., _Row],
) -> dict[_Key, _Row]:
    found = {}
    for batch in batches(ids):
        for row in connection.execute(sa.select(table).where(key.in_(batch))):
            found[row[0]] = make(*row)  # the key is every table's first column
    return found


def _upsert(
    connection: Connection, table: sa.Table, rows: dict[_Key, Any], touched: Collection[_Key]
) -> None:
    if not touched:
        return
    names = [column.name for column in table.columns]
    values = [{name: getattr(rows[key], name) for name in names} for key in sorted(touched)]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {name: statement.excluded[name] for name in names[1:]}
    connection.execute(
        statement.on_conflict_do_update(index_elements=[names[0]], set_=changed), values
    )

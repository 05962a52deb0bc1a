"""What the index says was owed at a moment: live leaves, loans, orders, and sums of facts.

Of now, it is read from the derived tables. Of an earlier moment, the events up to then are replayed
by the same state machine, so that the answer is the one that the index would have given then; that
takes some 20 seconds a million events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.index.book import LIVE, Book, Invoice, Leaf, Loan, Order
from contracts.index.database import IndexDatabase
from contracts.index.derive import advance
from contracts.index.errors import IndexingError
from contracts.index.event_rows import read_events
from contracts.index.movements import MovementKind
from contracts.index.schema import (
    blocks,
    cursor,
    events,
    invoices,
    leaves,
    loans,
    movements,
    orders,
    tokens,
)
from contracts.index.source import BlockHeader
from contracts.units import UnixSeconds

_HALF = 2**32


@dataclass(frozen=True)
class TokenWords:
    """How a token's amounts are written.

    Attributes:
        symbol: such as 'dEUR'.
        decimals: minor units are 10**-decimals of it.
    """

    symbol: str
    decimals: int


@dataclass(frozen=True)
class FactSum:
    """Facts of one kind in one token, up to the moment.

    Attributes:
        count: how many.
        amount, extra: sums of the columns of `movements`.
        zero_extra: the sum of `amount` where `extra` is 0.
    """

    count: int = 0
    amount: int = 0
    extra: int = 0
    zero_extra: int = 0


@dataclass(frozen=True)
class Snapshot:
    """The state at one moment.

    Attributes:
        at: the moment; days past due count from due date to it.
        tip: the last indexed block; None where nothing is indexed.
        leaves: those on which something is owed.
        invoices: of all leaves and loans here, by root.
        loans, orders: all.
        sums: by token and kind, of facts about receivables and loans.
        tokens: by address; empty where they were never asked.
        pool_token: that loans are in; None where there are none.
    """

    at: UnixSeconds
    tip: BlockHeader | None
    leaves: tuple[Leaf, ...]
    invoices: Mapping[int, Invoice]
    loans: Mapping[int, Loan]
    orders: tuple[Order, ...]
    sums: Mapping[tuple[str, MovementKind], FactSum]
    tokens: Mapping[str, TokenWords]
    pool_token: str | None


def take_snapshot(database: IndexDatabase, as_of: UnixSeconds | None = None) -> Snapshot:
    """The state as of a moment: everything in blocks up to it.

    Args:
        database: the index's.
        as_of: unix seconds; the time of the last indexed block where it is not given.

    Raises:
        IndexingError: there is no index in the database.
        DatabaseFailure: the database refuses.
    """
    with database.reading() as connection:
        tip = read_tip(connection)
        latest = tip.timestamp if tip else 0
        at = UnixSeconds(latest if as_of is None else as_of)
        book = _book_now(connection) if at >= latest else _book_then(connection, at)
        live = tuple(leaf for leaf in book.leaves.values() if leaf.status in LIVE)
        return Snapshot(
            at=at,
            tip=tip,
            leaves=live,
            invoices=book.invoices,
            loans=book.loans,
            orders=tuple(book.orders.values()),
            sums=_sums(connection, at),
            tokens=read_tokens(connection),
            pool_token=_pool_token(book),
        )


def _pool_token(book: Book) -> str | None:
    for identifier in book.loans:
        return book.invoices[book.leaves[identifier].root].token
    return None


def read_tip(connection: Connection) -> BlockHeader | None:
    """The last indexed block.

    Raises:
        IndexingError: there is no index here.
    """
    if not sa.inspect(connection).has_table(cursor.name):
        raise IndexingError(
            "there is no index in this database yet; make one with `veilscore chain index`"
        )
    row = connection.execute(
        sa.select(blocks).order_by(blocks.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else BlockHeader(*row)


def read_tokens(connection: Connection) -> dict[str, TokenWords]:
    """What is known of tokens, by address."""
    rows = connection.execute(sa.select(tokens))
    return {row.address: TokenWords(row.symbol, row.decimals) for row in rows}


def _book_now(connection: Connection) -> Book:
    """Live leaves, all loans and their leaves, all orders."""
    book = Book()
    wanted = sa.or_(
        leaves.c.status.in_([str(status) for status in LIVE]),
        leaves.c.id.in_(sa.select(loans.c.id)),
    )
    for row in connection.execute(sa.select(leaves).where(wanted)):
        book.leaves[row.id] = Leaf(*row)
    of_them = invoices.c.root.in_(sa.select(leaves.c.root).where(wanted))
    for row in connection.execute(sa.select(invoices).where(of_them)):
        book.invoices[row.root] = Invoice(*row)
    for row in connection.execute(sa.select(loans)):
        book.loans[row.id] = Loan(*row)
    for row in connection.execute(sa.select(orders)):
        book.orders[row.id] = Order(*row)
    return book


def _book_then(connection: Connection, at: int) -> Book:
    book = Book()
    for event in read_events(
        connection,
        blocks.c.timestamp <= at,
        events.c.contract.in_(("registry", "pool", "orders")),
    ):
        advance(book, event)
    return book


def _sums(connection: Connection, at: int) -> dict[tuple[str, MovementKind], FactSum]:
    moved = movements.c
    summed = (
        moved.amount,
        sa.func.coalesce(moved.extra, 0),
        sa.case((moved.extra == 0, moved.amount), else_=0),
    )
    # In halves: SQLite's own sums end at 2**63.
    halves = [sa.func.sum(half) for value in summed for half in (value // _HALF, value % _HALF)]
    query = (
        sa.select(invoices.c.token, moved.kind, sa.func.count(), *halves)
        .join(invoices, invoices.c.root == moved.root)
        .where(moved.at <= at, moved.order_id.is_(None))
        .group_by(invoices.c.token, moved.kind)
    )
    sums = {}
    for token, kind, count, *parts in connection.execute(query):
        whole = [int(part or 0) for part in parts]
        totals = [high * _HALF + low for high, low in zip(whole[::2], whole[1::2], strict=True)]
        sums[token, MovementKind(kind)] = FactSum(count, *totals)
    return sums

"""The index's tables, written a chunk or a rewind at a time: one transaction each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.index.book_rows import load_book, write_book
from contracts.index.database import IndexDatabase
from contracts.index.decoding import Event, LogDecoder
from contracts.index.deployment import Deployment
from contracts.index.derive import advance_all
from contracts.index.errors import IndexMoved, WrongChain
from contracts.index.event_rows import event_rows, read_events
from contracts.index.follower import Append, Rewind
from contracts.index.rewinding import rebuild_touched
from contracts.index.schema import (
    SCHEMA_VERSION,
    blocks,
    cursor,
    events,
    metadata,
    movements,
    tokens,
)
from contracts.index.source import BlockHeader


class IndexStore:
    """The index of one deployment in one database.

    Args:
        database: where.
        deployment: of what; the tables are made where they are missing.

    Raises:
        WrongChain: the database holds an index of something else.
        DatabaseFailure: the database refuses.
    """

    def __init__(self, database: IndexDatabase, deployment: Deployment) -> None:
        self._database = database
        self._decoder = LogDecoder(deployment.contracts)
        _open(database, deployment)

    def tip(self) -> BlockHeader | None:
        """The last indexed block; None before the first."""
        return self.stored(None)

    def stored(self, at_most: int | None) -> BlockHeader | None:
        """The highest stored block that is not above a height."""
        query = sa.select(blocks).order_by(blocks.c.number.desc()).limit(1)
        if at_most is not None:
            query = query.where(blocks.c.number <= at_most)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else BlockHeader(*row)

    def append(self, change: Append) -> list[Event]:
        """Add blocks, their events and what follows from them, all or nothing; returns the events.

        Raises:
            IndexMoved: the index does not end where the change begins.
            MalformedLog, EventOutOfPlace, AmountTooLarge: an event does not fit.
        """
        decoded = [
            event
            for log in change.logs
            if (event := self._decoder.decode(log, change.headers[log.block_number].timestamp))
        ]
        with self._database.writing() as connection:
            _expect(connection, change.after)
            _insert(connection, blocks, map(_block_row, change.headers.values()))
            _insert(connection, events, event_rows(decoded))
            book = load_book(connection, decoded)
            facts = advance_all(book, decoded)
            write_book(connection, book)
            _insert(connection, movements, facts)
            _move(connection, change.headers[change.last])
        return decoded

    def rewind(self, change: Rewind) -> int:
        """Take blocks back, with all that followed from them; returns how many events went.

        Raises:
            IndexMoved: the index does not end where the change says.
        """
        last = -1 if change.to is None else change.to.number
        with self._database.writing() as connection:
            _expect(connection, change.tip)
            gone = rebuild_touched(connection, last)
            connection.execute(blocks.delete().where(blocks.c.number > last))
            _move(connection, change.to)
            connection.execute(cursor.update().values(rewinds=cursor.c.rewinds + 1))
        return gone

    def unknown_tokens(self) -> list[str]:
        """Tokens that were admitted and of which decimals are not known."""
        with self._database.reading() as connection:
            known = set(connection.execute(sa.select(tokens.c.address)).scalars())
            admitted = read_events(connection, events.c.name == "TokenAdmitted")
        return sorted({event.text("token") for event in admitted} - known)

    def remember_token(self, address: str, symbol: str, decimals: int) -> None:
        """Keep what a token says of itself."""
        with self._database.writing() as connection:
            connection.execute(tokens.delete().where(tokens.c.address == address))
            connection.execute(
                tokens.insert().values(address=address, symbol=symbol, decimals=decimals)
            )


def _open(database: IndexDatabase, deployment: Deployment) -> None:
    """Make the tables, or check that they are of this deployment."""
    contracts = json.dumps(deployment.contracts, sort_keys=True)
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            # Two processes that begin at once: the second waits for the first one's tables.
            connection.exec_driver_sql("select pg_advisory_xact_lock(7665696)")
        metadata.create_all(connection)
        row = connection.execute(sa.select(cursor)).one_or_none()
        if row is None:
            connection.execute(
                cursor.insert().values(
                    id=1,
                    version=SCHEMA_VERSION,
                    chain_id=deployment.chain_id,
                    start_block=deployment.block,
                    contracts=contracts,
                    rewinds=0,
                )
            )
            return
    same = (row.version, row.chain_id, row.start_block, row.contracts) == (
        SCHEMA_VERSION,
        deployment.chain_id,
        deployment.block,
        contracts,
    )
    if not same:
        raise WrongChain(
            f"the database holds an index (version {row.version}) of other contracts or another "
            f"chain ({row.chain_id}, from block {row.start_block}); name another --database for "
            f"the deployment on chain {deployment.chain_id}"
        )


def _expect(connection: Connection, tip: BlockHeader | None) -> None:
    """Lock the cursor and check that it is where the change was worked out for."""
    query = sa.select(cursor.c.block_number, cursor.c.block_hash).with_for_update()
    number, digest = connection.execute(query).one()
    expected = (None, None) if tip is None else (tip.number, tip.hash)
    if (number, digest) != expected:
        raise IndexMoved(
            f"the index ends at block {number}, not at {expected[0]} where this change begins; "
            "another process writes it too"
        )


def _move(connection: Connection, tip: BlockHeader | None) -> None:
    number, digest = (None, None) if tip is None else (tip.number, tip.hash)
    connection.execute(cursor.update().values(block_number=number, block_hash=digest))


def _block_row(header: BlockHeader) -> dict[str, Any]:
    return {
        "number": header.number,
        "hash": header.hash,
        "parent_hash": header.parent_hash,
        "timestamp": header.timestamp,
    }


def _insert(connection: Connection, table: sa.Table, rows: Iterable[Any]) -> None:
    batch: Sequence[Any] = list(rows)
    if batch:
        connection.execute(table.insert(), batch)

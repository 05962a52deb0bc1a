"""The simulated supply chain as an index in SQLite: its events, and what the indexer derives.

The events are those that the contracts would have emitted, in the chain's order, and the very code
of the indexer makes invoices, leaves, movements and loans of them. Blocks come every 12 seconds;
only those with events are kept, and the last one. What happens after the plan's end is not there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from contracts.index import schema
from contracts.index.book import Book
from contracts.index.decoding import Event
from contracts.index.derive import advance
from simulations.supply_chain import SupplyChain
from simulations.supply_chain_events import (
    CHAIN_ID,
    accounts_of,
    chain_events,
    last_block,
)

BATCH_ROWS = 20_000
_NAMED = sqlite.dialect(paramstyle="named")
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Written:
    """What was written, in rows."""

    events: int
    movements: int
    invoices: int
    leaves: int
    loans: int


def write_index(
    chain: SupplyChain,
    path: Path,
    on_progress: OnProgress = lambda stage, done, total: None,
    *,
    with_events: bool = True,
) -> Written:
    """Write a new index of a simulated supply chain.

    Args:
        chain: the population.
        path: an SQLite file that is not there yet.
        on_progress: told the stage, and how much of it is done, of how much.
        with_events: whether 'events' is filled too; features need the derived tables only.
    """
    accounts = accounts_of(chain)
    events, total = chain_events(chain, accounts)
    return write_events(
        events,
        accounts.contracts,
        last_block(chain.plan),
        path,
        lambda stage, done: on_progress(stage, done, total),
        with_events=with_events,
    )


def write_events(
    events: Iterable[Event],
    contracts: Mapping[str, str],
    head: tuple[int, int],
    path: Path,
    on_progress: Callable[[str, int], None] = lambda stage, done: None,
    *,
    with_events: bool = True,
) -> Written:
    """Write a new index of any events.

    Args:
        events: in the chain's order.
        contracts: addresses by short name.
        head: number and time of the last block, which may be that of the last event.
        path: an SQLite file that is not there yet.
        on_progress: told the stage, and how many events are done.
        with_events: whether 'events' is filled too.
    """
    if path.exists():
        raise ValueError(f"{path} is there already")
    engine = sa.create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    indexes = [index for table in schema.metadata.tables.values() for index in table.indexes]
    for index in indexes:  # made at the end, which takes a fraction of the time
        index.drop(engine)
    connection = sqlite3.connect(path)
    try:
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        written = _fill(connection, events, contracts, head, on_progress, with_events)
        connection.commit()
    finally:
        connection.close()
    on_progress("database indexes", written.events)
    for index in indexes:
        index.create(engine)
    engine.dispose()
    return written


def _fill(
    connection: sqlite3.Connection,
    events: Iterable[Event],
    contracts: Mapping[str, str],
    head: tuple[int, int],
    on_progress: Callable[[str, int], None],
    with_events: bool,
) -> Written:
    book = Book(pools={contracts["pool"]})
    counts = {"events": 0, "movements": 0}
    last: tuple[int, int] | None = None
    stream = iter(events)
    while batch := list(islice(stream, BATCH_ROWS)):
        facts = [fact for event in batch for fact in advance(book, event)]
        _insert(connection, schema.movements, facts)
        if with_events:
            _insert(connection, schema.events, map(_event_row, batch))
        heights = dict.fromkeys((event.block_number, event.at) for event in batch)
        if last is not None:
            heights.pop(last, None)
        _insert(connection, schema.blocks, (_block(*height) for height in heights))
        last = batch[-1].block_number, batch[-1].at
        counts["events"] += len(batch)
        counts["movements"] += len(facts)
        on_progress("events", counts["events"])
    if head != last:
        _insert(connection, schema.blocks, [_block(*head)])
    derived: tuple[tuple[sa.Table, Iterable[Any]], ...] = (
        (schema.invoices, book.invoices.values()),
        (schema.leaves, book.leaves.values()),
        (schema.loans, book.loans.values()),
    )
    for table, rows in derived:
        on_progress(table.name, counts["events"])
        _insert(connection, table, map(asdict, rows))
    cursor = {
        "id": 1,
        "version": schema.SCHEMA_VERSION,
        "chain_id": CHAIN_ID,
        "start_block": 0,
        "contracts": json.dumps(dict(contracts)),
        "block_number": head[0],
        "block_hash": _hash(head[0]),
        "rewinds": 0,
    }
    _insert(connection, schema.cursor, [cursor])
    return Written(
        **counts, invoices=len(book.invoices), leaves=len(book.leaves), loans=len(book.loans)
    )


def _insert(connection: sqlite3.Connection, table: sa.Table, rows: Iterable[Any]) -> None:
    statement = str(table.insert().compile(dialect=_NAMED))
    connection.executemany(statement, rows)


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "block_number": event.block_number,
        "log_index": event.log_index,
        "tx_hash": event.tx_hash,
        "contract": event.contract,
        "name": event.name,
        "claim": event.claim,
        "body": json.dumps(event.arguments),
    }


def _block(number: int, timestamp: int) -> dict[str, Any]:
    return {
        "number": number,
        "hash": _hash(number),
        "parent_hash": _hash(number - 1),
        "timestamp": timestamp,
    }


def _hash(number: int) -> str:
    return f"0x{number:064x}"

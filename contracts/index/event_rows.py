"""Events to rows of `events` and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.index.decoding import Event
from contracts.index.schema import blocks, events

_write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_BATCH = 5000


def event_rows(found: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """Rows to insert."""
    for event in found:
        yield {
            "block_number": event.block_number,
            "log_index": event.log_index,
            "tx_hash": event.tx_hash,
            "contract": event.contract,
            "name": event.name,
            "claim": event.claim,
            "body": _write(event.arguments),
        }


def read_events(connection: Connection, *conditions: sa.ColumnElement[bool]) -> Iterator[Event]:
    """Stored events that meet all conditions, in the chain's order."""
    query = (
        sa.select(events, blocks.c.timestamp)
        .join(blocks, blocks.c.number == events.c.block_number)
        .where(*conditions)
        .order_by(events.c.block_number, events.c.log_index)
    )
    # Given to the statement: on the connection, it would hold for all that follow.
    for row in connection.execute(query, execution_options={"yield_per": _BATCH}):
        yield Event(
            row.block_number,
            row.log_index,
            row.tx_hash,
            row.timestamp,
            row.contract,
            row.name,
            row.claim,
            json.loads(row.body),
        )

"""Facts and fingerprints out of an index, in the chain's order and a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.fraud.errors import IndexUnreadable
from contracts.fraud.facts import Fact
from contracts.index.database import IndexDatabase
from contracts.index.movements import MovementKind
from contracts.index.schema import SCHEMA_VERSION, blocks, cursor, invoices, movements
from contracts.index.snapshot import TokenWords

Place = tuple[int, int, int]
"""Block, log and leg of a fact."""

BEGIN: Place = (-1, -1, -1)
_BATCH = 20_000
_KINDS = {kind.value: kind for kind in MovementKind}


@dataclass(frozen=True)
class Mark:
    """How far an index was read.

    Attributes:
        place: of the last fact; `block_hash` of its block. The same hash means the same chain up to
            there, whatever was reorganised above.
    """

    place: Place = BEGIN
    block_hash: str = ""


def read_registry(connection: Connection) -> str:
    """Which registry an index is of, as 'eip155:' with chain id and address (CAIP-10).

    Raises:
        IndexUnreadable: there is no index here, or one of another version.
    """
    row = None
    if sa.inspect(connection).has_table(cursor.name):
        row = connection.execute(
            sa.select(cursor.c.version, cursor.c.chain_id, cursor.c.contracts)
        ).one_or_none()
    if row is None:
        raise IndexUnreadable(
            "there is no index in this database yet; make one with `veilscore chain index`"
        )
    if row.version != SCHEMA_VERSION:
        raise IndexUnreadable(
            f"the index has version {row.version} of its tables, and this version of veilscore "
            f"reads {SCHEMA_VERSION}; index again with the same version"
        )
    return f"eip155:{row.chain_id}:{json.loads(row.contracts).get('registry', '')}"


def still_stands(connection: Connection, mark: Mark) -> bool:
    """Whether the block that a mark is in is still in the index."""
    if mark.place == BEGIN:
        return True
    query = sa.select(blocks.c.hash).where(blocks.c.number == mark.place[0])
    return connection.execute(query).scalar() == mark.block_hash


def mark_at(connection: Connection, place: Place) -> Mark:
    """A mark at a fact."""
    query = sa.select(blocks.c.hash).where(blocks.c.number == place[0])
    return Mark(place, str(connection.execute(query).scalar()))


def facts_after(
    connection: Connection,
    last: Place,
    kinds: Collection[MovementKind],
    words: Mapping[str, TokenWords],
    up_to_block: int,
) -> Iterator[list[Fact]]:
    """Batches of facts of some kinds after a place, up to a block."""
    while batch := _batch(connection, last, kinds, words, up_to_block):
        yield batch
        last = batch[-1].place


def _batch(
    connection: Connection,
    last: Place,
    kinds: Collection[MovementKind],
    words: Mapping[str, TokenWords],
    up_to_block: int,
) -> list[Fact]:
    m, i = movements.c, invoices.c
    place = sa.tuple_(m.block_number, m.log_index, m.leg)
    # The call keeps the database from going by the index on kinds, which would sort all facts at
    # every look.
    kind = sa.func.coalesce(m.kind, "")
    query = (
        sa.select(
            m.block_number, m.log_index, m.leg, m.at, m.kind, m.leaf, m.debtor, m.supplier,
            m.actor, m.counterparty, m.bank, m.amount, m.extra, i.supplier, i.token,
            i.shipped_at, i.fingerprint, i.document_hash,
        )
        .select_from(movements.outerjoin(invoices, i.root == m.root))
        .where(
            place > sa.tuple_(*(sa.literal(one) for one in last)),
            m.block_number <= up_to_block,
            kind.in_([one.value for one in kinds]),
        )
        .order_by(m.block_number, m.log_index, m.leg)
        .limit(_BATCH)
    )  # fmt: skip
    return [_fact(row, words) for row in connection.execute(query).all()]


def _fact(row: Sequence[Any], words: Mapping[str, TokenWords]) -> Fact:
    block, log, leg, at, kind, leaf, debtor, supplier, actor, counterparty, *rest = row
    bank, amount, extra, first_supplier, token, shipped_at, fingerprint, document = rest
    return Fact(
        block,
        log,
        leg,
        at,
        _KINDS[kind],
        leaf,
        debtor,
        supplier,
        actor,
        counterparty,
        bank,
        amount,
        extra,
        first_supplier,
        token or "",
        shipped_at or 0,
        fingerprint or "",
        document or "",
        words.get(token),
    )


class OtherRegistry:
    """Another registry's index, of which only the fingerprints are read.

    They can be compared only where both networks compute fingerprints with the same salt.

    Args:
        name: what alerts call it, 1 to 64 printable signs.
        database: of its index.

    Raises:
        IndexUnreadable: the name is none.
    """

    def __init__(self, name: str, database: IndexDatabase) -> None:
        if not 0 < len(name) <= 64 or not name.isprintable():
            raise IndexUnreadable("another registry needs a name of 1 to 64 printable signs")
        self.name = name
        self._database = database
        self._mark = Mark()

    def fresh(self) -> set[str]:
        """Fingerprints (lower case) of invoices confirmed since the last call and not cancelled.

        Raises:
            IndexUnreadable: there is no index in the database.
            DatabaseFailure, DatabaseUnavailable: of `contracts.index.errors`.
        """
        place = sa.tuple_(invoices.c.block_number, invoices.c.log_index)
        with self._database.reading() as connection:
            read_registry(connection)
            if not still_stands(connection, self._mark):
                self._mark = Mark()
            last = (sa.literal(one) for one in self._mark.place[:2])
            query = sa.select(
                invoices.c.fingerprint,
                invoices.c.cancelled_at,
                invoices.c.block_number,
                invoices.c.log_index,
            ).where(place > sa.tuple_(*last))
            found, furthest = set(), self._mark.place
            for fingerprint, cancelled_at, *where in connection.execute(query):
                furthest = max(furthest, (*where, 0))
                if cancelled_at is None:
                    found.add(str(fingerprint).lower())
            if furthest != self._mark.place:
                self._mark = mark_at(connection, furthest)
        return found

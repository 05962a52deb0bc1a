"""New events as lines for a person, as they are indexed; a reorganisation is a line too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.index.database import IndexDatabase
from contracts.index.decoding import Event
from contracts.index.event_numbers import FIRST_ORDER
from contracts.index.event_rows import read_events
from contracts.index.phrases import describe, utc
from contracts.index.schema import LARGEST, blocks, events, invoices, leaves
from contracts.index.snapshot import TokenWords, read_tip, read_tokens

_REMEMBERED = 512  # blocks; more than an index takes back
_BATCH = 1000  # events a look


@dataclass
class Watch:
    """Reads the events that were indexed since the last look.

    Attributes:
        database: the index's.
        after: the block after which events are new; None: those of the whole index.
    """

    database: IndexDatabase
    after: int | None = None
    _place: tuple[int, int] = field(init=False)
    _seen: deque[tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin behind the given block."""
        self._place = (-1 if self.after is None else self.after, LARGEST)
        self._seen = deque(maxlen=_REMEMBERED)

    def look(self) -> Iterator[str]:
        """Lines of what is new; nothing where nothing is.

        Raises:
            IndexingError: there is no index in the database.
            DatabaseFailure: the database refuses.
        """
        while True:
            with self.database.reading() as connection:
                taken_back = self._step_back(connection)
                found = self._next(connection)
                hashes = _hashes(connection, {event.block_number for event in found})
                words = _token_of(connection, found)
            if taken_back is not None:
                yield taken_back
            if not found:
                return
            for event, token in zip(found, words, strict=True):
                line = describe(event, token)
                if line is not None:
                    yield line
            for number in sorted(hashes):
                if not self._seen or self._seen[-1][0] < number:
                    self._seen.append((number, hashes[number]))
            self._place = (found[-1].block_number, found[-1].log_index)

    def _step_back(self, connection: Connection) -> str | None:
        """Forget blocks that the index took back; says so where there are some."""
        tip = read_tip(connection)
        current = _hashes(connection, {number for number, _ in self._seen})
        gone = [number for number, digest in self._seen if current.get(number) != digest]
        if not gone:
            return None
        self._seen = deque(
            (entry for entry in self._seen if entry[0] < gone[0]), maxlen=_REMEMBERED
        )
        self._place = (gone[0] - 1, LARGEST)
        when = utc(tip.timestamp) if tip else "-"
        return f"{when}  the chain reorganised: what was said from block {gone[0]} on is taken back"

    def _next(self, connection: Connection) -> list[Event]:
        number, index = self._place
        place = events.c
        newer = sa.or_(
            place.block_number > number,
            sa.and_(place.block_number == number, place.log_index > min(index, 2**31 - 1)),
        )
        found = []
        for event in read_events(connection, newer):
            found.append(event)
            if len(found) == _BATCH:
                break
        return found


def watch(
    database: IndexDatabase,
    after: int | None,
    wait: Callable[[], bool],
) -> Iterator[str]:
    """Lines for good: looks, waits, looks again.

    Args:
        database: the index's.
        after: the block after which events are new; None: those of the whole index.
        wait: waits for the next look (and may index meanwhile); False ends it.
    """
    watching = Watch(database, after)
    while True:
        yield from watching.look()
        if not wait():
            return


def _hashes(connection: Connection, numbers: set[int]) -> dict[int, str]:
    if not numbers:
        return {}
    query = sa.select(blocks.c.number, blocks.c.hash).where(blocks.c.number.in_(sorted(numbers)))
    return {row.number: row.hash for row in connection.execute(query)}


def _token_of(connection: Connection, found: Sequence[Event]) -> list[TokenWords | None]:
    """The token of each event's amounts: the invoice's, else the only one there is."""
    known = read_tokens(connection)
    only = next(iter(known.values())) if len(known) == 1 else None
    if len(known) <= 1:
        return [only] * len(found)
    claims = {int(event.claim) for event in found if event.claim is not None}
    ids = sorted(claim for claim in claims if claim < FIRST_ORDER)
    query = (
        sa.select(leaves.c.id, invoices.c.token)
        .join(invoices, invoices.c.root == leaves.c.root)
        .where(leaves.c.id.in_(ids))
    )
    of_leaf = {str(row.id): row.token for row in connection.execute(query)}
    return [known.get(of_leaf.get(event.claim or "", "")) for event in found]

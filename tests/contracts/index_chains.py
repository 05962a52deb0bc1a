"""Chains, databases and comparisons for the tests of the index."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from contracts.index.database import IndexDatabase
from contracts.index.deployment import Deployment
from contracts.index.follower import Settings
from contracts.index.indexer import Indexer, Retries
from contracts.index.schema import DERIVED, blocks, cursor, events
from contracts.index.source import BlockHeader, ChainSource, RawLog
from contracts.index.store import IndexStore
from simulations.memory_chain import MemoryChain, made_deployment
from simulations.receivable_story import Story
from simulations.story_teller import StoryState

DEPLOYMENT = made_deployment()


class LivingChain(MemoryChain):
    """A chain on which a story goes on, also from an earlier block."""

    def __init__(self, seed: int, acts: int = 2) -> None:
        super().__init__()
        self._acts = acts
        self.story = Story(DEPLOYMENT, seed, suppliers=6, debtors=3, banks=2, most_live=40)
        self.states: list[StoryState] = [self.story.snapshot()]
        self.add_block(self.story.opening())
        self.states.append(self.story.snapshot())

    def grow(self, count: int) -> None:
        """Mine blocks in which things happen."""
        for _ in range(count):
            self.add_block(self.story.block(self.head() + 1, self._acts))
            self.states.append(self.story.snapshot())

    def reorganise(self, depth: int, new: int) -> None:
        """Take blocks back and mine others."""
        self.drop(depth)
        del self.states[len(self.states) - depth :]
        self.story.state = self.states[-1]
        self.states[-1] = self.story.snapshot()
        self.grow(new)


class Wrapped:
    """A source that somebody meddles with: every method can be replaced."""

    def __init__(self, chain: ChainSource) -> None:
        self.chain_id: Callable[[], int] = chain.chain_id
        self.head: Callable[[], int] = chain.head
        self.block: Callable[[int], BlockHeader] = chain.block
        self.logs: Callable[[int, int], Sequence[RawLog]] = chain.logs


def sqlite(path: Path) -> IndexDatabase:
    """An index in a file."""
    return IndexDatabase(f"sqlite:///{path}")


def indexer(
    chain: ChainSource,
    database: IndexDatabase,
    deployment: Deployment = DEPLOYMENT,
    retries: Retries = Retries(attempts=3),  # noqa: B008
    **settings: int,
) -> Indexer:
    """An indexer that does not really wait."""
    store = IndexStore(database, deployment)
    return Indexer(
        chain, store, deployment, Settings(**settings), retries, sleep=lambda seconds: None
    )


def contents(database: IndexDatabase) -> dict[str, list[Any]]:
    """All rows of all tables but the cursor's count of rewinds, in order of their keys."""
    with database.reading() as connection:
        found = {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in (blocks, events, *DERIVED)
        }
        place = connection.execute(sa.select(cursor.c.block_number, cursor.c.block_hash)).one()
    return {**found, "cursor": [tuple(place)]}


def fresh(chain: ChainSource, path: Path, **settings: int) -> dict[str, list[Any]]:
    """What an index from nothing holds of a chain, with every block's header."""
    settings = {"finality": 1_000_000, **settings}
    path.unlink(missing_ok=True)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    database = sqlite(path)
    try:
        indexer(chain, database, **settings).run()
        return contents(database)
    finally:
        database.close()


def reorganisations(
    chain: LivingChain, database: IndexDatabase, path: Path, count: int, seed: int
) -> int:
    """So many random reorganisations, the index compared with a fresh one after each.

    Returns how many events were taken back in all.
    """
    draw = random.Random(seed)
    running = indexer(chain, database)
    running.run()
    for _ in range(count):
        depth = draw.randint(1, 20)
        chain.reorganise(depth, draw.randint(max(0, depth - 3), depth + 4))
        done = running.run()
        assert contents(database) == fresh(chain, path)
    assert done.rewinds >= count
    return done.events_taken_back

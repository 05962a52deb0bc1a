"""Events a second that the indexer reads, decodes, derives from and commits."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from contracts.index.database import IndexDatabase
from contracts.index.follower import Settings
from contracts.index.indexer import Indexer
from contracts.index.store import IndexStore
from simulations.memory_chain import MemoryChain, made_deployment
from simulations.receivable_story import Story

ACTS_A_BLOCK = 4  # about ten events


def synthetic_chain(events: int, seed: int, acts_a_block: int = ACTS_A_BLOCK) -> MemoryChain:
    """A chain of at least so many events in random, lawful lives of receivables."""
    story = Story(made_deployment(), seed, suppliers=200, debtors=40, banks=5)
    chain = MemoryChain()
    opening = story.opening()
    chain.add_block(opening)
    total = len(opening)
    while total < events:
        logs = story.block(chain.head() + 1, acts_a_block)
        chain.add_block(logs)
        total += len(logs)
    return chain


def bench_index(
    events: int, database: str = "", seed: int = 20261, chunk: int = 50
) -> dict[str, Any]:
    """Index a synthetic chain; a chain's own speed is not part of the figure.

    Args:
        events: at least so many.
        database: URL of an empty database; a SQLite file that is deleted afterwards if not given.
        seed: of the chain.
        chunk: blocks a transaction.
    """
    chain = synthetic_chain(events, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.db"
        opened = IndexDatabase(database or f"sqlite:///{path}")
        try:
            deployment = made_deployment()
            store = IndexStore(opened, deployment)
            indexer = Indexer(chain, store, deployment, Settings(chunk=chunk))
            begun = time.perf_counter()
            done = indexer.run()
            seconds = time.perf_counter() - begun
        finally:
            opened.close()
        size = path.stat().st_size if path.exists() else None
    return {
        "database": "given" if database else "sqlite",
        "blocks": done.blocks,
        "events": done.events,
        "seconds": seconds,
        "events_per_second": done.events / seconds,
    } | ({} if size is None else {"bytes_per_event": size / done.events})

"""A process that indexes a chain, for tests that kill it: `python -m ... FILE BRANCH`."""

from __future__ import annotations

import sys
from pathlib import Path

from contracts.index.indexer import Progress
from tests.contracts.index_chains import LivingChain, indexer, sqlite

BLOCKS = 300
FORK = 15


def branch(number: int) -> LivingChain:
    """A chain whose last blocks differ from branch to branch, and nothing else."""
    chain = LivingChain(seed=21)
    chain.grow(BLOCKS)
    if number:
        chain.reorganise(FORK, FORK + number)
    return chain


def main(path: Path, number: int) -> None:
    """A line after every change to the index."""
    running = indexer(branch(number), sqlite(path), chunk=4, finality=30)

    def show(progress: Progress) -> None:
        sys.stdout.write(f"{progress.block}\n")
        sys.stdout.flush()

    running.on_progress = show
    running.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Killed at any point, the indexer loses nothing and repeats nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.index.indexer import Progress, Retries
from contracts.index.schema import blocks, cursor, events
from tests.contracts.index_chains import LivingChain, contents, fresh, indexer, sqlite
from tests.contracts.index_killed import BLOCKS, branch


@pytest.mark.slow
def test_kills_at_random_points_leave_whole_chunks(tmp_path: Path) -> None:
    """After each of eight SIGKILLs the tables agree with each other; at the end, with the chain."""
    path = tmp_path / "index.db"
    draw = random.Random(22)
    reached, killed = [], 0
    for attempt in range(8):
        command = [
            sys.executable,
            "-m",
            "tests.contracts.index_killed",
            str(path),
            str(attempt % 3),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(draw.randint(1, 8)):
                process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.01))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        database = sqlite(path)
        with database.reading() as connection:
            last, digest = connection.execute(
                sa.select(cursor.c.block_number, cursor.c.block_hash)
            ).one()
            highest = connection.execute(sa.select(sa.func.max(blocks.c.number))).scalar_one()
            tip = sa.select(blocks.c.hash).where(blocks.c.number == (last or 0))
            of_tip = connection.execute(tip).scalar_one_or_none()
            newest = connection.execute(sa.select(sa.func.max(events.c.block_number))).scalar_one()
        database.close()
        assert (last, digest) == (highest, of_tip)
        assert newest is None or newest <= last
        reached.append(last or 0)
    assert killed > 5, "else it had ended by itself"
    assert len(set(reached)) > 3, "the kills must fall at different points"
    assert min(reached) < BLOCKS - 20, "some kill must fall before the end"
    chain = branch(1)
    database = sqlite(path)
    indexer(chain, database, chunk=4, finality=30).run()
    found, expected = contents(database), fresh(chain, tmp_path / "fresh.db")
    database.close()
    for table in expected.keys() - {"blocks"}:  # old ones are kept sparsely
        assert found[table] == expected[table]


def test_an_index_that_is_up_to_date_reads_nothing_twice(tmp_path: Path) -> None:
    """A second run, or one by another process, finds nothing to do."""
    chain = LivingChain(seed=23)
    chain.grow(20)
    database = sqlite(tmp_path / "index.db")
    first = indexer(chain, database).run()
    assert (first.blocks, first.block) == (21, 21)
    before = contents(database)
    assert indexer(chain, database).run() == Progress(block=21, head=21)
    assert contents(database) == before
    database.close()


def test_two_indexers_at_once_do_not_hurt_each_other(tmp_path: Path) -> None:
    """Of two indexers of one database, each finds the other's chunks and goes on behind them."""
    chain = LivingChain(seed=24)
    chain.grow(150)
    databases = [sqlite(tmp_path / "index.db") for _ in range(2)]
    patient = Retries(attempts=200)
    running = [indexer(chain, database, retries=patient, chunk=3) for database in databases]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: one.run(), running))
    assert sum(progress.blocks for progress in done) == chain.head()
    expected = fresh(chain, tmp_path / "fresh.db")
    found = contents(databases[0])
    for database in databases:
        database.close()
    for table in expected.keys() - {"blocks"}:
        assert found[table] == expected[table]

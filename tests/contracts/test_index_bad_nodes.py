"""Nodes that lie, are away, refuse or hang: named errors, bounded retries, nothing half-done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.index.errors import (
    BlockMissing,
    ChainKeepsChanging,
    EventOutOfPlace,
    HeadersDoNotLink,
    IndexingError,
    LogsDoNotMatch,
    MalformedLog,
    NodeInconsistent,
    RangeRefused,
    SourceUnavailable,
    WrongChain,
)
from contracts.index.follower import Settings
from contracts.index.indexer import Retries
from tests.contracts.index_chains import (
    DEPLOYMENT,
    LivingChain,
    Wrapped,
    contents,
    fresh,
    indexer,
    sqlite,
)

LOG_BLOCK = 1  # the opening's


def chain_of(blocks: int = 30) -> LivingChain:
    """A chain of some blocks."""
    chain = LivingChain(seed=31)
    chain.grow(blocks)
    return chain


def wrong_hash(node: Wrapped) -> None:
    """Logs of another branch."""
    given = node.logs
    node.logs = lambda first, last: [
        replace(log, block_hash="0x" + 64 * "1") for log in given(first, last)
    ]


def wrong_block(node: Wrapped) -> None:
    """Logs of a block that was not asked for."""
    given = node.logs
    node.logs = lambda first, last: [
        *given(first, last),
        *(replace(log, block_number=last + 1) for log in given(1, 1)),
    ]


def twice(node: Wrapped) -> None:
    """Every log twice."""
    given = node.logs
    node.logs = lambda first, last: [*given(first, last), *given(first, last)]


def removed(node: Wrapped) -> None:
    """Logs that the node itself has taken back."""
    given = node.logs
    node.logs = lambda first, last: [replace(log, removed=True) for log in given(first, last)]


def foreign(node: Wrapped) -> None:
    """Logs of a contract that nobody asked for."""
    given = node.logs
    node.logs = lambda first, last: [
        replace(log, address="0x" + 39 * "0" + "1") for log in given(first, last)
    ]


def unlinked(node: Wrapped) -> None:
    """A header in the middle whose parent is another block."""
    given = node.block
    node.block = lambda number: (
        replace(given(number), parent_hash="0x" + 64 * "2") if number == 12 else given(number)
    )


def other_block(node: Wrapped) -> None:
    """A header of another height."""
    given = node.block
    node.block = lambda number: given(min(number, 9))


def boasting(node: Wrapped) -> None:
    """A head that is not there."""
    given = node.head
    node.head = lambda: given() + 5


def flickering(node: Wrapped) -> None:
    """The last block is another one at every look."""
    given, looks = node.block, [0]

    def block(number: int) -> Any:
        looks[0] += 1
        found = given(number)
        return replace(found, hash=f"0x{looks[0]:064x}") if number == 31 else found

    node.block = block


def short(node: Wrapped) -> None:
    """Logs whose data were cut."""
    given = node.logs
    node.logs = lambda first, last: [replace(log, data=log.data[:-1]) for log in given(first, last)]


def headless(node: Wrapped) -> None:
    """The first logs of every receivable are left out."""
    given = node.logs
    node.logs = lambda first, last: [log for log in given(first, last) if len(log.data) < 200]


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (wrong_hash, LogsDoNotMatch),
        (wrong_block, LogsDoNotMatch),
        (twice, LogsDoNotMatch),
        (removed, LogsDoNotMatch),
        (foreign, LogsDoNotMatch),
        (unlinked, HeadersDoNotLink),
        (other_block, HeadersDoNotLink),
        (boasting, BlockMissing),
        (flickering, NodeInconsistent),
        (short, MalformedLog),
        (headless, EventOutOfPlace),
    ],
)
def test_lies_are_named_and_change_nothing(
    tmp_path: Path, lie: Callable[[Wrapped], None], error: type[IndexingError]
) -> None:
    """Each lie is an error of its own name, and an honest node afterwards heals the index."""
    chain = chain_of()
    node = Wrapped(chain)
    lie(node)
    database = sqlite(tmp_path / "index.db")
    with pytest.raises(error):
        indexer(node, database).run()
    assert not contents(database)["events"]
    indexer(chain, database).run()
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    database.close()


def test_a_chain_that_never_rests_is_given_up(tmp_path: Path) -> None:
    """A node whose chain is another one at every look is not followed for good."""
    chain = chain_of()
    database = sqlite(tmp_path / "index.db")
    node = Wrapped(chain)
    running = indexer(node, database)
    running.run()
    heights = iter(range(30, 0, -1))
    node.head = lambda: next(heights)
    with pytest.raises(ChainKeepsChanging):
        running.run()
    indexer(chain, database).run()
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    database.close()


def test_a_node_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """Fewer failures in a row than there are attempts go unnoticed; waits double up to a limit."""
    chain = chain_of()
    node = Wrapped(chain)
    given, calls = chain.logs, [0]

    def logs(first: int, last: int) -> Any:
        calls[0] += 1
        if calls[0] % 5:
            raise SourceUnavailable("the node does not answer")
        return given(first, last)

    node.logs = logs
    database = sqlite(tmp_path / "index.db")
    running = indexer(
        node, database, retries=Retries(attempts=5, first_seconds=1, most_seconds=4), chunk=10
    )
    waits: list[float] = []
    running.sleep = waits.append
    running.run()
    assert waits == [1, 2, 4, 4] * 4
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    calls[0] = 0
    chain.grow(1)
    running.retries = Retries(attempts=4)
    with pytest.raises(SourceUnavailable):
        running.run()
    database.close()


@pytest.mark.parametrize("most", [1, 7, 49])
def test_a_node_that_refuses_ranges_gets_smaller_ones(tmp_path: Path, most: int) -> None:
    """Chunks are halved until the node takes them, and nothing is missed."""
    chain = chain_of(120)
    node = Wrapped(chain)
    asked: list[int] = []

    def logs(first: int, last: int) -> Any:
        asked.append(last - first + 1)
        if last - first + 1 > most:
            raise RangeRefused("too many blocks")
        return chain.logs(first, last)

    node.logs = logs
    database = sqlite(tmp_path / "index.db")
    indexer(node, database, finality=200).run()
    assert max(asked) == 50
    assert contents(database) == fresh(chain, tmp_path / "fresh.db")
    database.close()


def test_a_node_that_refuses_single_blocks_is_an_error(tmp_path: Path) -> None:
    """There is nothing smaller than a block to ask for."""
    node = Wrapped(chain_of())

    def logs(first: int, last: int) -> Any:
        raise RangeRefused("too many logs")

    node.logs = logs
    database = sqlite(tmp_path / "index.db")
    with pytest.raises(RangeRefused):
        indexer(node, database).run()
    database.close()


def test_another_chain_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """A node of another chain, and an index of another deployment, are told apart."""
    chain = chain_of()
    node = Wrapped(chain)
    node.chain_id = lambda: 1
    database = sqlite(tmp_path / "index.db")
    with pytest.raises(WrongChain, match="the node is of chain 1"):
        indexer(node, database).run()
    with pytest.raises(WrongChain, match="name another --database"):
        indexer(chain, database, replace(DEPLOYMENT, chain_id=5))
    database.close()


def test_settings_must_make_sense() -> None:
    """A chunk of no blocks, or negative confirmations, are refused."""
    for wrong in ({"chunk": 0}, {"confirmations": -1}, {"finality": 0}):
        with pytest.raises(IndexingError, match="at least"):
            Settings(**wrong)

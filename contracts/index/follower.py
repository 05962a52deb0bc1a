"""How an index follows a chain that may reorganise, without I/O.

`ChainFollower.step` is a generator: it yields what it must know (`Ask`), is sent the answer, and
returns one `Change` to the index. A driver asks the node and the database, and writes the change;
the tests ask chains that lie. A change is worked out from a single look and checked at its end:

1. The last indexed block must still be on the node's chain; else stored blocks are walked back to
   the fork, and the change is a `Rewind` to it.
2. Blocks after it are read in chunks, `Settings.chunk` at a time; a node that refuses so many gets
   half of them, down to one.
3. Every log must be of the block whose header the node gives for that height, every header must
   name the one before it as its parent, and the chunk's last block must still be the same when all
   was read. Only then is it an `Append`.

Headers of blocks deeper than `Settings.finality` under the head are kept only where they hold logs
or end a chunk: a chain of a million blocks needs no million requests.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from contracts.index.errors import (
    DeepReorganisation,
    HeadersDoNotLink,
    IndexingError,
    LogsDoNotMatch,
    NodeInconsistent,
    RangeRefused,
)
from contracts.index.source import BlockHeader, RawLog


@dataclass(frozen=True)
class Settings:
    """How to follow.

    Attributes:
        chunk: most blocks a transaction.
        confirmations: blocks behind the head that are left for later; 0 indexes up to the head.
        finality: blocks under the last indexed one that may still be reorganised away; a deeper
            reorganisation is an error and changes nothing.
    """

    chunk: int = 50
    confirmations: int = 0
    finality: int = 64

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.chunk < 1 or self.confirmations < 0 or self.finality < 1:
            raise IndexingError(
                "chunk and finality must be at least 1 block, confirmations at least 0"
            )


@dataclass(frozen=True)
class AskHead:
    """The height of the newest block; answer: int."""


@dataclass(frozen=True)
class AskBlock:
    """The block at a height; answer: BlockHeader."""

    number: int


@dataclass(frozen=True)
class AskLogs:
    """Logs of a range; answer: a sequence of RawLog, or a RangeRefused."""

    first: int
    last: int


@dataclass(frozen=True)
class AskStored:
    """The highest stored block that is not above a height (None: of all); answer: it or None."""

    at_most: int | None


Ask: TypeAlias = AskHead | AskBlock | AskLogs | AskStored
Answer: TypeAlias = int | BlockHeader | Sequence[RawLog] | RangeRefused | None


@dataclass(frozen=True)
class Append:
    """Blocks to add.

    Attributes:
        after: the block that must be the last indexed one; None where there must be none.
        first, last: heights.
        headers: by height, `last` and every one with logs among them.
        logs: in order.
        head: the node's newest block then.
    """

    after: BlockHeader | None
    first: int
    last: int
    headers: Mapping[int, BlockHeader]
    logs: tuple[RawLog, ...]
    head: int


@dataclass(frozen=True)
class Rewind:
    """Blocks to take back.

    Attributes:
        tip: the block that must be the last indexed one.
        to: what is the last one then; None takes all back.
    """

    tip: BlockHeader
    to: BlockHeader | None


@dataclass(frozen=True)
class UpToDate:
    """Nothing to do."""

    tip: BlockHeader | None
    head: int


Change: TypeAlias = Append | Rewind | UpToDate
Asking: TypeAlias = Generator[Ask, Answer, "_Found"]
_Found = TypeVar("_Found")


class ChainFollower:
    """Follows one chain from a block on.

    Args:
        start_block: the first that is of interest.
        settings: how.
    """

    def __init__(self, start_block: int, settings: Settings) -> None:
        self._start = start_block
        self._settings = settings
        self._span = settings.chunk

    def step(self) -> Asking[Change]:
        """Work out the next change.

        Raises:
            NodeInconsistent: the node's answers contradict each other; look again.
            DeepReorganisation: the fork is deeper than `Settings.finality`.
            RangeRefused: the node refuses the logs of even a single block.
        """
        head = yield from _head()
        tip = yield from _stored(None)
        if tip is not None:
            fork = yield from self._fork(tip, head)
            if fork != tip:
                return Rewind(tip, fork)
        first = self._start if tip is None else tip.number + 1
        if first > head - self._settings.confirmations:
            return UpToDate(tip, head)
        return (yield from self._chunk(tip, first, head))

    def _fork(self, tip: BlockHeader, head: int) -> Asking[BlockHeader | None]:
        """The highest stored block that is on the node's chain."""
        stored: BlockHeader | None = tip
        while stored is not None:
            if stored.number <= head and (yield from _block(stored.number)).hash == stored.hash:
                return stored
            if tip.number - stored.number >= self._settings.finality:
                raise DeepReorganisation(
                    f"block {stored.number} ({stored.hash}) is indexed and is not on the node's "
                    f"chain, whose head is {head}, though the index is {self._settings.finality} "
                    "blocks and more beyond it; check the node, and if the chain has really "
                    "changed so deep, delete the index and begin again"
                )
            stored = yield from _stored(stored.number - 1)
        return None

    def _chunk(self, tip: BlockHeader | None, first: int, head: int) -> Asking[Append]:
        target = head - self._settings.confirmations
        while True:
            last = min(first + self._span - 1, target)
            opening = yield from _block(first)
            closing = opening if first == last else (yield from _block(last))
            logs = yield from _logs(first, last)
            if not isinstance(logs, RangeRefused):
                break
            if first == last:
                raise logs
            self._span = max(1, (last - first + 1) // 2)
        wanted = {log.block_number for log in logs if first <= log.block_number <= last}
        wanted.update(range(max(first, target - self._settings.finality), last + 1))
        headers = {first: opening, last: closing}
        for number in sorted(wanted - headers.keys()):
            headers[number] = yield from _block(number)
        _check_links(tip, headers)
        ordered = _checked_logs(logs, headers, first, last)
        if (yield from _block(last)).hash != closing.hash:
            raise NodeInconsistent(f"block {last} changed while its chunk was read")
        self._span = min(self._settings.chunk, 2 * self._span)
        return Append(tip, first, last, headers, ordered, head)


def _check_links(tip: BlockHeader | None, headers: Mapping[int, BlockHeader]) -> None:
    """Adjacent headers must name each other."""
    before = tip
    for number in sorted(headers):
        header = headers[number]
        if before is not None and before.number + 1 == number and header.parent_hash != before.hash:
            raise HeadersDoNotLink(
                f"block {number} names {header.parent_hash} as its parent, and block "
                f"{before.number} is {before.hash}; use another node if this stays so"
            )
        before = header


def _checked_logs(
    logs: Sequence[RawLog], headers: Mapping[int, BlockHeader], first: int, last: int
) -> tuple[RawLog, ...]:
    ordered = sorted(logs, key=lambda log: (log.block_number, log.log_index))
    previous = (-1, -1)
    for log in ordered:
        place = (log.block_number, log.log_index)
        if not first <= log.block_number <= last:
            raise LogsDoNotMatch(
                f"asked for logs of blocks {first} to {last}, the node gives one of block "
                f"{log.block_number}; use another node if this stays so"
            )
        if log.removed or log.block_hash != headers[log.block_number].hash:
            raise LogsDoNotMatch(
                f"log {log.log_index} of block {log.block_number} says that the block is "
                f"{log.block_hash}, and its header says {headers[log.block_number].hash}; use "
                "another node if this stays so"
            )
        if place == previous:
            raise LogsDoNotMatch(
                f"the node gives log {log.log_index} of block {log.block_number} twice; use "
                "another node if this stays so"
            )
        previous = place
    return tuple(ordered)


# Each asks one thing and knows its answer's type.


def _head() -> Asking[int]:
    answer = yield AskHead()
    if not isinstance(answer, int):
        raise TypeError("AskHead is answered by an int")
    return answer


def _block(number: int) -> Asking[BlockHeader]:
    answer = yield AskBlock(number)
    if not isinstance(answer, BlockHeader):
        raise TypeError("AskBlock is answered by a BlockHeader")
    if answer.number != number:
        raise HeadersDoNotLink(
            f"asked for block {number}, the node gives block {answer.number}; use another node if "
            "this stays so"
        )
    return answer


def _logs(first: int, last: int) -> Asking[Sequence[RawLog] | RangeRefused]:
    answer = yield AskLogs(first, last)
    if isinstance(answer, RangeRefused):
        return answer
    if answer is None or isinstance(answer, int | BlockHeader):
        raise TypeError("AskLogs is answered by logs or a RangeRefused")
    return answer


def _stored(at_most: int | None) -> Asking[BlockHeader | None]:
    answer = yield AskStored(at_most)
    if answer is not None and not isinstance(answer, BlockHeader):
        raise TypeError("AskStored is answered by a BlockHeader or None")
    return answer

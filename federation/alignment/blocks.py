"""Blinded ids travel in blocks: cut a list into them, and take the other side's in order."""

from __future__ import annotations

from collections.abc import Iterator

from federation.alignment.group import POINT_BYTES, refuse_non_canonical
from federation.alignment.rows import MAX_IDS, distinct
from federation.errors import ProtocolError
from federation.proto.session_pb2 import BlindedIds, ReblindedIds

# 512 KiB of points: small enough to show progress, large enough that its overhead is nothing.
BLOCK_IDS = 16_384


def block_ranges(total: int) -> Iterator[tuple[int, int]]:
    """First and last-but-one index of each block of a list."""
    for first in range(0, total, BLOCK_IDS):
        yield first, min(first + BLOCK_IDS, total)


class IncomingPoints:
    """The other side's list as it arrives; refuses gaps, repeats, overlaps and changed totals."""

    def __init__(self, sender: str, what: str, total: int | None = None) -> None:
        """A list from `sender` called `what` in errors; `total` where it is known beforehand."""
        self._sender = sender
        self._what = what
        self._total = total
        self._taken = 0

    @property
    def complete(self) -> bool:
        """Whether every point has arrived."""
        return self._taken == self._total

    @property
    def taken(self) -> int:
        """How many points have arrived."""
        return self._taken

    @property
    def total(self) -> int:
        """How many points there are in all; known from the first block on."""
        if self._total is None:
            raise ProtocolError(f"{self._sender} has not sent the first of {self._what} yet")
        return self._total

    def take(self, block: object) -> bytes:
        """The points of the next block.

        Raises:
            ProtocolError: the block is not the next one of the list, or its points are malformed.
        """
        if not isinstance(block, BlindedIds | ReblindedIds):
            raise TypeError(f"{type(block).__name__} is no block of points")
        where = f"the block of {self._what} from {self._sender} that starts at {block.first}"
        if self._total is None and not 0 < block.total <= MAX_IDS:
            raise ProtocolError(
                f"{where} announces {block.total} ids in all; 1 to {MAX_IDS} are possible"
            )
        expected = block.total if self._total is None else self._total
        if block.total != expected:
            raise ProtocolError(
                f"{where} announces {block.total} ids in all, where {expected} are right"
            )
        if block.first != self._taken:
            raise ProtocolError(f"{where} is not the next one, which starts at {self._taken}")
        if not block.points:
            raise ProtocolError(f"{where} is empty")
        refuse_non_canonical(block.points, where)
        end = self._taken + len(block.points) // POINT_BYTES
        if end > expected:
            raise ProtocolError(f"{where} ends at {end}, beyond the {expected} ids announced")
        self._total, self._taken = expected, end
        return block.points


def refuse_repeats(points: bytes, sender: str, what: str) -> None:
    """Refuse a finished list that holds a point twice.

    Raises:
        ProtocolError: it does; an honest party's ids are distinct, and so are their points.
    """
    if not distinct(points):
        raise ProtocolError(f"{what} from {sender} hold a point twice; ids must be distinct")

"""What the index needs of a chain: heights, headers and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What is kept of a block: its height, its hash and its parent's (0x and 64 hex digits), time.

    Attributes:
        timestamp: unix seconds.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as a node gives it.

    Attributes:
        address: of the contract that wrote it, EIP-55.
        topics: 32 bytes each.
        removed: whether the node itself says that its block is off the chain.
    """

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: str
    log_index: int
    tx_hash: str
    removed: bool = False


class ChainSource(Protocol):
    """A chain as some node shows it, of which only some contracts' logs matter.

    Every method may raise SourceUnavailable (down, slow), and NodeInconsistent where an answer is
    not of the form that it must have.
    """

    def chain_id(self) -> int:
        """Which chain it is (EIP-155)."""
        ...

    def head(self) -> int:
        """The height of the newest block."""
        ...

    def block(self, number: int) -> BlockHeader:
        """The block at a height now.

        Raises:
            BlockMissing: there is none.
        """
        ...

    def logs(self, first: int, last: int) -> Sequence[RawLog]:
        """All logs of the contracts in blocks `first` to `last`, both included.

        Raises:
            RangeRefused: these are too many blocks or logs at once.
        """
        ...

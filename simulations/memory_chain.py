"""A chain of blocks in memory that holds logs and can reorganise: a node for the indexer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import event_abi_to_log_topic

from contracts.artifacts import load
from contracts.index.deployment import CONTRACTS, Deployment
from contracts.index.errors import BlockMissing
from contracts.index.source import BlockHeader, RawLog
from contracts.units import BlockNumber

GENESIS_TIME = 1_750_000_000
BLOCK_SECONDS = 3600
CHAIN_ID = 31337


@dataclass(frozen=True)
class EncodedLog:
    """A log before it is in a block."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


class LogEncoder:
    """Encodes events of a deployment by the committed ABIs.

    Args:
        deployment: whose addresses the logs carry.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._events: dict[tuple[str, str], tuple[str, bytes, list[Mapping[str, Any]]]] = {}
        for contract, address in deployment.contracts.items():
            for entry in load(CONTRACTS[contract]).abi:
                if entry["type"] == "event":
                    topic = bytes(event_abi_to_log_topic(dict(entry)))  # type: ignore[arg-type]
                    self._events[contract, entry["name"]] = (address, topic, entry["inputs"])

    def encode(self, contract: str, name: str, values: Mapping[str, object]) -> EncodedLog:
        """One event; `values` by the arguments' names, missing ones 0."""
        address, topic, inputs = self._events[contract, name]
        topics, kinds, plain = [topic], [], []
        for item in inputs:
            kind = item["type"]
            value = values.get(item["name"], _zero(kind))
            if item["indexed"]:
                topics.append(encode([kind], [value]))
            else:
                kinds.append(kind)
                plain.append(value)
        return EncodedLog(address, tuple(topics), encode(kinds, plain))


def _zero(kind: str) -> object:
    if kind == "address":
        return "0x" + 40 * "0"
    if kind == "bytes32":
        return bytes(32)
    return False if kind == "bool" else 0


def address_of(number: int) -> str:
    """A made-up account or contract, in lower case."""
    return "0x" + hashlib.sha256(f"account {number}".encode()).hexdigest()[:40]


def made_deployment(block: int = 1) -> Deployment:
    """Contracts at made-up addresses, their first event in `block`."""
    from eth_utils.address import to_checksum_address

    from contracts.units import Address

    names = [*CONTRACTS, "token"]
    made = {
        name: Address(to_checksum_address(address_of(1_000_000 + place)))
        for place, name in enumerate(names)
    }
    token = made.pop("token")
    return Deployment(CHAIN_ID, BlockNumber(block), made, token)


class MemoryChain:
    """Blocks with logs; a `ChainSource`, and always at one consistent branch.

    Args:
        fork: makes the hashes of this chain's blocks differ from those of another one.
    """

    def __init__(self, fork: str = "") -> None:
        genesis = BlockHeader(0, _hash(f"genesis {fork}"), "0x" + 64 * "0", GENESIS_TIME)
        self.headers = [genesis]
        self._logs: list[list[RawLog]] = [[]]
        self._forks = 0

    def add_block(self, logs: Sequence[EncodedLog] = ()) -> BlockHeader:
        """Mine a block with logs; every log is of a transaction of its own."""
        parent = self.headers[-1]
        number = parent.number + 1
        digest = _hash(f"{parent.hash} {number} {self._forks} {len(logs)}")
        header = BlockHeader(number, digest, parent.hash, GENESIS_TIME + number * BLOCK_SECONDS)
        self.headers.append(header)
        self._logs.append(
            [
                RawLog(
                    log.address,
                    log.topics,
                    log.data,
                    number,
                    digest,
                    place,
                    _hash(f"{digest} transaction {place}"),
                )
                for place, log in enumerate(logs)
            ]
        )
        return header

    def drop(self, depth: int) -> None:
        """Take the last blocks off the chain; what is mined then is another branch."""
        del self.headers[len(self.headers) - depth :]
        del self._logs[len(self._logs) - depth :]
        self._forks += 1

    def chain_id(self) -> int:
        """Which chain it is."""
        return CHAIN_ID

    def head(self) -> int:
        """The height of the newest block."""
        return self.headers[-1].number

    def block(self, number: int) -> BlockHeader:
        """The block at a height."""
        if not 0 <= number < len(self.headers):
            raise BlockMissing(f"this chain has no block {number}")
        return self.headers[number]

    def logs(self, first: int, last: int) -> Sequence[RawLog]:
        """All logs in a range."""
        return [log for block in self._logs[first : last + 1] for log in block]


def _hash(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()

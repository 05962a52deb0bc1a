"""Logs to events, by the committed ABIs.

Nearly all of our events have only arguments of one word each; those are read here, strictly, and
the two with lists by eth_abi. Whole numbers become decimal text, as in the `events` table, so that
an event read back from the index is the very same value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import event_abi_to_log_topic
from eth_utils.address import to_checksum_address

from contracts.artifacts import load
from contracts.index.deployment import CONTRACTS
from contracts.index.errors import LogsDoNotMatch, MalformedLog
from contracts.index.source import RawLog

Value = str | bool | list[str]
"""An argument: decimal text of a number, an address, 0x and hex digits of bytes, or lists of it."""

_CLAIM_ARGUMENTS: Final = ("id", "parent", "merged", "order", "claim", "tokenId")
_LONGEST_DATA = 1 << 16
_WORD = 32


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded event.

    Attributes:
        at: the block's time, unix seconds.
        contract: a short name of `deployment.CONTRACTS`.
        name: the event's, as in Solidity.
        claim: decimal id of the receivable or purchase order that it is about, or None.
        arguments: all of them, by their names in Solidity.
    """

    block_number: int
    log_index: int
    tx_hash: str
    at: int
    contract: str
    name: str
    claim: str | None
    arguments: Mapping[str, Any]

    def number(self, argument: str) -> int:
        """A whole number."""
        return int(self.arguments[argument])

    def text(self, argument: str) -> str:
        """An address or hash."""
        return str(self.arguments[argument])


_Read = Callable[[bytes], Value]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one event lies in a log."""

    contract: str
    name: str
    indexed: tuple[tuple[str, _Read], ...]
    plain: tuple[tuple[str, _Read], ...]
    dynamic: tuple[tuple[str, str], ...]  # names and types, where a list is among them
    claim: str | None


class LogDecoder:
    """Decodes the logs of one deployment.

    Args:
        contracts: short name to address, of all whose logs may come.
        abis: the ABI by short name; the committed artifacts' where it is not given.
    """

    def __init__(
        self,
        contracts: Mapping[str, str],
        abis: Mapping[str, tuple[Mapping[str, Any], ...]] | None = None,
    ) -> None:
        given = abis or {name: load(CONTRACTS[name]).abi for name in contracts}
        self._shapes = {address: _shapes(name, given[name]) for name, address in contracts.items()}

    def decode(self, log: RawLog, at: int) -> Event | None:
        """The event of a log of a block whose time is `at`; None of one that no ABI knows.

        Raises:
            MalformedLog: it is not as the ABI says.
            LogsDoNotMatch: it is of a contract that was not asked for.
        """
        shapes = self._shapes.get(log.address)
        if shapes is None:
            raise LogsDoNotMatch(
                f"{_place(log)} is of the contract {log.address}, which was not asked for; use "
                "another node"
            )
        shape = shapes.get(log.topics[0]) if log.topics else None
        if shape is None:
            return None
        try:
            arguments = _arguments(shape, log)
        except (ValueError, DecodingError) as error:
            raise MalformedLog(
                f"{_place(log)} is no {shape.name} as the ABI of the {shape.contract} contract has "
                f"it ({error}); check that the deployment names this version's contracts"
            ) from None
        claim = None if shape.claim is None else str(arguments[shape.claim])
        return Event(
            log.block_number,
            log.log_index,
            log.tx_hash,
            at,
            shape.contract,
            shape.name,
            claim,
            arguments,
        )


def _place(log: RawLog) -> str:
    return f"Log {log.log_index} of block {log.block_number}"


def _arguments(shape: _Shape, log: RawLog) -> dict[str, Value]:
    topics, data = log.topics, log.data
    if len(topics) != len(shape.indexed) + 1:
        raise ValueError(f"{len(topics)} topics, not {len(shape.indexed) + 1}")
    found: dict[str, Value] = {}
    for (name, read), topic in zip(shape.indexed, topics[1:], strict=True):
        if len(topic) != _WORD:
            raise ValueError("a topic that is not 32 bytes long")
        found[name] = read(topic)
    if shape.dynamic:
        if len(data) > _LONGEST_DATA:
            raise ValueError(f"more than {_LONGEST_DATA:,} bytes of data")
        values = decode([kind for _, kind in shape.dynamic], data)
        for (name, _), value in zip(shape.dynamic, values, strict=True):
            found[name] = _listed(value)
    else:
        if len(data) != _WORD * len(shape.plain):
            raise ValueError(f"{len(data)} bytes of data, not {_WORD * len(shape.plain)}")
        start = 0
        for name, read in shape.plain:
            found[name] = read(data[start : start + _WORD])
            start += _WORD
    return found


def _shapes(contract: str, abi: tuple[Mapping[str, Any], ...]) -> dict[bytes, _Shape]:
    shapes: dict[bytes, _Shape] = {}
    for entry in abi:
        if entry["type"] != "event" or entry.get("anonymous"):
            continue
        inputs = entry["inputs"]
        names = {item["name"] for item in inputs}
        plain = [item for item in inputs if not item["indexed"]]
        has_lists = any(_reader(item["type"]) is None for item in plain)
        shapes[bytes(event_abi_to_log_topic(dict(entry)))] = _Shape(  # type: ignore[arg-type]
            contract=contract,
            name=entry["name"],
            indexed=tuple(
                (item["name"], _reader(item["type"]) or _hex) for item in inputs if item["indexed"]
            ),
            plain=()
            if has_lists
            else tuple((item["name"], _reader(item["type"]) or _hex) for item in plain),
            dynamic=tuple((item["name"], item["type"]) for item in plain) if has_lists else (),
            claim=next((name for name in _CLAIM_ARGUMENTS if name in names), None),
        )
    return shapes


def _reader(kind: str) -> _Read | None:
    """How a type of one word is read; None of any other type."""
    if kind == "address":
        return _address
    if kind == "bool":
        return _bool
    if kind == "bytes32":
        return _hex
    if kind.startswith("uint") and kind[4:].isdigit():
        return _unsigned(int(kind[4:]))
    return None


def _unsigned(bits: int) -> _Read:
    limit = 1 << bits

    def read(word: bytes) -> str:
        value = int.from_bytes(word)
        if value >= limit:
            raise ValueError(f"a number above uint{bits}")
        return str(value)

    return read


@lru_cache(maxsize=1 << 16)
def _address(word: bytes) -> str:
    if any(word[:12]):
        raise ValueError("an address of more than 20 bytes")
    return to_checksum_address(word[12:])


def _bool(word: bytes) -> bool:
    value = int.from_bytes(word)
    if value > 1:
        raise ValueError("a truth value that is neither 0 nor 1")
    return bool(value)


def _hex(word: bytes) -> str:
    return "0x" + word.hex()


def _listed(value: object) -> Value:
    if isinstance(value, tuple | list):
        return [str(_listed(item)) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return _hex(value)
    return to_checksum_address(str(value))

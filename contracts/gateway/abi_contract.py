"""One contract on one chain, coded and decoded by its artifact's ABI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

from contracts import artifacts
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain, When
from contracts.gateway.errors import NodeGarbled, ValueRefused
from contracts.gateway.receipts import Receipt
from contracts.gateway.solidity_values import checked_address
from contracts.units import Address


class AbiContract:
    """A deployed contract.

    Attributes:
        name: the contract's name, of which there is an artifact.
        address: where it is.
    """

    def __init__(self, chain: Chain, name: str, address: Address) -> None:
        """Read the artifact; nothing is asked of the chain."""
        self.chain, self.name = chain, name
        self.artifact = artifacts.load(name)
        self.address = checked_address(address, f"The address of {name}")
        self._functions = {
            (entry["name"], len(entry["inputs"])): entry
            for entry in self.artifact.abi
            if entry["type"] == "function"
        }
        self._events = {
            entry["name"]: entry for entry in self.artifact.abi if entry["type"] == "event"
        }

    def verify(self) -> None:
        """Check that the code there is our artifact's.

        Raises:
            NoContract, CodeMismatch: it is not.
        """
        self.chain.verify_code(self.address, self.artifact)

    def call(self, function: str, *arguments: Any) -> Call:
        """The call of a function with ABI values.

        Raises:
            ValueRefused: a value does not fit its type.
        """
        entry = self._functions[function, len(arguments)]
        types = _types(entry["inputs"])
        signature = f"{function}({','.join(types)})"
        try:
            coded = encode(types, arguments)
        except (EncodingError, TypeError, ValueError) as error:
            raise ValueRefused(f"{self.name}.{function}: a value does not fit: {error}.") from error
        return Call(self.address, keccak(text=signature)[:4] + coded, f"{self.name}.{function}")

    def read(
        self, function: str, *arguments: Any, at: When = "latest", sender: Address | None = None
    ) -> Any:
        """Call a view: its value, or a tuple of its values.

        Raises:
            ContractRefusal: the contract refuses.
            NodeGarbled: what came is not what the function returns.
        """
        call = self.call(function, *arguments)
        values = self.decode(function, len(arguments), self.chain.call(call, sender, at))
        return values[0] if len(values) == 1 else values

    def decode(self, function: str, count: int, returned: bytes) -> tuple[Any, ...]:
        """The values that a function with `count` arguments returned."""
        types = _types(self._functions[function, count]["outputs"])
        try:
            return tuple(decode(types, returned))
        except (DecodingError, ValueError, OverflowError) as error:
            raise NodeGarbled(
                f"{self.chain.node}: {self.name}.{function} returned {len(returned)} bytes that "
                "are not its values."
            ) from error

    def events(self, receipt: Receipt, event: str) -> list[Mapping[str, Any]]:
        """The events of one kind that this contract emitted in a transaction, arguments by name."""
        entry = self._events[event]
        topic = keccak(text=f"{event}({','.join(_types(entry['inputs']))})")
        return [
            _event(entry, log.topics, log.data)
            for log in receipt.logs
            if log.address == self.address and log.topics and log.topics[0] == topic
        ]

    def one_event(self, receipt: Receipt, event: str) -> Mapping[str, Any]:
        """The only event of a kind in a transaction.

        Raises:
            NodeGarbled: there is none, or there are several.
        """
        found = self.events(receipt, event)
        if len(found) != 1:
            raise NodeGarbled(
                f"Transaction 0x{receipt.tx_hash.hex()} has {len(found)} events {event} of "
                f"{self.name}; one is expected."
            )
        return found[0]


def creation(name: str, *arguments: Any) -> Call:
    """The call that makes a new contract.

    Raises:
        ValueRefused: a constructor's argument does not fit.
    """
    artifact = artifacts.load(name)
    inputs: Any = next((e["inputs"] for e in artifact.abi if e["type"] == "constructor"), [])
    types = _types(inputs)
    try:
        coded = encode(types, arguments)
    except (EncodingError, TypeError, ValueError) as error:
        raise ValueRefused(f"The constructor of {name}: a value does not fit: {error}.") from error
    return Call(None, artifact.bytecode + coded, f"new {name}")


def _types(parameters: Any) -> list[str]:
    return [collapse_if_tuple(dict(parameter)) for parameter in parameters]


def _event(entry: Mapping[str, Any], topics: tuple[bytes, ...], data: bytes) -> Mapping[str, Any]:
    indexed = [part for part in entry["inputs"] if part["indexed"]]
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    try:
        values = dict(
            zip((part["name"] for part in plain), decode(_types(plain), data), strict=True)
        )
        for part, topic in zip(indexed, topics[1:], strict=True):
            values[part["name"]] = decode([part["type"]], topic)[0]
    except (DecodingError, ValueError, OverflowError) as error:
        raise NodeGarbled(f"An event {entry['name']} has not the values it must have.") from error
    return values

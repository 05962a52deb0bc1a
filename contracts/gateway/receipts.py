"""A transaction's receipt, read strictly and held against what the node says of its block.

A node may be wrong, behind, or lying: a receipt counts only if it is of the transaction that was
asked for, has a status, and names a block that the node's own chain has at that height.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from contracts.gateway.errors import NodeGarbled, NodeLied
from contracts.units import Address, BlockNumber


@dataclass(frozen=True)
class Log:
    """One event as the chain has it: contract, topics (the first is the event's), data."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    index: int


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction.

    Attributes:
        succeeded: False where the contract refused it after all.
        contract: the contract that it made, or None.
        gas_price: paid for each unit of gas, in wei.
    """

    tx_hash: bytes
    block_number: BlockNumber
    block_hash: bytes
    succeeded: bool
    gas_used: int
    gas_price: int
    sender: Address
    to: Address | None
    contract: Address | None
    logs: tuple[Log, ...]


def read_receipt(raw: Mapping[str, Any], asked: bytes) -> Receipt:
    """The receipt of the transaction `asked` from what the node gave.

    Raises:
        NodeLied: it is of another transaction.
        NodeGarbled: a field is missing or makes no sense; a missing status is never a success.
    """
    shown = "0x" + asked.hex()
    try:
        tx_hash, block_hash = bytes(raw["transactionHash"]), bytes(raw["blockHash"])
        status, number = raw["status"], raw["blockNumber"]
        receipt = Receipt(
            tx_hash=tx_hash,
            block_number=BlockNumber(int(number)),
            block_hash=block_hash,
            succeeded=status == 1,
            gas_used=int(raw["gasUsed"]),
            gas_price=int(raw.get("effectiveGasPrice") or 0),
            sender=Address(to_checksum_address(raw["from"])),
            to=_address(raw.get("to")),
            contract=_address(raw.get("contractAddress")),
            logs=tuple(_log(entry, tx_hash, block_hash, shown) for entry in raw["logs"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NodeGarbled(
            f"The node's receipt of {shown} is incomplete ({_name(error)}); ask another node."
        ) from error
    if tx_hash != asked:
        raise NodeLied(f"The node gave the receipt of 0x{tx_hash.hex()} for that of {shown}.")
    if type(status) is not int or status not in (0, 1):
        raise NodeGarbled(f"The node's receipt of {shown} has no status; ask another node.")
    if len(block_hash) != 32:
        raise NodeGarbled(f"The node's receipt of {shown} names no block; ask another node.")
    return receipt


def check_place(receipt: Receipt, header_hash: bytes | None) -> None:
    """Refuse a receipt whose block the node's own chain has not at that height.

    Raises:
        NodeLied: the hashes differ, or there is no such block.
    """
    if header_hash != receipt.block_hash:
        there = "no such block" if header_hash is None else f"block 0x{header_hash.hex()}"
        raise NodeLied(
            f"The node's receipt of 0x{receipt.tx_hash.hex()} names block "
            f"0x{receipt.block_hash.hex()} at height {receipt.block_number}, where the node has "
            f"{there}."
        )


def check_parties(receipt: Receipt, sender: Address, to: Address | None) -> None:
    """Refuse a receipt that names another sender or contract than what was signed.

    Raises:
        NodeLied: it does.
    """
    if receipt.sender.lower() != sender.lower() or (receipt.to or "").lower() != (to or "").lower():
        raise NodeLied(
            f"The node's receipt of 0x{receipt.tx_hash.hex()} is from {receipt.sender} to "
            f"{receipt.to}; the transaction that was signed is from {sender} to {to}."
        )


def _address(value: object) -> Address | None:
    # eth-tester writes '' where no account is.
    return None if value is None or value == "" else Address(to_checksum_address(str(value)))


def _log(entry: Mapping[str, Any], tx_hash: bytes, block_hash: bytes, shown: str) -> Log:
    if bytes(entry["transactionHash"]) != tx_hash or bytes(entry["blockHash"]) != block_hash:
        raise NodeLied(f"The node's receipt of {shown} holds events of another transaction.")
    return Log(
        Address(to_checksum_address(entry["address"])),
        tuple(bytes(topic) for topic in entry["topics"]),
        bytes(entry["data"]),
        int(entry["logIndex"]),
    )


def _name(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else type(error).__name__

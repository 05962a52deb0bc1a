"""A chain as seen through one node: checked at the start, and not trusted afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from web3 import Web3
from web3.exceptions import BlockNotFound, MethodUnavailable, TransactionNotFound
from web3.middleware import AttributeDictMiddleware, ExtraDataToPOAMiddleware

from contracts.gateway.calls import Call
from contracts.gateway.errors import CodeMismatch, NoContract, NodeGarbled, NodeLied, WrongChain
from contracts.gateway.node_errors import named_errors
from contracts.gateway.node_provider import provider_of, shown_url
from contracts.gateway.receipts import Receipt, check_place, read_receipt
from contracts.gateway.solidity_values import moment
from contracts.units import Address, BlockNumber

if TYPE_CHECKING:
    from web3.providers.base import BaseProvider

    from contracts.artifacts import Artifact

When = Literal["latest", "pending"] | int

LOCAL_CHAINS = frozenset({1337, 31337, 131277322940537})
"""Chain ids of development chains: Ganache, anvil or Hardhat, eth-tester."""


@dataclass(frozen=True)
class Header:
    """What is needed of a block. `base_fee` in wei for each unit of gas; 0 where there is none."""

    number: BlockNumber
    hash: bytes
    time: datetime
    base_fee: int


class Chain:
    """One chain through one node.

    Attributes:
        chain_id: as the node says it, and as expected where that was given.
        genesis: hash of block 0; two development chains of one id differ in it.
        node: the node's name for sentences, without secrets.
        decimals: of the deposit token, for amounts in sentences; None until it is known.
        web3: for what has no method here.
    """

    def __init__(self, provider: BaseProvider, node: str, expected: int | None = None) -> None:
        """Connect; see `open`."""
        self.node = node
        self.decimals: int | None = None
        # No name service, no off-chain look-ups: a contract must not make us call URLs.
        provider.global_ccip_read_enabled = False
        self.web3 = Web3(provider, middleware=[AttributeDictMiddleware, ExtraDataToPOAMiddleware])
        with named_errors(node, "eth_chainId"):
            self.chain_id = int(self.web3.eth.chain_id)
        if expected is not None and self.chain_id != expected:
            raise WrongChain(
                f"{node} serves chain {self.chain_id}; chain {expected} is expected. Name a node "
                "of that chain."
            )
        genesis = self.header(0)
        self.genesis = genesis.hash

    @classmethod
    def open(cls, node: str, expected: int | None = None, *, timeout: float = 10.0) -> Chain:
        """Connect to a node and check which chain it serves.

        Args:
            node: its http or https URL, or 'eth-tester' for a chain within this process.
            expected: the chain id that it must have.
            timeout: seconds for each answer.

        Raises:
            WrongChain, NodeDown, NodeSlow, NodeGarbled: see there.
        """
        provider, name = provider_of(node, timeout)
        return cls(provider, name, expected)

    def __repr__(self) -> str:
        """Chain and node, without secrets."""
        return f"Chain({self.chain_id}, {self.node})"

    def is_local(self) -> bool:
        """Whether the chain is a development chain."""
        return self.chain_id in LOCAL_CHAINS

    def call(self, call: Call, sender: Address | None = None, at: When = "latest") -> bytes:
        """Run a call without a transaction and return what it returns.

        Raises:
            ContractRefusal: the contract refuses; the class says how.
        """
        with named_errors(self.node, call.name, self.decimals):
            return bytes(self.web3.eth.call(_fields(call, sender), at))

    def estimate(self, call: Call, sender: Address) -> int:
        """The gas that the call takes now.

        Raises:
            ContractRefusal: the contract refuses.
        """
        with named_errors(self.node, call.name, self.decimals):
            try:
                return int(self.web3.eth.estimate_gas(_fields(call, sender), "pending"))
            except MethodUnavailable:  # eth-tester estimates on mined blocks only
                return int(self.web3.eth.estimate_gas(_fields(call, sender), "latest"))

    def code(self, address: Address) -> bytes:
        """The code at an address."""
        with named_errors(self.node, "eth_getCode"):
            return bytes(self.web3.eth.get_code(address))  # type: ignore[arg-type]

    def verify_code(self, address: Address, artifact: Artifact) -> None:
        """Check that the contract at `address` is the one that we compiled.

        Immutables, which deployment writes into the code, are left out of the comparison.

        Raises:
            NoContract, CodeMismatch: it is not.
        """
        code = self.code(address)
        if not code:
            raise NoContract(
                f"Chain {self.chain_id} has no contract at {address}, where {artifact.name} is "
                "expected; check the deployment file and the node."
            )
        masked = bytearray(code)
        if len(code) == len(artifact.deployed_bytecode):
            for start, size in artifact.immutables:
                masked[start : start + size] = bytes(size)
        if bytes(masked) != artifact.deployed_bytecode:
            raise CodeMismatch(
                f"The contract at {address} is not the {artifact.name} of this release (source "
                f"{artifact.source_hash[:12]}…); use the release that it was deployed with."
            )

    def nonce(self, address: Address, at: When = "latest") -> int:
        """How many transactions of the account there were."""
        with named_errors(self.node, "eth_getTransactionCount"):
            return int(self.web3.eth.get_transaction_count(address, at))  # type: ignore[arg-type]

    def balance(self, address: Address) -> int:
        """The account's wei, of which gas is paid."""
        with named_errors(self.node, "eth_getBalance"):
            return int(self.web3.eth.get_balance(address))  # type: ignore[arg-type]

    def head(self) -> BlockNumber:
        """The height of the newest block."""
        with named_errors(self.node, "eth_blockNumber"):
            return BlockNumber(int(self.web3.eth.block_number))

    def header(self, number: int | Literal["latest"]) -> Header:
        """A block's header.

        Raises:
            NodeLied: it is another block than the one asked for.
            NodeGarbled: there is none, or it is incomplete.
        """
        with named_errors(self.node, "eth_getBlockByNumber"):
            block: Any = self.web3.eth.get_block(number)
            header = Header(
                BlockNumber(int(block["number"])),
                bytes(block["hash"]),
                moment(int(block["timestamp"])),
                int(block.get("baseFeePerGas") or 0),
            )
        if number != "latest" and header.number != number:
            raise NodeLied(f"{self.node}: gave block {header.number} for block {number}.")
        if len(header.hash) != 32:
            raise NodeGarbled(f"{self.node}: block {number} has no hash.")
        return header

    def priority_fee(self) -> int:
        """The tip, in wei for each unit of gas, that the node advises."""
        with named_errors(self.node, "eth_maxPriorityFeePerGas"):
            return int(self.web3.eth.max_priority_fee)

    def send_raw(self, raw: bytes) -> bytes:
        """Hand a signed transaction to the node; its hash as the node says it.

        Raises:
            NodeRefused: the node does not take it; the sentence has its words.
        """
        with named_errors(self.node, "eth_sendRawTransaction"):
            return bytes(self.web3.eth.send_raw_transaction(raw))

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction, checked; None where there is none (yet).

        Raises:
            NodeLied, NodeGarbled: it contradicts itself or the node's chain.
        """
        receipt = self._receipt(tx_hash)
        if receipt is None:
            return None
        there = self._hash_at(receipt.block_number)
        if there != receipt.block_hash:  # a reorganisation between two questions is no lie
            receipt = self._receipt(tx_hash)
            if receipt is None:
                return None
            check_place(receipt, self._hash_at(receipt.block_number))
        return receipt

    def _receipt(self, tx_hash: bytes) -> Receipt | None:
        with named_errors(self.node, "eth_getTransactionReceipt"):
            try:
                raw = self.web3.eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]
            except TransactionNotFound:
                return None
            if raw.get("blockHash") is None and raw.get("blockNumber") is None:
                return None  # known and not mined: some nodes answer so
            return read_receipt(raw, tx_hash)

    def _hash_at(self, number: int) -> bytes | None:
        with named_errors(self.node, "eth_getBlockByNumber"):
            try:
                return bytes(self.web3.eth.get_block(number)["hash"])
            except BlockNotFound:
                return None


def _fields(call: Call, sender: Address | None) -> Any:
    fields: dict[str, Any] = {"data": "0x" + call.data.hex()}
    if call.to is not None:
        fields["to"] = call.to
    if sender is not None:
        fields["from"] = sender
    return fields


__all__ = ["LOCAL_CHAINS", "Chain", "Header", "When", "shown_url"]

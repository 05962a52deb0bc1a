"""A chain as a node shows it over JSON-RPC, read through web3.

Answers are parsed here, field by field: what a node says is input from outside. The URL may hold a
key, so it appears in no sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from eth_utils.address import is_address, to_checksum_address
from web3 import Web3
from web3.exceptions import Web3Exception, Web3RPCError
from web3.types import RPCEndpoint

from contracts.gateway.errors import ChainError, NodeGarbled, ValueRefused
from contracts.gateway.node_provider import MOST_BYTES, BoundedProvider
from contracts.index.deployment import Deployment
from contracts.index.errors import (
    BlockMissing,
    DeploymentInvalid,
    NodeInconsistent,
    RangeRefused,
    SourceUnavailable,
    WrongChain,
)
from contracts.index.source import BlockHeader, RawLog

TIMEOUT_SECONDS: Final = 20.0
MOST_LOGS: Final = 50_000
_SYMBOL = bytes.fromhex("95d89b41")
_DECIMALS = bytes.fromhex("313ce567")
# How nodes say that a range is too wide; there is no one code for it.
_TOO_WIDE = (
    "block range",
    "range is too",
    "range too",
    "range limit",
    "ranges over",
    "limit exceeded",
    "query returned more",
    "response size",
    "too many results",
    "too many logs",
    "max results",
    "exceed max",
    "exceeds max",
)


def connect(url: str, place: str = "--rpc", timeout: float = TIMEOUT_SECONDS) -> Web3:
    """A client of the node at a URL; nothing is sent yet.

    Raises:
        SourceUnavailable: the URL is none of HTTP.
    """
    try:
        # Answers come as they are: web3's own checks would refuse chains of proof of authority.
        return Web3(BoundedProvider(url, timeout), middleware=[])
    except ValueRefused as error:
        raise SourceUnavailable(
            f"{place} holds no URL of a node; write, for example, http://127.0.0.1:8545"
        ) from error


class Web3Source:
    """A `ChainSource` over web3.

    Args:
        web3: a client of any provider.
        addresses: of the contracts whose logs matter.
    """

    def __init__(self, web3: Web3, addresses: Iterable[str]) -> None:
        self._web3 = web3
        self._addresses = sorted(addresses)

    def chain_id(self) -> int:
        """Which chain it is."""
        return _number(self._ask("eth_chainId", []), "eth_chainId")

    def head(self) -> int:
        """The height of the newest block."""
        return _number(self._ask("eth_blockNumber", []), "eth_blockNumber")

    def block(self, number: int) -> BlockHeader:
        """The block at a height."""
        found = self._ask("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            raise BlockMissing(
                f"the node has no block {number}, though it claimed to; use another node if this "
                "stays so"
            )
        where = f"block {number}"
        if not isinstance(found, Mapping):
            raise _malformed(where, "block")
        return BlockHeader(
            number=_number(found.get("number"), where),
            hash=_digest(found.get("hash"), where),
            parent_hash=_digest(found.get("parentHash"), where),
            timestamp=_number(found.get("timestamp"), where),
        )

    def logs(self, first: int, last: int) -> Sequence[RawLog]:
        """All logs of the contracts in a range."""
        asked = {"fromBlock": hex(first), "toBlock": hex(last), "address": self._addresses}
        try:
            found = self._ask("eth_getLogs", [asked])
        except _Refusal as refusal:
            raise RangeRefused(
                f"the node refuses the logs of blocks {first} to {last}; use another node if it "
                "refuses single blocks"
            ) from refusal
        where = f"logs of blocks {first} to {last}"
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            raise _malformed(where, "list")
        if len(found) > MOST_LOGS and first != last:
            raise RangeRefused(f"more than {MOST_LOGS:,} {where} at once")
        return [_log(entry, where) for entry in found]

    def check(self, deployment: Deployment) -> None:
        """Check that the node is of the deployment's chain, and has code at every contract.

        Raises:
            WrongChain: it is of another chain.
            DeploymentInvalid: there is no code at one of them.
        """
        found = self.chain_id()
        if found != deployment.chain_id:
            raise WrongChain(
                f"the node is of chain {found}, and the deployment is on chain "
                f"{deployment.chain_id}; name another --rpc or --deployment"
            )
        for name, address in deployment.contracts.items():
            if not _data(self._ask("eth_getCode", [address, "latest"]), f"code at {address}"):
                raise DeploymentInvalid(
                    f"chain {found} has no contract at {address}, where the deployment has its "
                    f"{name}; name this chain's deployment"
                )

    def token(self, address: str) -> tuple[str, int]:
        """Symbol and decimals that an ERC-20 token gives itself."""
        symbol, decimals = (
            _data(
                self._ask("eth_call", [{"to": address, "data": "0x" + selector.hex()}, "latest"]),
                f"token {address}",
            )
            for selector in (_SYMBOL, _DECIMALS)
        )
        places = int.from_bytes(decimals[:32])
        if len(decimals) != 32 or places > 77 or len(symbol) < 64:
            raise _malformed(f"token {address}", "symbol and decimals")
        length = min(int.from_bytes(symbol[32:64]), 16)
        text = symbol[64 : 64 + length].decode("ascii", "replace")
        return "".join(sign for sign in text if sign.isprintable() and sign != "�"), places

    def _ask(self, method: str, parameters: list[Any]) -> Any:
        try:
            return self._web3.manager.request_blocking(RPCEndpoint(method), parameters)
        except Web3RPCError as error:
            said = str(error.message or error).casefold()
            if method == "eth_getLogs" and any(sign in said for sign in _TOO_WIDE):
                raise _Refusal from None
            raise SourceUnavailable(
                f"the node refuses {method} now; check that it is in step with its chain"
            ) from None
        except NodeGarbled as error:
            if method == "eth_getLogs" and f"{MOST_BYTES:,}" in str(error):
                raise _Refusal from None
            raise SourceUnavailable(str(error)) from None
        except ChainError as error:  # down or slow: its sentence says which
            raise SourceUnavailable(str(error)) from None
        except (Web3Exception, ValueError):
            raise SourceUnavailable(
                f"the node answers {method} with something else than JSON-RPC; check --rpc"
            ) from None


class _Refusal(Exception):
    """Too wide a range."""


def _log(entry: object, where: str) -> RawLog:
    if not isinstance(entry, Mapping):
        raise _malformed(where, "log")
    address, topics = entry.get("address"), entry.get("topics")
    if not isinstance(address, str) or not is_address(address):
        raise _malformed(where, "log's address")
    if not isinstance(topics, Sequence) or isinstance(topics, str | bytes) or len(topics) > 4:
        raise _malformed(where, "log's topics")
    return RawLog(
        address=to_checksum_address(address),
        topics=tuple(_data(topic, where) for topic in topics),
        data=_data(entry.get("data"), where),
        block_number=_number(entry.get("blockNumber"), where),
        block_hash=_digest(entry.get("blockHash"), where),
        log_index=_number(entry.get("logIndex"), where),
        tx_hash=_digest(entry.get("transactionHash"), where),
        removed=entry.get("removed") is True,
    )


def _number(value: object, where: str) -> int:
    """A quantity: hexadecimal text, or a number where a provider in this process gives one."""
    if isinstance(value, str) and value.startswith("0x") and len(value) <= 66:
        try:
            value = int(value, 16)
        except ValueError:
            value = None
    if type(value) is not int or not 0 <= value < 2**63:
        raise _malformed(where, "number")
    return value


def _data(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise _malformed(where, "hexadecimal text")


def _digest(value: object, where: str) -> str:
    data = _data(value, where)
    if len(data) != 32:
        raise _malformed(where, "hash of 32 bytes")
    return "0x" + data.hex()


def _malformed(where: str, what: str) -> NodeInconsistent:
    return NodeInconsistent(f"{where}: the node's answer holds no {what} where it must have one")

"""From what web3 and the two kinds of node raise to our named errors.

eth-tester raises a contract's refusal as a text with Python's notation of the bytes; other nodes
give the bytes in hex. Both end as the same exception.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError

from contracts.gateway.errors import GatewayError, NodeGarbled, NodeRefused
from contracts.gateway.refusal import refusal_of

_PREFIX = "execution reverted: "
_MOST_TEXT = 300_000
_SHOWN = 200


@contextmanager
def named_errors(node: str, what: str, decimals: int | None = None) -> Iterator[None]:
    """Turn whatever is raised inside into a named error that says node and `what`.

    Raises:
        ContractRefusal: a contract refused.
        NodeRefused: the node gave an error of its own.
        NodeGarbled: the answer can't be read.
    """
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:  # formatters raise anything on a forged answer
        data = revert_data(error)
        if data is not None:
            raise refusal_of(data, what, decimals) from None
        if isinstance(error, Web3RPCError) or _of_tester(error):
            raise NodeRefused(f"{node}: {what}: {node_text(error)}.") from None
        kind = type(error).__name__
        detail = f" ({node_text(error)})" if isinstance(error, Web3Exception) else f" ({kind})"
        raise NodeGarbled(f"{node}: the answer to {what} can't be read{detail}.") from None


def revert_data(error: Exception) -> bytes | None:
    """What the contract returned when it refused; None if that is not what the error is."""
    if isinstance(error, ContractLogicError):
        return _given(error.data) if error.data not in (None, "") else _from_text(str(error))
    if type(error).__name__ == "TransactionFailed" and _of_tester(error):
        text = str(error.args[0]) if error.args else ""
        return _from_text(text)
    return None


def node_text(error: Exception) -> str:
    """A node's own words, short and printable."""
    text = str(error)
    if isinstance(error, Web3RPCError) and isinstance(error.rpc_response, dict):
        said = error.rpc_response.get("error")
        if isinstance(said, dict):
            text = str(said.get("message", said))
    text = "".join(letter if letter.isprintable() else " " for letter in text[:_SHOWN])
    return text.strip().rstrip(".") or type(error).__name__


def _of_tester(error: Exception) -> bool:
    """Whether the in-process chain raised it; asked by name, for it need not be installed."""
    return type(error).__module__.split(".")[0] in ("eth_tester", "eth", "eth_utils")


def _given(data: object) -> bytes:
    """Bytes of the hex that a node gave; some wrap it in an object."""
    while isinstance(data, dict):
        inner = data.get("data", data.get("result"))
        data = next(iter(data.values()), "") if inner is None else inner
    text = str(data)
    start = text.find("0x")
    try:
        return bytes.fromhex(text[start + 2 :].split()[0]) if start >= 0 else b""
    except (ValueError, IndexError):
        return b""


def _from_text(text: str) -> bytes:
    """Bytes of eth-tester's text; a plain text becomes the Error(string) that it came from."""
    said = text.removeprefix(_PREFIX)
    if said[:2] in ("b'", 'b"') and len(said) <= _MOST_TEXT:
        try:
            value = ast.literal_eval(said)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
        if isinstance(value, bytes):
            return value
    if said in ("", "execution reverted"):
        return b""
    return keccak(text="Error(string)")[:4] + encode(["string"], [said])

"""Nodes that are wrong, down, slow, garbled or lying: each is named, and none is believed."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts import artifacts
from contracts.gateway import node_provider
from contracts.gateway.abi_contract import AbiContract, creation
from contracts.gateway.connection import Chain
from contracts.gateway.errors import (
    CodeMismatch,
    NoContract,
    NodeDown,
    NodeGarbled,
    NodeLied,
    NodeRefused,
    NodeSlow,
    ValueRefused,
    WrongChain,
)
from contracts.gateway.node_provider import shown_url
from contracts.units import Address
from tests.contracts.gateway_accounts import new_signer, sender_of
from tests.contracts.gateway_node import LOSE, NODES, Forward, Node, running_node, unless_missing

NOBODY = Address("0x" + "22" * 20)


@pytest.fixture(scope="module", params=NODES)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that answers as it is told to."""
    unless_missing(request.param)
    with running_node(request.param) as node:
        yield node


def deployed(node: Node, tmp_path: Any, name: str, *arguments: object) -> Address:
    """A contract of ours."""
    sender = sender_of(node, new_signer(node, 5), tmp_path)
    receipt = sender.submit(creation(name, *arguments), f"new-{name}")
    assert receipt.contract is not None
    return receipt.contract


def test_another_chain_than_expected_is_refused(node: Node) -> None:
    """Before anything else."""
    right = Chain.open(node.url).chain_id
    assert Chain.open(node.url, right).chain_id == right
    with pytest.raises(WrongChain, match=f"serves chain {right}; chain 1 is expected"):
        Chain.open(node.url, 1)


def test_code_is_compared_with_the_artifact(node: Node, tmp_path: Any) -> None:
    """Immutables may differ, nothing else may; an account is no contract."""
    chain = Chain.open(node.url)
    address = deployed(node, tmp_path, "MockDepositToken", "Name", "SYM", 6)
    artifact = artifacts.load("MockDepositToken")
    chain.verify_code(address, artifact)
    with pytest.raises(CodeMismatch, match="is not the AuditAnchor"):
        chain.verify_code(address, artifacts.load("AuditAnchor"))
    with pytest.raises(NoContract, match="has no contract"):
        chain.verify_code(NOBODY, artifact)
    code = bytearray(artifact.deployed_bytecode)
    code[10] ^= 1
    with pytest.raises(CodeMismatch):
        chain.verify_code(address, replace(artifact, deployed_bytecode=bytes(code)))


def test_a_node_that_is_down_is_named_without_its_secrets() -> None:
    """Keys in the URL's path, query or user stay out of the sentence."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://user:hunter2@127.0.0.1:{port}/v3/hunter2?key=hunter2"
    with pytest.raises(NodeDown, match=f"127.0.0.1:{port}") as raised:
        Chain.open(url)
    error: BaseException | None = raised.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = None if error.__suppress_context__ else error.__cause__ or error.__context__
    assert shown_url("https://[::1]:8/x") == "https://[::1]:8"


@pytest.mark.parametrize("url", ["", "ws://host", "http://", "host:80", "file:///x", "http://[a"])
def test_only_http_urls_are_nodes(url: str) -> None:
    """One sentence says what would be right."""
    with pytest.raises(ValueRefused, match="http:// or https://"):
        Chain.open(url)


def test_a_slow_node_is_named(node: Node) -> None:
    """After the time that was set."""
    chain = Chain.open(node.url, timeout=0.3)

    def slow(_: str, __: list[Any], forward: Forward) -> Any:
        time.sleep(0.6)
        return forward()

    with node.hooked(slow), pytest.raises(NodeSlow, match=r"within 0\.3 seconds"):
        chain.head()


def test_a_node_that_drips_bytes_is_slow() -> None:
    """The time is for the whole answer, not for each byte of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                try:
                    for _ in range(100):
                        connection.sendall(b" " * 1000)
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(NodeSlow):
            Chain.open(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.3)
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":1,"result":"many"}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":[]}}',
        b'{"jsonrpc":"2.0","id":1,"error":"no"}',
        b"[" * 100_000,
    ],
)
def test_a_garbled_answer_is_named(node: Node, answer: bytes) -> None:
    """Never another exception than ours."""
    with (
        node.hooked(lambda *_: answer),
        pytest.raises((NodeGarbled, NodeRefused, NodeDown), match=node.url),
    ):
        Chain.open(node.url)


def test_an_endless_answer_is_cut(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the bound is not read."""
    chain = Chain.open(node.url)
    monkeypatch.setattr(node_provider, "MOST_BYTES", 1000)
    with node.hooked(lambda *_: b" " * 200_000), pytest.raises(NodeGarbled, match="1,000 bytes"):
        chain.head()


def test_a_closed_connection_is_a_node_down(node: Node) -> None:
    """No half-read answer counts."""
    chain = Chain.open(node.url)
    with node.hooked(lambda *_: LOSE), pytest.raises(NodeDown):
        chain.head()


def test_a_nodes_own_error_is_told_in_its_words(node: Node) -> None:
    """Printable, short, and in one sentence."""
    chain = Chain.open(node.url)

    def refuse(*_: object) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no \x1b[2J" * 200}}

    with node.hooked(refuse), pytest.raises(NodeRefused) as raised:
        chain.head()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


FORGERIES = {
    "another transaction": ({"transactionHash": "0x" + "ab" * 32}, NodeLied, "for that of"),
    "another block": ({"blockHash": "0x" + "ab" * 32, "logs": []}, NodeLied, "at height"),
    "a height that is not": ({"blockNumber": "0xffffff"}, NodeLied, "no such block"),
    "no status": ({"status": None}, NodeGarbled, "no status"),
    "an odd status": ({"status": "0x2"}, NodeGarbled, "no status"),
    "no sender": ({"from": None}, NodeGarbled, "incomplete"),
    "no logs": ({"logs": None}, NodeGarbled, "can't be read"),
    "no block": ({"blockHash": None}, NodeGarbled, "incomplete"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_receipt_is_named(node: Node, tmp_path: Any, forgery: str) -> None:
    """A receipt counts only if it is of this transaction, in a block that is there."""
    sender = sender_of(node, new_signer(node, 6), tmp_path)
    receipt = sender.submit(creation("AuditAnchor"), "anchor")
    changes, kind, part = FORGERIES[forgery]
    chain = Chain.open(node.url)
    assert chain.receipt(receipt.tx_hash) == receipt

    def forge(method: str, _: list[Any], forward: Forward) -> Any:
        answer = forward()
        if method == "eth_getTransactionReceipt":
            forged = json.loads(json.dumps(answer, default=lambda b: "0x" + b.hex()))
            return {**forged, "result": {**forged["result"], **changes}}
        return answer

    with node.hooked(forge), pytest.raises(kind, match=part):
        chain.receipt(receipt.tx_hash)


def test_another_block_than_asked_for_is_a_lie(node: Node) -> None:
    """The header names its own height."""
    node.mine(2)
    chain = Chain.open(node.url)

    def forge(method: str, parameters: list[Any], forward: Forward) -> Any:
        answer = forward()
        if method == "eth_getBlockByNumber":
            return {**answer, "result": {**answer["result"], "number": "0x99"}}
        return answer

    with node.hooked(forge), pytest.raises(NodeLied, match="block 153 for block 1"):
        chain.header(1)


def test_what_a_view_returns_must_be_its_values(node: Node, tmp_path: Any) -> None:
    """Forged bytes are no number."""
    address = deployed(node, tmp_path, "MockDepositToken", "Name", "SYM", 6)
    token = AbiContract(Chain.open(node.url), "MockDepositToken", address)
    assert token.read("decimals") == 6

    def forge(*_: object) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "result": "0x1234"}

    with node.hooked(forge), pytest.raises(NodeGarbled, match="returned 2 bytes"):
        token.read("decimals")

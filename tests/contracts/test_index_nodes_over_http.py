"""Nodes over real HTTP: anvil that reorganises, and servers that answer badly or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from contracts.index.errors import (
    BlockMissing,
    NodeInconsistent,
    RangeRefused,
    SourceUnavailable,
)
from contracts.index.indexer import Indexer
from contracts.index.store import IndexStore
from contracts.index.web3_source import Web3Source, connect
from tests.contracts.index_anvil import anvil, anvil_path
from tests.contracts.index_chains import DEPLOYMENT, contents, sqlite
from tests.contracts.index_deployed import deploy_all

REFUSED = {"code": -32005, "message": "query returned more than 10000 results"}


@pytest.mark.skipif(anvil_path() is None, reason="anvil is not installed")
def test_anvil_s_reorganisations_are_followed(tmp_path: Path) -> None:
    """After each of five reorganisations on anvil, the index equals a fresh one."""
    with anvil() as url:
        made = deploy_all(Web3(HTTPProvider(url)), lambda moment: None)
        deployment = made.deployment
        source = Web3Source(connect(url), deployment.contracts.values())
        source.check(deployment)
        database = sqlite(tmp_path / "index.db")
        running = Indexer(source, IndexStore(database, deployment), deployment)
        for round_ in range(5):
            leaf = made.confirm(10_000 + round_)
            made.send(made.payer, "registry", "pay", leaf, 1_000)
            made.finance(leaf, made.supplier, 5_000)
            running.run()
            answer = made.web3.provider.make_request("anvil_reorg", [3 + round_, []])  # type: ignore[arg-type]
            assert "error" not in answer
            made.send(made.payer, "registry", "pay", made.confirm(20_000), 7_000)
            done = running.run()
            assert done.rewinds == round_ + 1
            fresh = sqlite(tmp_path / f"fresh{round_}.db")
            Indexer(source, IndexStore(fresh, deployment), deployment).run()
            assert contents(database) == contents(fresh)
            fresh.close()
        assert done.events_taken_back > 20
        database.close()


@contextmanager
def server(answer: Callable[[str, list[Any]], bytes | dict[str, Any]]) -> Iterator[str]:
    """A JSON-RPC server that answers as told; bytes are sent as they are."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            given = answer(asked["method"], asked["params"])
            if isinstance(given, dict):
                given = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **given}).encode()
            self.send_response(200)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked did not wait
                self.wfile.write(given)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Not here."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/secret-key"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def source(url: str, timeout: float = 5.0) -> Web3Source:
    """A source over HTTP."""
    return Web3Source(connect(url, timeout=timeout), DEPLOYMENT.contracts.values())


GOOD_LOG = {
    "address": DEPLOYMENT.contracts["pool"],
    "topics": ["0x" + 64 * "1"],
    "data": "0x",
    "blockNumber": "0x5",
    "blockHash": "0x" + 64 * "2",
    "logIndex": "0x0",
    "transactionHash": "0x" + 64 * "3",
}


def test_a_good_answer_is_read() -> None:
    """Quantities in hexadecimal, hashes and addresses become what the index keeps."""
    block = {"number": "0x5", "hash": "0x" + 64 * "2", "parentHash": "0x" + 64 * "4"}
    answers = {
        "eth_chainId": "0x7a69",
        "eth_blockNumber": "0x9",
        "eth_getBlockByNumber": {**block, "timestamp": "0x64", "extraData": "0x" + 97 * "00"},
        "eth_getLogs": [GOOD_LOG],
    }
    with server(lambda method, parameters: {"result": answers[method]}) as url:
        node = source(url)
        assert (node.chain_id(), node.head()) == (31337, 9)
        assert node.block(5).timestamp == 100
        (log,) = node.logs(5, 5)
        assert (log.address, log.block_number) == (DEPLOYMENT.contracts["pool"], 5)


@pytest.mark.parametrize(
    "answer",
    [
        {"result": None},
        {"result": "many"},
        {"result": [7]},
        {"result": [GOOD_LOG | {"topics": "0x"}]},
        {"result": [GOOD_LOG | {"topics": ["0x0"]}]},
        {"result": [GOOD_LOG | {"blockNumber": "-0x5"}]},
        {"result": [GOOD_LOG | {"blockNumber": None}]},
        {"result": [GOOD_LOG | {"blockHash": "0x12"}]},
        {"result": [GOOD_LOG | {"address": "0x12"}]},
        {"result": [{}]},
    ],
)
def test_malformed_logs_are_an_answer_that_cannot_be(answer: dict[str, Any]) -> None:
    """Whatever is not of the form that it must have is a named error."""
    with (
        server(lambda method, parameters: answer) as url,
        pytest.raises(NodeInconsistent, match="the node's answer holds no"),
    ):
        source(url).logs(1, 9)


def test_refusals_and_silence_have_names() -> None:
    """Too wide a range, another error, garbage, silence and a closed port: one sentence each."""
    with server(lambda method, parameters: {"error": REFUSED}) as url:
        with pytest.raises(RangeRefused):
            source(url).logs(1, 9)
        with pytest.raises(SourceUnavailable, match="refuses eth_blockNumber"):
            source(url).head()
    with server(lambda method, parameters: b"<html>") as url, pytest.raises(SourceUnavailable):
        source(url).head()
    with server(lambda method, parameters: {"result": None}) as url, pytest.raises(BlockMissing):
        source(url).block(3)

    def slow(method: str, parameters: list[Any]) -> dict[str, Any]:
        time.sleep(0.5)
        return {"result": "0x1"}

    with server(slow) as url, pytest.raises(SourceUnavailable, match="within 0.1 seconds"):
        source(url, timeout=0.1).head()
    with pytest.raises(SourceUnavailable, match="can't be reached") as caught:
        source(url).head()
    assert "secret-key" not in str(caught.value)
    with pytest.raises(SourceUnavailable, match="--rpc holds no URL"):
        connect("ftp://example.org")


def test_a_token_s_own_words_are_cleaned() -> None:
    """A symbol is shortened to sixteen printable signs; nonsense is an error."""
    symbol = b"d\x1bEUR" + b"x" * 27
    words = [(32).to_bytes(32) + (32).to_bytes(32) + symbol, (6).to_bytes(32)]

    def answer(method: str, parameters: list[Any]) -> dict[str, Any]:
        if method == "eth_chainId":
            return {"result": "0x1"}
        selector = parameters[0]["data"]
        return {"result": "0x" + words[0 if selector == "0x95d89b41" else 1].hex()}

    address = DEPLOYMENT.contracts["registry"]
    with server(answer) as url:
        assert source(url).token(address) == ("dEUR" + "x" * 11, 6)
        words[1] = (200).to_bytes(32)
        with pytest.raises(NodeInconsistent, match="symbol and decimals"):
            source(url).token(address)

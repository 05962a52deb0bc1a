"""A node over HTTP whose answers a test can lose, delay or change; a real EVM is behind it.

The EVM is eth-tester in this process, or anvil. Requests go through unless the test's hook does
something else with them.
"""

from __future__ import annotations

import ast
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from web3 import Web3

from simulations.development_chain import DevelopmentChain, anvil_path, development_chain

LOSE = object()
"""A hook's answer for: close the connection and say nothing."""
# Both run the same suites; those on anvil are among the slow tests, for the default suite's sake.
NODES = ["eth-tester", pytest.param("anvil", marks=pytest.mark.slow)]
Forward = Callable[[], dict[str, Any]]
Hook = Callable[[str, list[Any], Forward], Any]


@dataclass
class Node:
    """A running node.

    Attributes:
        kind: 'eth-tester' or 'anvil'.
        development: the EVM behind it.
        url: where the node that can be tampered with answers.
        hook: called with method, parameters and a function that asks the EVM; returns the
            answer's JSON object, LOSE, or bytes to send as they are.
        running: methods that are being answered.
    """

    kind: str
    development: DevelopmentChain
    url: str = ""
    hook: Hook | None = None
    running: list[str] = field(default_factory=list)

    @contextmanager
    def hooked(self, hook: Hook) -> Iterator[None]:
        """With a hook, for a while."""
        self.hook = hook
        try:
            yield
        finally:
            self.hook = None
            # Requests whose client has left may still be at work on the EVM.
            until = time.monotonic() + 10
            while self.running and time.monotonic() < until:
                time.sleep(0.01)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the EVM."""
        provider = self.development.chain.web3.provider
        plain = Web3(provider, middleware=[])
        try:
            if self.kind == "anvil":
                found: Any = provider.make_request(request["method"], request["params"])
            else:
                ask: Any = provider.request_func(plain, plain.middleware_onion)
                found = ask(request["method"], request["params"])
        except Exception as error:  # eth-tester raises what a node answers
            found = {"error": _error(error)}
        found = {key: found[key] for key in ("result", "error") if key in found}
        return {"jsonrpc": "2.0", "id": request["id"], **found}

    def mining(self, on: bool) -> None:
        """Whether a transaction is mined as it comes."""
        if self.kind == "anvil":
            self.development.chain.web3.provider.make_request("evm_setAutomine", [on])  # type: ignore[arg-type]
            return
        tester: Any = self.development.chain.web3.provider.ethereum_tester  # type: ignore[attr-defined]
        (tester.enable_auto_mine_transactions if on else tester.disable_auto_mine_transactions)()

    def mine(self, blocks: int = 1) -> None:
        """Make blocks."""
        provider: Any = self.development.chain.web3.provider
        if self.kind == "anvil":
            for _ in range(blocks):
                provider.make_request("evm_mine", [])
        else:
            provider.ethereum_tester.mine_blocks(blocks)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """A reorganisation: at the end, the chain is what it was at the beginning, and a block."""
        provider: Any = self.development.chain.web3.provider
        if self.kind == "anvil":
            mark = provider.make_request("evm_snapshot", [])["result"]
            yield
            provider.make_request("evm_revert", [mark])
        else:
            mark = provider.ethereum_tester.take_snapshot()
            yield
            provider.ethereum_tester.revert_to_snapshot(mark)
        self.mine()


def _error(error: Exception) -> dict[str, Any]:
    """As a real node says it: refusals with their bytes in hex."""
    text = str(error)
    said = text.removeprefix("execution reverted: ")
    if said.startswith(("b'", 'b"')):
        data = "0x" + ast.literal_eval(said).hex()
        return {"code": 3, "message": "execution reverted", "data": data}
    return {"code": -32000, "message": text}


def _json(value: Any) -> Any:
    return "0x" + value.hex().removeprefix("0x") if isinstance(value, bytes) else dict(value)


@contextmanager
def running_node(kind: str) -> Iterator[Node]:
    """A fresh chain and a node before it; both are gone afterwards."""
    with development_chain(kind) as development:
        node = Node(kind, development)
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 64 * 1024  # head and body in one packet, or each answer waits 40 ms

            def do_POST(self) -> None:
                """One request."""
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.running.append(request["method"])
                try:
                    self.respond(request)
                finally:
                    node.running.remove(request["method"])

            def respond(self, request: dict[str, Any]) -> None:
                """Its answer."""

                def forward() -> dict[str, Any]:
                    with lock:  # eth-tester is for one thread at a time
                        return node.answer(request)

                if node.hook is None:
                    answer: Any = forward()
                else:
                    answer = node.hook(request["method"], request["params"], forward)
                if answer is LOSE:
                    self.close_connection = True
                    return
                body = answer if isinstance(answer, bytes) else json.dumps(answer, default=_json)
                content = body if isinstance(body, bytes) else body.encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # a client that does not wait any longer
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        node.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield node
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def unless_missing(kind: str) -> None:
    """Skip where anvil is asked for and is not there."""
    if kind == "anvil" and anvil_path() is None:
        pytest.skip("anvil is not installed (npm ci in contracts/solidity brings it)")

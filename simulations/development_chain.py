"""A chain for simulations: anvil where Node.js brought it, else one within this process.

Both are real EVMs. Anvil answers over HTTP as a node does; eth-tester needs nothing but pip.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
import subprocess  # nosec B404
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.gateway.connection import Chain
from contracts.gateway.errors import NodeDown
from contracts.units import Address
from federation.errors import InputError

START_SECONDS = 10.0
GAS_MONEY = 10**19  # wei: ten whole coins of a chain on which they cost nothing
_NODE_MODULES = Path(__file__).parents[1] / "contracts" / "solidity" / "node_modules"


@dataclass(frozen=True)
class DevelopmentChain:
    """A chain whose clock and coins are ours.

    Attributes:
        chain: as the gateway sees it.
        node: its URL, or 'eth-tester'.
        kind: 'anvil' or 'eth-tester'.
    """

    chain: Chain
    node: str
    kind: str
    _faucet: list[Address] = field(default_factory=list, repr=False)

    def give_coins(self, account: Address) -> None:
        """Give an account what its transactions cost."""
        request: Any = {"from": self._faucet[0], "to": account, "value": GAS_MONEY, "gas": 21_000}
        sent = self.chain.web3.eth.send_transaction(request)
        self.chain.web3.eth.wait_for_transaction_receipt(sent, timeout=20, poll_latency=0.02)

    def move_time(self, seconds: int) -> None:
        """Let the chain's clock go on, and a block be made there."""
        if self.kind == "anvil":
            self._ask("evm_increaseTime", seconds)
            self._ask("evm_mine")
            return
        tester: Any = getattr(self.chain.web3.provider, "ethereum_tester")  # noqa: B009
        tester.time_travel(int(self.chain.header("latest").time.timestamp()) + seconds)
        tester.mine_block()

    def _ask(self, method: Any, *parameters: Any) -> None:
        answer = self.chain.web3.provider.make_request(method, list(parameters))
        if "error" in answer:
            raise NodeDown(f"{self.node}: refused {method}.")


def anvil_path() -> Path | None:
    """The anvil binary: of the contracts' own npm packages, or on the PATH; None without one."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    own = _NODE_MODULES / "@foundry-rs" / f"anvil-{sys.platform}-{machine}" / "bin" / "anvil"
    if own.is_file():
        return own
    found = shutil.which("anvil")
    return Path(found) if found else None


@contextlib.contextmanager
def development_chain(kind: str = "") -> Iterator[DevelopmentChain]:
    """A fresh chain, gone when the block is left.

    Args:
        kind: 'anvil', 'eth-tester', or '' for anvil where it is installed.

    Raises:
        InputError: there is no such kind, or anvil is asked for and not installed.
        NodeDown: anvil does not start.
    """
    if kind not in ("", "anvil", "eth-tester"):
        raise InputError(f"'{kind[:40]}' is no chain; choose anvil or eth-tester")
    binary = anvil_path()
    if kind == "anvil" and binary is None:
        raise InputError(
            "anvil is not installed; run `npm ci` in contracts/solidity, or choose eth-tester"
        )
    if kind == "eth-tester" or binary is None:
        yield _opened("eth-tester", "eth-tester")
        return
    with _anvil(binary) as url:
        yield _opened(url, "anvil")


def _opened(node: str, kind: str) -> DevelopmentChain:
    chain = Chain.open(node, timeout=20.0)
    return DevelopmentChain(chain, node, kind, [Address(one) for one in chain.web3.eth.accounts])


@contextlib.contextmanager
def _anvil(binary: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [str(binary), "--port", str(port), "--host", "127.0.0.1", "--silent"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # nosec B603
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise NodeDown("anvil did not start within ten seconds.")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

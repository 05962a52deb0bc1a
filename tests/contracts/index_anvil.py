"""A node of its own for a test: anvil on a free port, gone afterwards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from web3 import HTTPProvider, Web3

_PACKAGE = Path("contracts/solidity/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")


def anvil_path() -> str | None:
    """Where anvil is, or None."""
    packaged = Path(__file__).parents[2] / _PACKAGE
    return str(packaged) if packaged.is_file() else shutil.which("anvil")


@contextmanager
def anvil() -> Iterator[str]:
    """Its URL, while it runs."""
    path = anvil_path()
    if path is None:
        raise RuntimeError("anvil is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [path, "--port", str(port), "--silent", "--chain-id", "31337"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(200):
                if Web3(HTTPProvider(url, exception_retry_configuration=None)).is_connected():
                    break
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()

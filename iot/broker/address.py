"""Where a broker listens, and what every broker can do."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from iot.broker.access import BrokerUsers


@dataclass(frozen=True)
class BrokerAddress:
    """Where to connect, with TLS, and the certificate file to trust."""

    host: str
    port: int
    authority: Path


class Broker(Protocol):
    """A broker that is up between entering and leaving it."""

    users: BrokerUsers

    @property
    def address(self) -> BrokerAddress: ...

    def start(self) -> None:
        """Come up; after `stop` or `kill` again on the same port and data."""

    def stop(self) -> None:
        """Go down in order: what it holds is kept."""

    def kill(self) -> None:
        """Go down at once: what it holds is lost."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def free_port(host: str) -> int:
    """A port that was free a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])

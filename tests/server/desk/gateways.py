"""The gateway beside a running desk: the same engine, callers and loop, over mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from server.desk.audit import AuditLog, audit_rows
from server.desk.decisions import DecisionMaker
from server.desk.gateway.app import gateway_app
from server.desk.gateway.calls import Engine
from server.desk.gateway.connections import GatewayConnection
from server.desk.gateway.serving import GatewayServer
from server.desk.server import TlsFiles
from tests.server.desk.desks import RunningDesk


class HastyConnection(GatewayConnection):
    """Connections with little patience."""

    header_seconds = 0.3
    request_seconds = 1.0
    refused_body_seconds = 0.3


class FewConnections(GatewayConnection):
    """Room for no more than these."""

    most_connections = 8


@dataclass
class RunningGateway:
    """What a test needs of a running gateway.

    Attributes:
        address: host and port.
        desk: beside it.
        calls: (method, caller, status) of each call, in order.
        decided: (product, decision) of each decision.
        server: it.
    """

    address: str
    desk: RunningDesk
    calls: list[tuple[str, str, str]]
    decided: list[tuple[str, str]]
    audit_folder: Path
    server: GatewayServer

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def tls(self, caller: str = "lending") -> ssl.SSLContext:
        """A context with a caller's certificate; 'nobody' shows none."""
        context = ssl.create_default_context(cafile=self.desk.folder / "tls" / "callers-ca.pem")
        if caller != "nobody":
            callers = self.desk.folder / "callers"
            context.load_cert_chain(callers / f"{caller}.pem", callers / f"{caller}.key")
        return context

    def client(self, caller: str = "lending") -> httpx.Client:
        """A client with a caller's certificate."""
        return httpx.Client(
            base_url=f"https://{self.address}", verify=self.tls(caller), timeout=10, trust_env=False
        )

    def look_at_files(self) -> None:
        """Let uvicorn's clock tick now, as it does each second."""
        tick = self.server._server.on_tick(0)
        asyncio.run_coroutine_threadsafe(tick, self.desk.loop).result(10)

    def rows(self) -> list[dict[str, Any]]:
        """The audit record so far."""
        return [dict(entry.body) for entry in audit_rows(self.audit_folder)]


@contextmanager
def running_gateway(
    desk: RunningDesk,
    *,
    engine: Engine | None = None,
    decide: DecisionMaker | None = None,
    connection: type[GatewayConnection] = GatewayConnection,
    idle_seconds: int = 60,
    **limits: Any,
) -> Iterator[RunningGateway]:
    """A gateway in the desk's own loop, with an audit record of its own.

    Args:
        desk: whose engine, callers and TLS files it has.
        engine: another one.
        decide: the lending policy.
        connection, idle_seconds: how connections are limited.
        limits: of bodies.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-audit-", dir=desk.folder))
    audit = AuditLog(folder)
    calls: list[tuple[str, str, str]] = []
    decided: list[tuple[str, str]] = []

    async def start() -> tuple[GatewayServer, str]:
        app = gateway_app(
            engine or desk.engine,
            desk.gate,
            audit,
            decide,
            lambda method, caller, status, _: calls.append((method, caller, status)),
            lambda product, decision: decided.append((product, decision)),
            **limits,
        )
        tls = TlsFiles.of(desk.folder / "tls")
        server = GatewayServer(app, tls, "127.0.0.1:0", connection, idle_seconds)
        return server, await server.start()

    server, address = asyncio.run_coroutine_threadsafe(start(), desk.loop).result(10)
    try:
        yield RunningGateway(address, desk, calls, decided, folder, server)
    finally:
        asyncio.run_coroutine_threadsafe(server.drain(1), desk.loop).result(10)
        audit.close()

"""A real desk with a model of drawn weights, over gRPC as a process and over REST in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulations.bench_scoring_desk import CALLER_FILES, RunningDesk, running_desk, write_desk
from simulations.bench_scoring_federation import Trained
from simulations.bench_scoring_local import pooled_model
from simulations.bench_scoring_offline import Offline

SECONDS = 20.0


@dataclass(frozen=True)
class ServedDesk:
    """A desk, its files, and what it must answer."""

    desk: RunningDesk
    trained: Trained
    offline: Offline
    folder: Path

    def files(self) -> dict[str, str]:
        """What a caller has: the authority's certificate, its own, and its key."""
        names = ("ca", "certificate", "key")
        paths = (str(self.desk.folder / name) for name in CALLER_FILES)
        return dict(zip(names, paths, strict=True))


@contextmanager
def served_desk(federation: Trained, folder: Path) -> Iterator[ServedDesk]:
    """A running desk with the pooled model of a federation; its files go into the folder."""
    trained, offline = pooled_model(federation)
    with running_desk(trained, {}, folder) as desk:
        yield ServedDesk(desk, trained, offline, folder)


@contextmanager
def rest_gateway(served: ServedDesk) -> Iterator[str]:
    """The address of a REST gateway to the same model, with callers of its own folder's."""
    from server.desk.access import Gate
    from server.desk.audit import AuditLog
    from server.desk.engine import ScoringEngine
    from server.desk.gateway.app import gateway_app
    from server.desk.gateway.serving import GatewayServer
    from server.desk.server import TlsFiles
    from server.desk.single_model import NoLinks, SingleModel

    folder = served.folder / "rest"
    write_desk(folder, served.trained, {})
    audit = AuditLog(folder / "audit")
    model = served.offline.served
    engine = ScoringEngine(SingleModel(model, NoLinks(model)), limit=5.0)
    app = gateway_app(engine, Gate(folder / "access.toml"), audit)
    listening, ending = threading.Event(), asyncio.Event()
    addresses: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        server = GatewayServer(app, TlsFiles.of(folder / "tls"), "127.0.0.1:0")
        addresses.append(await server.start())
        loops.append(asyncio.get_running_loop())
        listening.set()
        await ending.wait()
        await server.drain(1)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert listening.wait(SECONDS)
        yield addresses[0]
    finally:
        loops[0].call_soon_threadsafe(ending.set)
        thread.join(SECONDS)
        audit.close()

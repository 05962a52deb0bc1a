"""A broker in Python for machines without mosquitto: the same users, access rules and TLS.

For a demo of some hundred devices, not for production: it holds everything in memory and runs in
this process. What it holds is still there after `stop` and `start`, and gone after `kill`.

Why not amqtt (0.12.1, MIT, alive): it needs typer >= 0.24 where Flower 1.41 needs typer < 0.21, so
the two can't be installed together; it speaks MQTT 3.1.1 only, without the reason codes by which a
device learns that it was refused and without shared subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from iot.broker.access import BrokerRefused, BrokerUsers
from iot.broker.address import BrokerAddress, free_port
from iot.broker.certificates import broker_certificate
from iot.broker.exchange import Exchange, Link
from iot.units import Millis

_FIRST_PACKET_SECONDS: Final = 10.0
_READ_BYTES: Final = 65_536


def _system_now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass
class PythonBroker:
    """A broker in a thread of this process, up between entering and leaving.

    Attributes: as of `MosquittoBroker`; `now` is the clock.
    """

    folder: Path
    users: BrokerUsers
    host: str = "127.0.0.1"
    port: int | None = None
    message_limit_bytes: int = 2 * 1_024 * 1_024
    now: Callable[[], Millis] = _system_now
    _exchange: Exchange | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)
    _over: asyncio.Event | None = field(default=None, init=False, repr=False)
    _writers: dict[Link, asyncio.StreamWriter] = field(default_factory=dict, init=False, repr=False)

    @property
    def address(self) -> BrokerAddress:
        """Where it listens.

        Raises:
            BrokerRefused: it was not started yet, and its port was left open.
        """
        if self.port is None:
            raise BrokerRefused("The broker has no port yet; start it first.")
        return BrokerAddress(self.host, self.port, self.folder / "authority.pem")

    def start(self) -> None:
        """Come up; connections are taken when this returns.

        Raises:
            BrokerRefused: it is up already, or its port is taken.
        """
        if self._thread is not None:
            raise BrokerRefused("The broker is up already; stop it first.")
        self.folder.mkdir(parents=True, exist_ok=True)
        files = broker_certificate(self.folder, [self.host, "localhost"])
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
        trust.load_cert_chain(files.certificate, files.key)
        self.port = self.port or free_port(self.host)
        self._exchange = self._exchange or Exchange(self.users, self.message_limit_bytes + 1_024)
        up, failed = threading.Event(), list[OSError]()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(trust, up, failed)), name="broker", daemon=True
        )
        self._thread.start()
        up.wait()
        if failed:
            self._thread.join()
            self._thread = None
            raise BrokerRefused(f"The broker can't listen on {self.host}:{self.port}: {failed[0]}.")

    def stop(self) -> None:
        """Close every connection; what waits for clients stays in memory."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        thread.join()

    def kill(self) -> None:
        """Go down and lose every session and message, as a process does that is killed."""
        self.stop()
        self._exchange = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def _serve(
        self, trust: ssl.SSLContext, up: threading.Event, failed: list[OSError]
    ) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(
                self._talk, self.host, self.port, ssl=trust, ssl_handshake_timeout=10
            )
        except OSError as error:
            failed.append(error)
            up.set()
            return
        up.set()
        async with server:
            await self._over.wait()
            server.close()
            for writer in list(self._writers.values()):
                writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link, exchange = Link(), self._exchange
        if exchange is None:
            writer.transport.abort()
            return
        self._writers[link] = writer
        try:
            while not link.is_over:
                # A client is away when it is silent for half as long again as it promised.
                wait = 1.5 * link.keep_alive_seconds or None
                if link.session is None:
                    wait = _FIRST_PACKET_SECONDS
                data = await asyncio.wait_for(reader.read(_READ_BYTES), wait)
                if not data:
                    break
                for touched in exchange.receive(link, data, self.now()):
                    self._flush(touched)
                if not link.is_over:
                    await writer.drain()
        except (OSError, TimeoutError):
            pass  # how connections end
        finally:
            exchange.lose(link, self.now())
            self._writers.pop(link, None)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    def _flush(self, link: Link) -> None:
        writer = self._writers.get(link)
        if writer is None:
            return
        if link.out:
            writer.write(bytes(link.out))
            link.out.clear()
        if link.is_over:
            writer.close()

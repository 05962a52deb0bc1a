"""Serves the gateway: mutual TLS, HTTP/1.1, in the event loop that the desk runs in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Generator
from typing import Any, Protocol

import uvicorn

from federation.errors import InputError
from server.desk.gateway.connections import GatewayConnection

LOG = logging.getLogger("veilscore.desk")
HANDSHAKE_SECONDS = 5.0
IDLE_SECONDS = 60
HEADER_BYTES = 16 * 1024
BACKLOG = 512
_LOOK_AT_FILES_SECONDS = 5


class TlsPaths(Protocol):
    """Where the TLS files are, PEM; the desk's `TlsFiles` is one."""

    @property
    def certificate(self) -> Any:
        """Of the server."""
        ...

    @property
    def key(self) -> Any:
        """Of the server."""
        ...

    @property
    def callers(self) -> Any:
        """Authorities of callers, or callers' own certificates."""
        ...


class GatewayServer:
    """A server of the gateway's application.

    Args:
        app: from `gateway_app`.
        tls: the TLS files. The server's own are read again when they change; a caller's authority
            that is added as well, one that is removed at the next start.
        listen: host and port; port 0 takes a free one.
        connection: how connections are limited.
        idle_seconds: between two requests of a connection.

    Raises:
        InputError: the TLS files are missing or don't fit together.
    """

    def __init__(
        self,
        app: Any,
        tls: TlsPaths,
        listen: str,
        connection: type[GatewayConnection] = GatewayConnection,
        idle_seconds: int = IDLE_SECONDS,
    ) -> None:
        """Nothing listens yet."""
        self._tls = tls
        self._listen = listen
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.verify_mode = ssl.CERT_REQUIRED
        # A caller's own certificate may be pinned; it need not have issued itself.
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        self._context.num_tickets = 0  # each connection shows its certificate anew
        self._context.set_alpn_protocols(["http/1.1"])
        self._stamp = self._stamp_now()
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"the gateway can't use the TLS files beside {tls.certificate} "
                f"({type(error).__name__}); it needs a certificate, its key, and the callers' "
                "authorities, all PEM"
            ) from error
        config = uvicorn.Config(
            app,
            http=connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=idle_seconds,
            h11_max_incomplete_event_size=HEADER_BYTES,
            ssl_context_factory=lambda *_: self._context,
            callback_notify=self._look_at_files,
            timeout_notify=_LOOK_AT_FILES_SECONDS,
        )
        # Its own lines would repeat the desk's, and name every path.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; returns host and port.

        Raises:
            InputError: the address can't be listened on.
        """
        host, _, port = self._listen.rpartition(":")
        host = host.strip("[]")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._server.listener = socket.create_server(
                (host, int(port)), family=family, backlog=BACKLOG
            )
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(
                f"the gateway can't listen on '{self._listen}'; a free port of this machine is "
                "right, or port 0"
            ) from error
        # Connections inherit it. asyncio sets it only on sockets made with the protocol's number;
        # without it every reply waits 40 ms for the caller's acknowledgement of its headers.
        self._server.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound = self._server.listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(), name="gateway")
        await self._server.listening.wait()
        return f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"

    async def drain(self, grace: float) -> None:
        """Take no more connections, let calls under way end, for so many seconds."""
        if self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        await self._task
        self._task = None

    async def _look_at_files(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            LOG.error(
                "the gateway's TLS files were changed and can't be used (%s)", type(error).__name__
            )
            return
        LOG.info("the gateway's TLS files were read again")

    def _load(self) -> None:
        self._context.load_cert_chain(self._tls.certificate, self._tls.key)
        self._context.load_verify_locations(self._tls.callers)

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            files = (self._tls.certificate, self._tls.key, self._tls.callers)
            return tuple(file.stat().st_mtime_ns for file in files)
        except OSError:
            return ()


class _Server(uvicorn.Server):
    """uvicorn's server without its signals, and with a time for handshakes."""

    listener: socket.socket

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # they are the desk's

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        kind: type[Any] = self.config.http_protocol_class

        def connection() -> asyncio.Protocol:
            made: asyncio.Protocol = kind(
                config=self.config, server_state=self.server_state, app_state={}, _loop=loop
            )
            return made

        self.servers = [
            await loop.create_server(
                connection,
                sock=self.listener,
                ssl=self.config.ssl,
                backlog=BACKLOG,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        ]
        self.started = True
        self.listening.set()

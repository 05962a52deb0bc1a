"""The desk's gRPC server: mutual TLS, limits, health and reflection, and an end without a loss."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from federation.errors import InputError

LOG = logging.getLogger("veilscore.desk")

MOST_REQUEST_BYTES = 8 * 1024 * 1024  # 16,384 borrowers with 60 features
MOST_CALLS = 2_000  # at once
STREAMS_A_CONNECTION = 500
HANDSHAKE_MS = 5_000
IDLE_MS = 600_000
PING_MS = 30_000
METADATA_BYTES = 8 * 1024
# Long enough for callers who watch the desk's health to go elsewhere. A call that comes in the very
# moment in which the port closes is cancelled by gRPC itself; those who watch never make it.
NOT_SERVING_SECONDS = 0.5


@dataclass(frozen=True)
class TlsFiles:
    """Where the desk's TLS files are.

    Attributes:
        certificate, key: of the server, PEM.
        callers: certificates of callers' authorities, or callers' own that are pinned, PEM.
    """

    certificate: Path
    key: Path
    callers: Path

    @classmethod
    def of(cls, folder: Path) -> TlsFiles:
        """The usual names in a folder."""
        return cls(folder / "server.pem", folder / "server.key", folder / "callers-ca.pem")

    def credentials(self) -> grpc.ServerCredentials:
        """For a server that every caller must show a certificate to.

        The files are read again at each connection once they have changed, so that a certificate
        is renewed without a restart.

        Raises:
            InputError: a file is missing, or they do not fit together.
        """
        stamp = self._stamp()
        first = self._read()
        seen = [stamp]

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            try:
                now = self._stamp()
                if now == seen[0]:
                    return None
                fresh = self._read()
            except InputError as error:
                LOG.error("the TLS files were changed and can't be used: %s", error)
                return None
            seen[0] = now
            LOG.info("the TLS files were read again")
            return fresh

        # None says that nothing changed; the stubs do not know it.
        fetcher = cast(Callable[[], grpc.ServerCertificateConfiguration], fetch)
        return grpc.dynamic_ssl_server_credentials(
            first, fetcher, require_client_authentication=True
        )

    def _read(self) -> grpc.ServerCertificateConfiguration:
        try:
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
            callers = self.callers.read_bytes()
            self._check()
        except ssl.SSLError as error:  # an OSError too
            raise InputError(
                f"the desk can't use the TLS files beside {self.certificate}: a certificate, its "
                f"own key without a password ({self.key.name}), and certificates that callers are "
                f"known by ({self.callers.name}) are needed, all PEM"
            ) from error
        except OSError as error:
            raise InputError(f"{error.filename}: the desk needs this file for TLS") from error
        return grpc.ssl_server_certificate_configuration([pair], callers)

    def _check(self) -> None:
        """Whether they fit together, which gRPC says in its own log only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An empty password is asked for of nobody: a key that has one is refused.
        context.load_cert_chain(self.certificate, self.key, password="")  # nosec B106
        context.load_verify_locations(self.callers)
        if self.key.stat().st_mode & 0o007:
            LOG.warning("%s may be read by everybody on this machine; chmod 600 it", self.key)

    def _stamp(self) -> tuple[int, ...]:
        try:
            return tuple(
                path.stat().st_mtime_ns for path in (self.certificate, self.key, self.callers)
            )
        except OSError as error:
            raise InputError(f"{error.filename}: the desk needs this file for TLS") from error


class DeskServer:
    """A server with the desk's services.

    Args:
        handlers: of the services.
        services: their full names, for health and reflection.
        tls: the TLS files.
        listen: host and port.
        connections: callers' connections at once.
    """

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler],
        services: Iterable[str],
        tls: TlsFiles,
        listen: str,
        connections: int = 256,
    ) -> None:
        """Nothing listens yet."""
        self._listen = listen
        self._names = list(services)
        self._credentials = tls.credentials()
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=MOST_CALLS,
            options=[
                ("grpc.so_reuseport", 0),  # a port that another process has is not shared with it
                ("grpc.max_receive_message_length", MOST_REQUEST_BYTES),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.http2.settings_timeout", HANDSHAKE_MS),
                ("grpc.max_concurrent_streams", STREAMS_A_CONNECTION),
                ("grpc.max_allowed_incoming_connections", connections),
                ("grpc.max_connection_idle_ms", IDLE_MS),
                ("grpc.keepalive_time_ms", 4 * PING_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", PING_MS),
                ("grpc.max_metadata_size", METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_BYTES),
            ],
        )
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> str:
        """Listen and say that all is well; returns host and port.

        Raises:
            InputError: the address can't be listened on.
        """
        try:
            port = self._server.add_secure_port(self._listen, self._credentials)
        except RuntimeError as error:
            raise InputError(
                f"the desk can't listen on '{self._listen}'; a free port of this machine is "
                "right, or port 0"
            ) from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return f"{self._listen.rpartition(':')[0]}:{port}"

    async def drain(self, grace: float) -> None:
        """Say that the desk serves no more, then let calls under way end, for so many seconds."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(NOT_SERVING_SECONDS, grace))
        await self._server.stop(grace)

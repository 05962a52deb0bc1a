"""The answer side's gRPC server: mutual TLS under pinned keys, and limits on what it takes in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import grpc

from clients.answering.service import MOST_REQUEST_BYTES, SERVICE, AnswerService
from clients.pins import Identity
from federation.errors import InputError
from federation.identity.answering import RENEW_AFTER, answering_identity
from federation.identity.certificates import trust_roots

METADATA_BYTES = 8192
HANDSHAKE_MS = 10_000
MOST_CONNECTIONS = 64
STREAMS_A_CONNECTION = 256
MOST_CALLS = 1024
# Clients may ask that often whether the connection still holds.
PING_MS = 5_000
# A connection ends at last with the certificate that it was opened with.
CONNECTION_AGE_MS = int(RENEW_AFTER.total_seconds() * 1000)
_CONNECTION_GRACE_MS = 60_000


class AnswerServer:
    """A gRPC server that only the label party can connect to.

    Args:
        service: that answers.
        identity: the party's key and pins.
        label_party: whose pinned key may connect.
        listen: host and port; port 0 takes a free one.
    """

    def __init__(
        self, service: AnswerService, identity: Identity, label_party: str, listen: str
    ) -> None:
        """Nothing listens yet; made on the event loop that serves."""
        self._listen = listen
        self._service = service
        self._certificates = _Certificates(identity, label_party)
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),  # a port that another process has is not shared with it
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.http2.settings_timeout", HANDSHAKE_MS),
                ("grpc.max_concurrent_streams", STREAMS_A_CONNECTION),
                ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
                ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
                ("grpc.max_connection_age_grace_ms", _CONNECTION_GRACE_MS),
                ("grpc.max_receive_message_length", MOST_REQUEST_BYTES),
                ("grpc.max_metadata_size", METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_BYTES),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", PING_MS),
            ],
            maximum_concurrent_rpcs=MOST_CALLS,
        )
        self._server.add_generic_rpc_handlers((service.handlers(),))
        self._health = _add_health(self._server)

    async def start(self) -> str:
        """Listen; returns host and port.

        Raises:
            InputError: the address can't be listened on.
        """
        # None says that nothing changed; the stubs do not know it.
        fetch = cast(Callable[[], grpc.ServerCertificateConfiguration], self._certificates.renewed)
        credentials = grpc.dynamic_ssl_server_credentials(
            self._certificates.first, fetch, require_client_authentication=True
        )
        host = self._listen.rpartition(":")[0]
        try:
            port = self._server.add_secure_port(self._listen, credentials)
        except RuntimeError as error:
            raise InputError(
                f"it can't listen on '{self._listen}'; a free port of this machine is right, or "
                "port 0"
            ) from error
        await self._server.start()
        if self._health is not None:
            await self._set_health(serving=True)
        return f"{host}:{port}"

    async def stop(self, grace: float) -> None:
        """Take no more calls, let those under way end, and after so many seconds cut them off."""
        if self._health is not None:
            await self._set_health(serving=False)
        self._service.end_streams()
        await self._server.stop(grace)

    async def _set_health(self, *, serving: bool) -> None:
        from grpc_health.v1.health_pb2 import HealthCheckResponse

        status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)


class _Certificates:
    """A leaf of this party and the root of the label party's key, made anew before they expire."""

    def __init__(
        self, identity: Identity, label_party: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._identity = identity
        self._pins = {label_party: identity.pins[label_party]}
        self._clock = clock
        self._made = clock()
        self.first = self._fresh()

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called at every handshake: another configuration when it is time, else None.

        Never the same one again: gRPC takes whatever it is given for new, and replaces what other
        handshakes are using at that moment, which ended the process now and then.
        """
        if self._clock() - self._made < RENEW_AFTER.total_seconds():
            return None
        return self._fresh()

    def _fresh(self) -> grpc.ServerCertificateConfiguration:
        self._made = self._clock()
        leaf = answering_identity(self._identity.key, self._identity.party)
        return grpc.ssl_server_certificate_configuration(
            [(leaf.private_key, leaf.certificate)], root_certificates=trust_roots(self._pins)
        )


def _add_health(server: grpc.aio.Server) -> Any:
    """The standard health service, where its package is installed; None where it is not."""
    try:
        from grpc_health.v1 import health_pb2_grpc
        from grpc_health.v1.health import aio
    except ImportError:
        return None
    servicer = aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer

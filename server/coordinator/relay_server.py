"""The relay's gRPC server: mutual TLS for pinned keys alone, and limits on what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent import futures

import grpc

from federation.errors import InputError
from federation.identity.certificates import relay_identity, trust_roots
from federation.identity.party_key import PartyPublicKey
from federation.session.relay_messages import METHOD, PING_MS, SERVICE, STREAM_OPTIONS

# Threads beside the parties' own, for streams that are about to be refused: a refusal waits for
# nothing, so a few threads keep up with many of them.
REFUSING_THREADS = 4
# One would do for a party; more are its mistakes.
STREAMS_A_CONNECTION = 4
MOST_CONNECTIONS = 512
IDLE_MS = 30_000
METADATA_BYTES = 4096

Serve = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


class RelayServer:
    """A gRPC server with the relay's one method.

    Args:
        serve: called with the raw messages of each stream; yields the raw answers.
        pins: the public keys that may connect.
        listen: host and port; port 0 takes a free one.
        handshake_seconds: the time that a connection has for TLS and for HTTP/2's settings.
    """

    def __init__(
        self,
        serve: Serve,
        pins: Mapping[str, PartyPublicKey],
        listen: str,
        handshake_seconds: float,
    ) -> None:
        """Make the session's TLS key; nothing listens yet."""
        identity = relay_identity()
        self.certificate = identity.certificate
        self._listen = listen
        self._credentials = grpc.ssl_server_credentials(
            [(identity.private_key, identity.certificate)],
            root_certificates=trust_roots(pins),
            require_client_auth=True,
        )
        self._threads = futures.ThreadPoolExecutor(
            max_workers=len(pins) + REFUSING_THREADS, thread_name_prefix="relay"
        )
        handshake_ms = int(handshake_seconds * 1000)
        self._server = grpc.server(
            self._threads,
            options=[
                *STREAM_OPTIONS,
                ("grpc.so_reuseport", 0),  # a port that another process has is not shared with it
                ("grpc.server_handshake_timeout_ms", handshake_ms),
                ("grpc.http2.settings_timeout", handshake_ms),
                ("grpc.max_concurrent_streams", STREAMS_A_CONNECTION),
                ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
                ("grpc.max_connection_idle_ms", IDLE_MS),
                ("grpc.max_metadata_size", METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_BYTES),
                ("grpc.http2.min_ping_interval_without_data_ms", PING_MS // 4),
            ],
        )
        # Without serialisers gRPC hands the bytes over as they are.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(serve)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
        )

    def start(self) -> str:
        """Listen; returns host and port.

        Raises:
            InputError: the address can't be listened on.
        """
        host = self._listen.rpartition(":")[0]
        try:
            port = self._server.add_secure_port(self._listen, self._credentials)
        except RuntimeError as error:
            raise InputError(
                f"the relay can't listen on '{self._listen}'; a free port of this machine is "
                "right, or port 0"
            ) from error
        self._server.start()
        return f"{host}:{port}"

    def stop(self, grace: float) -> None:
        """Close the port, and after so many seconds every stream; no thread is left on return."""
        self._server.stop(grace).wait()
        self._threads.shutdown(wait=True, cancel_futures=True)

"""One mutual TLS connection to a partner's answer side."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Final

import grpc

from federation.identity import PartyKey, PartyPublicKey
from federation.identity.answering import answering_host, asking_identity
from federation.identity.certificates import trust_roots
from server.desk.partners.stream import ContributionStream

SERVICE = "veilscore.contribution.v1.ContributionService"
CONTRIBUTE: Final = f"/{SERVICE}/Contribute"
STREAM: Final = f"/{SERVICE}/ContributeStream"
REASONS: Final = f"/{SERVICE}/Reasons"
OFFER: Final = f"/{SERVICE}/Offer"

# 16,384 words, a bit each, and room for an offer of thousands of models.
MOST_REPLY_BYTES = 1024 * 1024
# Larger questions are calls of their own: on a stream the next one would wait behind them.
MOST_STREAMED_BYTES = 4096
# How long what is under way may still take on a connection that is being replaced.
RETIRING_SECONDS = 10.0
_RETIRING_STEP = 0.05

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MOST_REPLY_BYTES),
    # Channels to one address would otherwise share one connection, and a hedge would go nowhere.
    ("grpc.use_local_subchannel_pool", 1),
    # Partners are dialled where the settings say, never by way of a proxy of the environment.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # An attempt to connect that hangs is given up after this, and made again.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True)
class Dialling:
    """What it takes to connect to a partner.

    Attributes:
        address: host:port of its answer side.
        party: the partner's name; `pin`, its public key: who holds it is the partner.
        label_party: the desk's own party; `key`, its long-term key.
    """

    address: str
    party: str
    pin: PartyPublicKey
    label_party: str
    key: PartyKey


class Line:
    """A gRPC channel of its own connection, with a certificate made for it.

    Made on the event loop that uses it; it connects when it is first used or `nudge`d.
    """

    def __init__(self, dialling: Dialling) -> None:
        """Issue the certificate, which is valid for a day."""
        identity = asking_identity(dialling.key, dialling.label_party)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=trust_roots({dialling.party: dialling.pin}),
            private_key=identity.private_key,
            certificate_chain=identity.certificate,
        )
        name = ("grpc.ssl_target_name_override", answering_host(dialling.pin))
        self._channel = grpc.aio.secure_channel(
            dialling.address, credentials, options=[*_OPTIONS, name]
        )
        # Without serialisers gRPC hands the bytes over as they are.
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {
            method: self._channel.unary_unary(method) for method in (CONTRIBUTE, REASONS, OFFER)
        }
        self._stream = ContributionStream(self._channel.stream_stream(STREAM))
        self._under_way = 0
        self.made_at = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether it is connected."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def nudge(self) -> None:
        """Connect, if it is not."""
        self._channel.get_state(try_to_connect=True)

    async def connected(self, seconds: float) -> bool:
        """Connect; whether that was done within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            return False
        return True

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """One call, unread.

        Raises:
            grpc.aio.AioRpcError: it failed, or took longer.
        """
        seconds = max(seconds, 0.001)
        self._under_way += 1
        try:
            if method == CONTRIBUTE and len(request) <= MOST_STREAMED_BYTES:
                return await self._stream.ask(request, seconds)
            reply: bytes = await self._methods[method](request, timeout=seconds)
            return reply
        finally:
            self._under_way -= 1

    async def retire(self) -> None:
        """Close it as soon as nothing is under way on it."""
        until = time.monotonic() + RETIRING_SECONDS
        try:
            while self._under_way and time.monotonic() < until:
                await asyncio.sleep(_RETIRING_STEP)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close it at once."""
        await self._stream.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._channel.close()

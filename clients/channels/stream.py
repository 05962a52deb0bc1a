"""One outbound gRPC stream to the coordinator's relay, held open for a whole session.

Mutual TLS: the party shows a certificate that it issues itself for the session, and trusts the one
certificate that the coordinator named. Three threads: this one runs the party's side of the
session, gRPC's own takes from the outbox (and sends heartbeats while this one computes), and a
reader fills the inbox. Both queues are bounded in bytes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grpc

from clients.channels.stream_refusals import told, what_happened
from federation.errors import PartyFailure, ProtocolError, VeilscoreError
from federation.identity.certificates import RELAY_NAME, party_identity
from federation.identity.party_key import PartyKey
from federation.proto.relay_pb2 import FromParty, ToParty
from federation.session.byte_queue import ByteQueue, QueueClosed, QueueEmpty
from federation.session.endpoint import Endpoint
from federation.session.machine import Progress
from federation.session.relay_messages import (
    HEARTBEAT_FROM_PARTY,
    HEARTBEAT_SECONDS,
    LOST_SECONDS,
    SESSION_METHOD,
    STREAM_OPTIONS,
    VERSIONS_KEY,
    ParcelView,
    done_message,
    failed_note,
    parcel_message,
    progress_note,
    read_parcel,
    read_to_party,
    versions_text,
)
from federation.session.wire import SUPPORTED_VERSIONS

__all__ = ["StreamChannel", "StreamLimits", "told"]

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class StreamLimits:
    """What a party's stream allows.

    Attributes:
        outbox_bytes: what may wait to be sent; beyond, the party's own side waits.
        inbox_bytes: what may wait to be taken; beyond, nothing more is read.
        inbox_most_bytes: the same while the party's own side waits in sending. Two parties that
            both send much before they take anything would otherwise wait for each other for ever.
        heartbeat_seconds: after so long with nothing to send, a heartbeat is sent.
        lost_seconds: after so long without a word from the relay, the session ends.
        last_word_seconds: how long the relay has to answer this party's last word.
        idle_seconds: how long this party waits for a message while the relay sends heartbeats
            only: longer than all others together compute.
    """

    outbox_bytes: int = 4 * 1024 * 1024
    inbox_bytes: int = 64 * 1024 * 1024
    inbox_most_bytes: int = 2 * 1024 * 1024 * 1024
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    lost_seconds: float = LOST_SECONDS
    last_word_seconds: float = 5.0
    idle_seconds: float = 12 * 3600.0


class StreamChannel:
    """Runs one party's side of one session over a stream.

    Args:
        address: the relay's host:port.
        key: this party's long-term key.
        relay_certificate: the relay's certificate for this session (PEM), as the coordinator said.
        tell_inputs: whether the others are told what is wrong with this party's own input: its
            files and columns are its own business, except where one person runs all parties.
        limits: bounds that tests set lower.
        versions: of the protocol, that this party speaks.

    Attributes:
        version: of the protocol, as the parties agreed; 0 before the session has begun.
    """

    def __init__(
        self,
        address: str,
        key: PartyKey,
        relay_certificate: bytes,
        tell_inputs: bool = False,
        limits: StreamLimits | None = None,
        versions: Sequence[int] = SUPPORTED_VERSIONS,
    ) -> None:
        """Nothing is opened before `run`."""
        self._address = address
        self._key = key
        self._relay_certificate = relay_certificate
        self._tell_inputs = tell_inputs
        self._limits = limits or StreamLimits()
        self._versions = tuple(versions)
        self._outbox: ByteQueue[bytes] = ByteQueue(self._limits.outbox_bytes)
        self._inbox: ByteQueue[ParcelView | ToParty] = ByteQueue(
            self._limits.inbox_bytes, self._limits.inbox_most_bytes
        )
        self._heard = time.monotonic()
        self._admitted = False
        self._joined = False
        self._held_up = False
        self._complete = False
        self._ending: VeilscoreError | None = None
        self._relay_is_lost = False
        self.version = 0

    def note(self, progress: Progress) -> None:
        """Show progress to a person at the coordinator; dropped rather than waited for."""
        content = progress_note(progress.stage, progress.fraction, progress.detail)
        message = FromParty(progress=content).SerializeToString()
        with contextlib.suppress(QueueClosed):
            self._outbox.put(message, len(message), timeout=0)

    def run(self, machine: Endpoint, summary: Callable[[], str]) -> None:
        """Run the machine to its end, and report `summary()` as done.

        Within `joined`, or of itself.

        Raises:
            PartyFailure: another party failed or never came, or the relay refused this party, went
                away, or fell silent.
            Exception: whatever this party's own machine raised; the others are told.
        """
        if self._joined:
            self._drive(machine, summary)
            return
        with self.joined(machine.party, machine.session):
            self._drive(machine, summary)

    @contextlib.contextmanager
    def joined(self, party: str, session: str) -> Iterator[None]:
        """Take the party's seat at once, so that the others know that it is here while it reads.

        What is raised within is told to the others, as `run` does.
        """
        identity = party_identity(self._key, party, session)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self._relay_certificate,
            private_key=identity.private_key,
            certificate_chain=identity.certificate,
        )
        options = [*STREAM_OPTIONS, ("grpc.ssl_target_name_override", RELAY_NAME)]
        with grpc.secure_channel(self._address, credentials, options=options) as channel:
            # Without serialisers gRPC hands the bytes over as they are.
            call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
                SESSION_METHOD
            )
            self._heard = time.monotonic()
            offer = ((VERSIONS_KEY, versions_text(self._versions)),)
            responses = call(self._requests(), metadata=offer)
            reader = threading.Thread(
                target=self._read, args=(responses,), daemon=True, name=f"{party} reads"
            )
            reader.start()
            self._joined = True
            try:
                yield
            except PartyFailure:
                raise
            except Exception as error:
                self._fail(party, told(error, self._tell_inputs))
                raise
            finally:
                self._joined = False
                self._close(responses, reader)

    def _close(self, responses: grpc.Call, reader: threading.Thread) -> None:
        self._inbox.replace()  # the reader goes on to the stream's end, and keeps nothing
        self._outbox.finish()
        if not self._relay_is_lost:
            reader.join(self._limits.last_word_seconds)
        responses.cancel()
        reader.join(self._limits.last_word_seconds)

    def _requests(self) -> Iterator[bytes]:
        """What gRPC sends, from a thread of its own."""
        while True:
            try:
                yield self._outbox.get(self._limits.heartbeat_seconds)
            except QueueEmpty:
                yield HEARTBEAT_FROM_PARTY
            except QueueClosed:
                return

    def _read(self, responses: Iterator[bytes]) -> None:
        try:
            for message in responses:
                self._heard, self._admitted = time.monotonic(), True
                self._take(message)
            self._end(PartyFailure("the relay ended the session without a word; see its log"))
        except grpc.RpcError as error:
            self._end(PartyFailure(what_happened(error, self._address, self._admitted)))
        except ProtocolError as error:
            self._end(error)
            with contextlib.suppress(grpc.RpcError):
                for _ in responses:  # until the others have been told
                    continue

    def _take(self, message: bytes) -> None:
        parcel = read_parcel(message)
        if parcel is not None:
            self._keep(parcel, len(message))
            return
        parsed = read_to_party(message)
        content = parsed.WhichOneof("content")
        if content == "failed":
            sender = f"{parsed.failed.party}: " if parsed.failed.party else ""
            self._end(PartyFailure(f"{sender}{parsed.failed.sentence}"))
        elif content in ("begin", "end"):
            self._complete = content == "end"
            self._inbox.put_now(parsed, len(message))

    def _keep(self, parcel: ParcelView, size: int) -> None:
        """Keep a parcel until this party's side takes it; waits while the inbox is full."""
        with contextlib.suppress(QueueClosed):  # the session is over: nobody takes it
            if self._inbox.put(parcel, size, timeout=0):
                return
            self._held_up = True
            try:
                while not self._inbox.put(parcel, size, timeout=WAIT_SECONDS):
                    if self._inbox.overflows(size):
                        raise ProtocolError(
                            f"{self._inbox.queued_bytes} bytes from others wait here while this "
                            "party's own messages are not taken; see why the others do not take "
                            "them, then start again"
                        )
            finally:
                self._heard = time.monotonic()
                self._held_up = False

    def _end(self, why: VeilscoreError) -> None:
        """Say why the session is over; the first reason stays, and a good end is none."""
        if self._complete:
            return
        if self._ending is None:
            self._ending = why
        self._inbox.replace()

    def _next(self) -> ParcelView | ToParty:
        since = time.monotonic()
        while True:
            self._check()
            if time.monotonic() - since > self._limits.idle_seconds:
                raise PartyFailure(
                    f"the relay at {self._address} has sent nothing but heartbeats for "
                    f"{self._limits.idle_seconds:g} s; look at the coordinator's log, then start "
                    "again"
                )
            with contextlib.suppress(QueueEmpty, QueueClosed):  # closed: the check says why
                return self._inbox.get(WAIT_SECONDS)

    def _check(self) -> None:
        """Raise why the session is over, if it is."""
        if self._ending is not None:
            raise self._ending
        if not self._held_up and time.monotonic() - self._heard > self._limits.lost_seconds:
            self._relay_is_lost = True
            raise PartyFailure(
                f"the relay at {self._address} has not been heard of for "
                f"{self._limits.lost_seconds:g} s; check the coordinator's process and the "
                "network, then start again"
            )

    def _drive(self, machine: Endpoint, summary: Callable[[], str]) -> None:
        self._begin()
        machine.use_version(self.version)
        self._deliver(machine.start())
        while not machine.finished:
            message = self._next()
            if isinstance(message, ParcelView):
                self._deliver(machine.receive(message.frame, message.peer))
            elif message.HasField("end"):
                raise PartyFailure(
                    f"the relay at {self._address} ended the session while {machine.party} still "
                    f"waited for {machine.waiting_for}; look at the coordinator's log, then start "
                    "again"
                )
        self._send(done_message(summary()))
        while isinstance(message := self._next(), ParcelView) or not message.HasField("end"):
            continue

    def _begin(self) -> None:
        message = self._next()
        if isinstance(message, ParcelView) or not message.HasField("begin"):
            raise ProtocolError("the relay passed on a message before the session had begun")
        if message.begin.version not in self._versions:
            raise ProtocolError(
                f"the relay chose version {message.begin.version} of the protocol, but this party "
                f"speaks {' and '.join(map(str, self._versions))}; upgrade the coordinator"
            )
        self.version = message.begin.version

    def _deliver(self, frames: Iterator[tuple[str, bytes]]) -> None:
        for recipient, frame in frames:
            self._send(parcel_message(recipient, frame))

    def _send(self, message: bytes) -> None:
        self._check()  # no use in going on after the end: say why
        if self._outbox.put(message, len(message), timeout=0):
            return
        # The others may be waiting to get rid of theirs before they take ours.
        with self._inbox.widened():
            while not self._outbox.put(message, len(message), timeout=WAIT_SECONDS):
                self._check()

    def _fail(self, party: str, sentence: str) -> None:
        failed = FromParty(failed=failed_note(party, sentence))
        self._outbox.replace(failed.SerializeToString())

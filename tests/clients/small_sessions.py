"""Small parties for tests of the stream, run in threads and processes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import grpc

from clients.channels.stream import StreamChannel, StreamLimits
from federation.identity import PartyKey
from federation.identity.certificates import RELAY_NAME, TlsIdentity, party_identity
from federation.proto.relay_pb2 import FromParty, ToParty
from federation.proto.session_pb2 import HintBlock
from federation.session.machine import Machine, Receive, Send, Step
from federation.session.relay_messages import SESSION_METHOD, VERSIONS_KEY, versions_text
from federation.session.wire import SUPPORTED_VERSIONS
from server.coordinator.relay import Relay

SESSION = "session-1"
SECONDS = 20.0  # the longest that anything here may take


def key(party: str) -> PartyKey:
    """A party's long-term key, always the same."""
    return PartyKey(hashlib.sha256(party.encode()).digest())


def relay_of(*parties: str, **settings: Any) -> Relay:
    """A relay that waits for these parties."""
    return Relay(SESSION, {party: key(party).public for party in parties}, **settings)


def block(number: int, size: int = 0) -> HintBlock:
    """A message that says its number, with that many bytes."""
    return HintBlock(first_row=number, rows=1, values=bytes([number % 256]) * size)


def sending(
    recipients: Iterable[str], messages: int, size: int = 0, awaited: Iterable[str] = ()
) -> Generator[Step, object, list[tuple[str, int]]]:
    """Send every recipient the same numbered messages, then take as many from all `awaited`."""
    for number in range(messages):
        for recipient in recipients:
            yield Send(recipient, "hint_block", block(number, size))
    return (yield from taking(awaited, messages, size))


def taking(
    senders: Iterable[str], messages: int, size: int = 0
) -> Generator[Step, object, list[tuple[str, int]]]:
    """Take numbered messages of all senders; returns (sender, number) in the order they came."""
    taken = []
    for sender in senders:
        for _ in range(messages):
            body = yield Receive(sender, "hint_block")
            assert isinstance(body, HintBlock)
            assert body.values == bytes([body.first_row % 256]) * size
            taken.append((sender, body.first_row))
    return taken


def sending_for_ever(recipient: str, size: int) -> Generator[Step, object, None]:
    """Send until somebody ends it."""
    number = 0
    while True:
        yield Send(recipient, "hint_block", block(number, size))
        number += 1


def raising(error: Exception, after: str | None = None) -> Generator[Step, object, None]:
    """Raise, at once or after a message of a party."""
    if after is not None:
        yield Receive(after, "hint_block")
    raise error
    yield


def in_thread(
    relay: Relay,
    party: str,
    role: Generator[Step, object, Any],
    *,
    tell_inputs: bool = False,
    session: str = SESSION,
    with_key: PartyKey | None = None,
    limits: StreamLimits | None = None,
    versions: tuple[int, ...] = SUPPORTED_VERSIONS,
) -> Future[Any]:
    """Run a role over a stream of its own; the future has its result or what it raised."""
    future: Future[Any] = Future()

    def run() -> None:
        channel = StreamChannel(
            relay.address,
            with_key or key(party),
            relay.certificate,
            tell_inputs,
            limits,
            versions,
        )
        machine = Machine(party, session, role, on_progress=channel.note)
        try:
            channel.run(machine, lambda: json.dumps({"party": party}))
            future.set_result(machine.result)
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"test-{party}").start()
    return future


def _send_one_and_wait(address: str, certificate: bytes, party: str, peer: str) -> None:
    def role() -> Generator[Step, object, None]:
        yield Send(peer, "hint_block", block(0))
        yield Receive(peer, "closing")  # never comes

    machine = Machine(party, SESSION, role())
    StreamChannel(address, key(party), certificate).run(machine, lambda: "{}")


@contextmanager
def in_process(relay: Relay, party: str, peer: str) -> Iterator[BaseProcess]:
    """A party in a process of its own: sends its peer one message, then waits for ever."""
    process = multiprocessing.get_context("spawn").Process(
        target=_send_one_and_wait,
        args=(relay.address, relay.certificate, party, peer),
        daemon=True,
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(SECONDS)


class ByHand:
    """A stream whose messages a test writes itself."""

    def __init__(self, call: Any) -> None:
        """Nothing is sent yet."""
        self.call = call
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def send(self, *messages: bytes | FromParty) -> None:
        """Send messages, whatever they are."""
        for message in messages:
            raw = message if isinstance(message, bytes) else message.SerializeToString()
            self.requests.put(raw)

    def read(self) -> ToParty:
        """The relay's next message."""
        return ToParty.FromString(next(self.call))

    def read_past_heartbeats(self) -> ToParty:
        """The relay's next message that is no heartbeat."""
        while (message := self.read()).HasField("heartbeat"):
            continue
        return message


@contextmanager
def by_hand(
    relay: Relay,
    party: str,
    *,
    identity: TlsIdentity | None = None,
    trusted: bytes | None = None,
    versions: str | None = versions_text(SUPPORTED_VERSIONS),
) -> Iterator[ByHand]:
    """Open a stream, with a certificate of that party unless another is given."""
    identity = identity or party_identity(key(party), party, SESSION)
    credentials = grpc.ssl_channel_credentials(
        trusted or relay.certificate, identity.private_key, identity.certificate
    )
    options = [("grpc.ssl_target_name_override", RELAY_NAME), ("grpc.max_send_message_length", -1)]
    metadata = () if versions is None else ((VERSIONS_KEY, versions),)
    with grpc.secure_channel(relay.address, credentials, options=options) as channel:
        stream = ByHand(None)
        stream.call = channel.stream_stream(SESSION_METHOD)(
            iter(stream.requests.get, None), metadata=metadata
        )
        try:
            yield stream
        finally:
            stream.requests.put(None)
            stream.call.cancel()


@contextmanager
def no_thread_left() -> Iterator[None]:
    """What runs inside leaves no thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left

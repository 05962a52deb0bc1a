"""A party's stream: what it says when the relay or a message is not as it should be."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from clients.channels.stream import OUTBOX_FRAMES, SESSION_METHOD, StreamChannel, told
from federation.errors import InputError, NoRoomError, PartyFailure, ProtocolError
from federation.proto.relay_pb2 import FromParty, Join, Parcel, ToParty
from federation.session.machine import Machine, Progress
from federation.session.wire import encode
from server.coordinator.relay import Relay
from tests.clients.small_sessions import (
    SECONDS,
    SESSION,
    block,
    in_thread,
    no_thread_left,
    raising,
    sending,
    taking,
    ticket,
)


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay for two."""
    tickets = {party: ticket(party) for party in ("bank", "platform")}
    with no_thread_left(), Relay(SESSION, tickets, join_seconds=5) as relay:
        yield relay


@contextmanager
def frames_by_hand(relay: Relay, *frames: bytes, at_once: bool = False) -> Iterator[None]:
    """A platform that joins and sends the bank these frames, whatever they are.

    It sends them when all are here, or else `at_once`.
    """
    requests: queue.SimpleQueue[FromParty | None] = queue.SimpleQueue()
    join = Join(session=SESSION, party="platform", ticket=ticket("platform"))
    requests.put(FromParty(join=join))
    parcels = [FromParty(parcel=Parcel(peer="bank", frame=frame)) for frame in frames]
    if at_once:
        for parcel in parcels:
            requests.put(parcel)
    with grpc.insecure_channel(relay.address) as channel:
        call = channel.stream_stream(
            SESSION_METHOD,
            request_serializer=FromParty.SerializeToString,
            response_deserializer=ToParty.FromString,
        )(iter(requests.get, None))
        try:
            if not at_once:
                assert next(call).WhichOneof("content") == "begin"
                for parcel in parcels:
                    requests.put(parcel)
            yield
        finally:
            requests.put(None)
            call.cancel()


def hint(sequence: int, session: str = SESSION) -> bytes:
    """A good frame, but for what the arguments say."""
    return encode(session, "platform", "bank", sequence, "hint_block", block(sequence, 50))


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([hint(0)[:-7]], "a frame of 77 bytes is not a veilscore message: truncated or damaged"),
        (
            [hint(0), hint(0)],
            r"message 0 \('hint_block'\) from platform was replayed; the next from that party must "
            "be message 1",
        ),
        ([hint(1)], "message 1 .* from platform is out of order; message 0 is missing"),
        (
            [hint(0, "session-2")],
            "bank was given message 0 .* of session 'session-2', but takes part in session",
        ),
        (
            [encode(SESSION, "telecom", "bank", 0, "hint_block", block(0))],
            r"platform sent message 0 \('hint_block'\) in the name of 'telecom'",
        ),
    ],
    ids=["truncated", "replayed", "missing", "another session", "another sender"],
)
def test_a_bad_message_ends_the_session_with_one_sentence(
    relay: Relay, frames: list[bytes], sentence: str
) -> None:
    """At the party that got it, and at the coordinator."""
    bank = in_thread(relay.address, "bank", taking(["platform"], 3, 50))
    with frames_by_hand(relay, *frames):
        with pytest.raises(ProtocolError, match=f"^{sentence}") as raised:
            bank.result(SECONDS)
        assert "\n" not in str(raised.value)
        with pytest.raises(PartyFailure, match=f"^bank: {sentence}"):
            relay.wait()


def test_a_message_before_everybody_is_here_ends_the_session(relay: Relay) -> None:
    """It would be lost on those who come later, who would then wait for ever."""
    with frames_by_hand(relay, hint(0), at_once=True):
        expected = "^platform sent a message before every party had come$"
        with pytest.raises(PartyFailure, match=expected):
            relay.wait()
        bank = in_thread(relay.address, "bank", taking(["platform"], 1))
        with pytest.raises(PartyFailure, match=expected):
            bank.result(SECONDS)


def test_a_relay_that_is_not_there_is_named_at_once() -> None:
    """No stream, no hang."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    with no_thread_left():
        bank = in_thread(address, "bank", taking(["platform"], 1))
        with pytest.raises(PartyFailure, match=f"^the relay at {address} is not to be reached: "):
            bank.result(SECONDS)
    assert time.monotonic() - started < 10


def test_the_summary_is_made_only_after_the_machine_has_ended(relay: Relay) -> None:
    """What `summary` raises ends the session as the machine's own errors do."""
    machine = Machine("bank", SESSION, taking(["platform"], 1))

    def summary() -> str:
        assert machine.finished
        raise InputError("runs/: the disk is full")

    platform = in_thread(relay.address, "platform", sending(["bank"], 1))
    with pytest.raises(InputError, match="the disk is full"):
        StreamChannel(relay.address, ticket("bank"), tell_inputs=True).run(machine, summary)
    for wait in (relay.wait, platform.result):
        with pytest.raises(PartyFailure, match="^bank: runs/: the disk is full$"):
            wait()


def test_a_role_that_raises_at_once(relay: Relay) -> None:
    """Before it has sent anything."""
    platform = in_thread(relay.address, "platform", raising(ProtocolError("no")))
    bank = in_thread(relay.address, "bank", taking(["platform"], 1))
    with pytest.raises(PartyFailure, match="^platform: no$"):
        bank.result(SECONDS)
    with pytest.raises(ProtocolError, match="^no$"):
        platform.result(SECONDS)
    with pytest.raises(PartyFailure, match="^platform: no$"):
        relay.wait()


def test_progress_is_dropped_rather_than_waited_for() -> None:
    """Nobody takes it: noting returns all the same."""
    channel = StreamChannel("127.0.0.1:1", b"")
    for number in range(2 * OUTBOX_FRAMES):
        channel.note(Progress("alignment", number / 1000))


@pytest.mark.parametrize(
    ("error", "alone", "together"),
    [
        (
            InputError("a.csv, row 3"),
            "its own input is not in order; its log says what and where",
            "a.csv, row 3",
        ),
        (
            NoRoomError("feature x"),
            "its own input is not in order; its log says what and where",
            "feature x",
        ),
        (ProtocolError("replayed"), "replayed", "replayed"),
        (
            ValueError("borrower 4711"),
            "an internal error (ValueError); its own log says more",
            "an internal error (ValueError); its own log says more",
        ),
    ],
)
def test_what_others_are_told(error: Exception, alone: str, together: str) -> None:
    """One's own files are nobody's business; where one person runs all parties, they are told."""
    assert told(error, tell_inputs=False) == alone
    assert told(error, tell_inputs=True) == together

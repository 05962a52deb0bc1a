"""A party's stream: what it says when the relay or a message is not as it should be."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from clients.channels.stream import StreamChannel, StreamLimits, told
from federation.errors import InputError, NoRoomError, PartyFailure, ProtocolError
from federation.identity.certificates import relay_identity
from federation.proto.relay_pb2 import End, ToParty
from federation.session.machine import Machine, Progress, Receive, Send, Step
from federation.session.relay_messages import parcel_message
from federation.session.wire import MAX_PARCEL_BYTES, encode
from server.coordinator.relay import Relay, RelayLimits
from tests.clients.small_sessions import (
    SECONDS,
    SESSION,
    block,
    by_hand,
    in_thread,
    key,
    no_thread_left,
    raising,
    relay_of,
    sending,
    sending_for_ever,
    taking,
)


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay for two."""
    with no_thread_left(), relay_of("bank", "platform", join_seconds=5) as relay:
        yield relay


@contextmanager
def frames_by_hand(relay: Relay, *frames: bytes, at_once: bool = False) -> Iterator[None]:
    """A platform that joins and sends the bank these frames, whatever they are.

    It sends them when all are here, or else `at_once`.
    """
    with by_hand(relay, "platform") as stream:
        if not at_once:
            assert stream.read_past_heartbeats().HasField("begin")
        stream.send(*(parcel_message("bank", frame) for frame in frames))
        yield


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
    bank = in_thread(relay, "bank", taking(["platform"], 3, 50))
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
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        with pytest.raises(PartyFailure, match=expected):
            bank.result(SECONDS)


def test_a_relay_that_is_not_there_is_named_at_once() -> None:
    """No stream, no hang."""
    with relay_of("bank") as relay:
        pass
    started = time.monotonic()
    with no_thread_left():
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        with pytest.raises(
            PartyFailure, match=f"^the relay at {relay.address} is not to be reached: "
        ):
            bank.result(SECONDS)
    assert time.monotonic() - started < 10


def test_a_relay_of_another_run_is_not_trusted(relay: Relay) -> None:
    """Its certificate is not the one that the coordinator named."""
    machine = Machine("bank", SESSION, taking(["platform"], 1))
    channel = StreamChannel(relay.address, key("bank"), relay_identity().certificate)
    with pytest.raises(PartyFailure, match="is not this session's relay: its certificate is not"):
        channel.run(machine, lambda: "{}")


def test_a_relay_that_says_nothing_is_given_up() -> None:
    """Something listens, and never answers: the party does not wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as mute, no_thread_left():
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        limits = StreamLimits(lost_seconds=0.7)
        channel = StreamChannel(address, key("bank"), relay_identity().certificate, limits=limits)
        machine = Machine("bank", SESSION, taking(["platform"], 1))
        sentence = f"^the relay at {address} has not been heard of for 0.7 s; check the coordinator"
        with pytest.raises(PartyFailure, match=sentence):
            channel.run(machine, lambda: "{}")


def test_a_relay_that_ends_too_early_is_told_at_once() -> None:
    """An end that comes before this party is done is no good one."""
    with no_thread_left(), relay_of("bank", "platform") as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        platform = in_thread(relay, "platform", taking(["bank"], 1))
        relay._all_here.wait(SECONDS)
        end = ToParty(end=End()).SerializeToString()
        relay._seats["bank"].outbox.put_now(end, len(end))
        sentence = (
            f"^the relay at {relay.address} ended the session while bank still waited for "
            "'hint_block' from platform; look at the coordinator's log"
        )
        with pytest.raises(PartyFailure, match=sentence):
            bank.result(SECONDS)
        with pytest.raises(PartyFailure, match="^bank: left before the session had ended"):
            platform.result(SECONDS)


def test_a_relay_that_sends_nothing_but_heartbeats_is_given_up() -> None:
    """It lives, and passes nothing on: the party does not wait for ever either."""
    settings = RelayLimits(heartbeat_seconds=0.1)
    with no_thread_left(), relay_of("bank", "platform", limits=settings) as relay:
        waiting = taking(["platform"], 1)
        bank = in_thread(relay, "bank", waiting, limits=StreamLimits(idle_seconds=0.8))
        sentence = f"^the relay at {relay.address} has sent nothing but heartbeats for 0.8 s; look"
        with pytest.raises(PartyFailure, match=sentence):
            bank.result(SECONDS)
        with pytest.raises(PartyFailure, match="^bank: left before the session had ended"):
            relay.wait()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "closed the connection before TLS was agreed: it is another program, or too many"),
        (b"HTTP/1.1 400 no\r\n\r\n", "is not this session's relay: its certificate is not the one"),
    ],
    ids=["hangs up", "speaks something else"],
)
def test_what_answers_is_no_relay(answer: bytes, sentence: str) -> None:
    """Another program has the port: the party says so at once."""
    with socket.create_server(("127.0.0.1", 0)) as other, no_thread_left():

        def program() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = other.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(answer)

        thread = threading.Thread(target=program)
        thread.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        channel = StreamChannel(address, key("bank"), relay_identity().certificate)
        with pytest.raises(PartyFailure, match=f"^what answers at {address} {sentence}"):
            channel.run(Machine("bank", SESSION, taking(["platform"], 1)), lambda: "{}")
        other.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)


def test_a_party_that_computes_stays_known_alive() -> None:
    """Heartbeats go on while its own side is busy for longer than silence is allowed."""

    def busy() -> Generator[Step, object, str]:
        time.sleep(1.5)
        yield Send("platform", "hint_block", block(0))
        return "done"

    limits = RelayLimits(heartbeat_seconds=0.1, lost_seconds=0.6)
    own = StreamLimits(heartbeat_seconds=0.1, lost_seconds=0.6)
    with no_thread_left(), relay_of("bank", "platform", limits=limits) as relay:
        bank = in_thread(relay, "bank", busy(), limits=own)
        platform = in_thread(relay, "platform", taking(["bank"], 1), limits=own)
        relay.wait()
        assert (bank.result(SECONDS), platform.result(SECONDS)) == ("done", [("bank", 0)])


def test_both_send_all_before_they_take_anything() -> None:
    """Far more than either keeps in normal times: neither waits for the other for ever."""
    small = StreamLimits(inbox_bytes=1_000_000)
    messages, size = 110, 1_000_000
    with no_thread_left(), relay_of("bank", "platform") as relay:
        runs = {
            party: in_thread(relay, party, sending([peer], messages, size, [peer]), limits=small)
            for party, peer in (("bank", "platform"), ("platform", "bank"))
        }
        relay.wait()
        assert [len(run.result(SECONDS)) for run in runs.values()] == [messages, messages]
        assert max(relay.most_queued_bytes.values()) <= 4 * 1024 * 1024


def test_what_waits_at_a_party_that_only_sends_is_bounded() -> None:
    """Nobody takes its messages and everybody sends: it gives up with a sentence."""
    small = StreamLimits(
        outbox_bytes=500_000,
        inbox_bytes=500_000,
        inbox_most_bytes=3_000_000,
        last_word_seconds=0.5,
    )
    with no_thread_left(), relay_of("bank", "platform", "deaf") as relay, by_hand(relay, "deaf"):
        in_thread(relay, "platform", sending_for_ever("bank", 300_000))
        bank = in_thread(relay, "bank", sending_for_ever("deaf", 300_000), limits=small)
        with pytest.raises(ProtocolError, match="^[0-9]+ bytes from others wait here while this "):
            bank.result(SECONDS)


def test_a_party_that_takes_slowly_is_not_lost() -> None:
    """It reads nothing while its inbox is full; when it reads again, all is there."""

    def slowly() -> Generator[Step, object, int]:
        for number in range(12):
            yield Receive("platform", "hint_block")
            time.sleep(0.15 if number < 6 else 0)
        return 12

    small = StreamLimits(inbox_bytes=1_000_000, lost_seconds=0.5, heartbeat_seconds=0.1)
    with (
        no_thread_left(),
        relay_of("bank", "platform", limits=RelayLimits(heartbeat_seconds=0.1)) as relay,
    ):
        bank = in_thread(relay, "bank", slowly(), limits=small)
        in_thread(relay, "platform", sending(["bank"], 12, 900_000))
        relay.wait()
        assert bank.result(SECONDS) == 12


def test_a_frame_that_is_too_large_does_not_leave(relay: Relay) -> None:
    """The party that made it says so."""
    platform = in_thread(relay, "platform", sending(["bank"], 1, MAX_PARCEL_BYTES))
    bank = in_thread(relay, "bank", taking(["platform"], 1))
    with pytest.raises(ProtocolError, match="^a frame of [0-9]+ bytes is not one that goes over"):
        platform.result(SECONDS)
    with pytest.raises(PartyFailure, match="^platform: a frame of [0-9]+ bytes is not one that"):
        bank.result(SECONDS)


def test_the_version_is_the_highest_that_all_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side knows it once the session has begun, and its protocol runs under it."""
    used: list[int] = []
    monkeypatch.setattr(Machine, "use_version", lambda machine, version: used.append(version))
    with no_thread_left(), relay_of("bank", "platform") as relay:
        platform = in_thread(relay, "platform", sending(["bank"], 1), versions=(1, 3, 4))
        channel = StreamChannel(
            relay.address, key("bank"), relay.certificate, versions=(2, 3, 4, 5)
        )
        assert channel.version == 0
        channel.run(Machine("bank", SESSION, taking(["platform"], 1)), lambda: "{}")
        assert channel.version == 4
        platform.result(SECONDS)
    assert used == [4, 4]


def test_the_summary_is_made_only_after_the_machine_has_ended(relay: Relay) -> None:
    """What `summary` raises ends the session as the machine's own errors do."""
    machine = Machine("bank", SESSION, taking(["platform"], 1))

    def summary() -> str:
        assert machine.finished
        raise InputError("runs/: the disk is full")

    platform = in_thread(relay, "platform", sending(["bank"], 1))
    with pytest.raises(InputError, match="the disk is full"):
        StreamChannel(relay.address, key("bank"), relay.certificate, tell_inputs=True).run(
            machine, summary
        )
    for wait in (relay.wait, platform.result):
        with pytest.raises(PartyFailure, match="^bank: runs/: the disk is full$"):
            wait()


def test_a_role_that_raises_at_once(relay: Relay) -> None:
    """Before it has sent anything."""
    platform = in_thread(relay, "platform", raising(ProtocolError("no")))
    bank = in_thread(relay, "bank", taking(["platform"], 1))
    with pytest.raises(PartyFailure, match="^platform: no$"):
        bank.result(SECONDS)
    with pytest.raises(ProtocolError, match="^no$"):
        platform.result(SECONDS)
    with pytest.raises(PartyFailure, match="^platform: no$"):
        relay.wait()


def test_progress_is_dropped_rather_than_waited_for() -> None:
    """Nobody takes it: noting returns all the same."""
    channel = StreamChannel("127.0.0.1:1", key("bank"), b"", limits=StreamLimits(10_000))
    for number in range(200):
        channel.note(Progress("alignment", number / 1000))
    assert channel._outbox.queued_bytes <= 10_000


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

"""The relay, over real streams: what it routes, whom it refuses, how a session ends."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import time
from collections.abc import Generator, Iterator

import pytest

from federation.errors import InputError, PartyFailure, ProtocolError
from federation.proto.relay_pb2 import ProgressNote
from federation.session.machine import Progress, Step
from tests.clients.small_sessions import (
    SECONDS,
    by_hand,
    in_process,
    in_thread,
    no_thread_left,
    raising,
    relay_of,
    sending,
    sending_for_ever,
    taking,
)


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    with no_thread_left():
        yield


def test_messages_arrive_in_order_and_are_counted() -> None:
    """Three parties send each other numbered messages at once; every pair's order stays."""
    parties = ("bank", "platform", "telecom")
    with relay_of(*parties) as relay:
        runs = {}
        for party in parties:
            others = [other for other in parties if other != party]
            runs[party] = in_thread(relay, party, sending(others, 100, 10, others))
        summaries = relay.wait()
        for party, run in runs.items():
            others = [other for other in parties if other != party]
            assert run.result(SECONDS) == [(o, n) for o in others for n in range(100)]
        assert summaries == {party: f'{{"party": "{party}"}}' for party in parties}
        for traffic in relay.traffic.values():
            assert traffic.frames == 200
            assert 200 * 10 < traffic.bytes < 200 * 100


@pytest.mark.parametrize(("messages", "size"), [(120, 1_000_000), (500, 100)])
def test_both_ways_at_once(messages: int, size: int) -> None:
    """Both send all they have before they take anything: large or many, it does not lock up."""
    with relay_of("bank", "platform") as relay:
        bank = in_thread(relay, "bank", sending(["platform"], messages, size, ["platform"]))
        platform = in_thread(relay, "platform", sending(["bank"], messages, size, ["bank"]))
        relay.wait()
        assert bank.result(SECONDS) == [("platform", number) for number in range(messages)]
        assert platform.result(SECONDS) == [("bank", number) for number in range(messages)]
        assert all(traffic.bytes > messages * size for traffic in relay.traffic.values())


def test_a_message_to_nobody_ends_the_session_with_a_sentence() -> None:
    """Also at the party that sent it."""
    with relay_of("bank", "platform") as relay:
        platform = in_thread(relay, "platform", sending(["nobody"], 1, 0, ["bank"]))
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        expected = "^platform sent a message to 'nobody', no other party$"
        with pytest.raises(PartyFailure, match=expected):
            relay.wait()
        for run in (bank, platform):
            with pytest.raises(PartyFailure, match=expected):
                run.result(SECONDS)


def test_a_party_that_never_comes() -> None:
    """One sentence within the time limit, at the coordinator and at the party that waits."""
    started = time.monotonic()
    expected = re.escape(
        "platform did not join within 0.5 s; check that its process runs, then start again"
    )
    with relay_of("bank", "platform", join_seconds=0.5) as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        with pytest.raises(PartyFailure, match=f"^{expected}$"):
            relay.wait()
        with pytest.raises(PartyFailure, match=f"^{expected}$"):
            bank.result(SECONDS)
    assert time.monotonic() - started < 4


def test_nobody_comes() -> None:
    """All who are missing are named."""
    with (
        relay_of("bank", "platform", join_seconds=0.1) as relay,
        pytest.raises(PartyFailure, match="^bank, platform did not join within 0.1 s"),
    ):
        relay.wait()


def test_a_party_that_comes_after_the_end_hears_why() -> None:
    """The reason is kept for it."""
    with relay_of("bank", "platform") as relay:
        relay.end_with_failure("platform", "its disk is full")
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        with pytest.raises(PartyFailure, match="^platform: its disk is full$"):
            bank.result(SECONDS)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_party_that_dies_ends_the_session_everywhere(signal_number: int) -> None:
    """A process is killed in mid-session: the others hear which party left."""
    with (
        relay_of("bank", "platform", "telecom") as relay,
        in_process(relay, "platform", "bank") as process,
    ):
        bank = in_thread(relay, "bank", taking(["platform", "telecom"], 1))
        telecom = in_thread(relay, "telecom", taking(["bank"], 1))
        while not relay.traffic["platform"].frames:  # it has begun
            assert process.is_alive()
            time.sleep(0.02)
        assert process.pid is not None
        os.kill(process.pid, signal_number)
        expected = "^platform: left before the session had ended; its log says why$"
        with pytest.raises(PartyFailure, match=expected):
            relay.wait()
        for run in (bank, telecom):
            with pytest.raises(PartyFailure, match=expected):
                run.result(SECONDS)


@pytest.mark.parametrize(
    ("error", "tell_inputs", "sentence"),
    [
        (ProtocolError("message 3 was replayed"), False, "message 3 was replayed"),
        (InputError("secret.csv, row 7"), True, "secret.csv, row 7"),
        (
            InputError("secret.csv, row 7"),
            False,
            "its own input is not in order; its log says what and where",
        ),
        (
            KeyError("id 4711"),
            True,
            "an internal error (KeyError); its own log says more",
        ),
    ],
    ids=["protocol", "input told", "input not told", "unexpected"],
)
def test_a_party_that_raises_ends_the_session_everywhere(
    error: Exception, tell_inputs: bool, sentence: str
) -> None:
    """With its own sentence; what it says of its own input or an unexpected error stays there."""
    with relay_of("bank", "platform", "telecom") as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        telecom = in_thread(relay, "telecom", sending(["platform"], 1, 0, ["bank"]))
        platform = in_thread(
            relay, "platform", raising(error, after="telecom"), tell_inputs=tell_inputs
        )
        for wait in (relay.wait, bank.result, telecom.result):
            with pytest.raises(PartyFailure, match=f"^platform: {re.escape(sentence)}$"):
                wait()
        with pytest.raises(type(error)) as own:
            platform.result(SECONDS)
        assert own.value is error


def test_the_first_failure_is_the_one_that_is_told() -> None:
    """A later one does not cover it."""
    with relay_of("bank", "platform") as relay:
        relay.end_with_failure("bank", "the first")
        relay.end_with_failure("platform", "the second")
        with pytest.raises(PartyFailure, match="^bank: the first$"):
            relay.wait()


def test_a_sender_hears_of_the_end_while_it_sends() -> None:
    """A party that sends without ever waiting does not go on, or hang, after the session ended."""
    with relay_of("bank", "platform") as relay:
        bank = in_thread(relay, "bank", sending_for_ever("platform", 100_000))
        in_thread(relay, "platform", raising(ProtocolError("enough"), after="bank"))
        with pytest.raises(PartyFailure, match="^platform: enough$"):
            relay.wait()
        with pytest.raises(PartyFailure, match="^platform: enough$"):
            bank.result(SECONDS)


def test_a_coordinator_that_goes_tells_the_parties() -> None:
    """One that leaves in mid-session says so to a party that sends and to one that waits."""
    with relay_of("bank", "platform", "telecom") as relay:
        bank = in_thread(relay, "bank", sending_for_ever("platform", 100_000))
        platform = in_thread(relay, "platform", taking(["bank"], 10**9, 100_000))
        telecom = in_thread(relay, "telecom", taking(["bank"], 1))
        while relay.traffic["bank"].frames < 100:
            time.sleep(0.02)
    for run in (bank, platform, telecom):
        with pytest.raises(PartyFailure, match="^the coordinator stopped before the session"):
            run.result(SECONDS)


def test_a_party_that_takes_nothing_does_not_hold_up_the_end() -> None:
    """Its queue is full and its stream stalls; the others still hear the end, nothing stays."""
    with relay_of("bank", "deaf") as relay, by_hand(relay, "deaf"):
        bank = in_thread(relay, "bank", sending_for_ever("deaf", 500_000))
        while relay.most_queued_bytes["deaf"] < 3_000_000:
            time.sleep(0.02)
        relay.end_with_failure("", "somebody had to end it")
        with pytest.raises(PartyFailure, match="^somebody had to end it$"):
            bank.result(SECONDS)


def test_progress_is_shown_and_its_failure_leaves_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Notes come through with their party; a display that breaks ends the session."""
    caplog.set_level(logging.CRITICAL, "veilscore.coordinator")
    notes: list[tuple[str, str, float]] = []

    def show(party: str, note: ProgressNote) -> None:
        notes.append((party, note.stage, note.fraction))
        if note.stage == "break":
            raise OSError("the terminal is gone")

    def noting(stage: str) -> Generator[Step, object, None]:
        yield Progress(stage, 0.25, "words")
        yield from taking(["platform"], 1)

    with relay_of("bank", "platform", on_progress=show) as relay:
        in_thread(relay, "platform", sending(["bank"], 1))
        bank = in_thread(relay, "bank", noting("align"))
        relay.wait()
        bank.result(SECONDS)
    with relay_of("bank", "platform", on_progress=show) as relay:
        in_thread(relay, "platform", taking(["bank"], 1))
        bank = in_thread(relay, "bank", noting("break"))
        for wait in (relay.wait, bank.result):
            with pytest.raises(PartyFailure, match=r"^the coordinator failed \(OSError\)$"):
                wait()
    assert notes == [("bank", "align", 0.25), ("bank", "break", 0.25)]


def test_the_coordinator_may_give_up() -> None:
    """What `alive` raises ends the session everywhere."""

    def alive() -> None:
        raise PartyFailure("platform: its process failed")

    with relay_of("bank", "platform") as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        for wait in (lambda: relay.wait(alive), lambda: bank.result(SECONDS)):
            with pytest.raises(PartyFailure, match="^platform: its process failed$"):
                wait()


def test_nothing_listens_before_or_after() -> None:
    """The port is free again when the session is over."""
    relay = relay_of("bank")
    assert relay.address == ""
    with relay:
        port = int(relay.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_session_in_which_nobody_speaks_ends_with_one_sentence() -> None:
    """Both parties joined and then say nothing: everybody is told, nobody hangs."""
    with relay_of("bank", "platform", silence_seconds=0.5) as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        platform = in_thread(relay, "platform", taking(["bank"], 1))
        for wait in (relay.wait, lambda: bank.result(SECONDS), lambda: platform.result(SECONDS)):
            with pytest.raises(PartyFailure, match="^no party sent anything for 0.5 s, the last"):
                wait()

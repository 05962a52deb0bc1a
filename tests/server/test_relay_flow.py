"""What waits at the relay, versions of the protocol, and what it does with bytes of any kind."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import pytest

from clients.channels.stream import StreamLimits
from federation.errors import PartyFailure
from federation.proto.relay_pb2 import Done, Failed, FromParty, ProgressNote
from federation.session.machine import Receive, Step
from federation.session.relay_messages import (
    HEARTBEAT_FROM_PARTY,
    MAX_NOTE_SIGNS,
    MAX_SENTENCE_SIGNS,
    parcel_message,
)
from server.coordinator.relay import RelayLimits
from tests.clients.small_sessions import (
    SECONDS,
    by_hand,
    in_thread,
    no_thread_left,
    relay_of,
    sending,
    taking,
)


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    with no_thread_left():
        yield


def test_a_slow_party_slows_its_sender_and_fills_no_memory() -> None:
    """What waits for it stays below the bound, and everything arrives."""
    limits = RelayLimits(outbox_bytes=1_500_000)

    def slowly() -> Generator[Step, object, int]:
        for _ in range(60):
            yield Receive("platform", "hint_block")
            time.sleep(0.005)
        return 60

    with relay_of("bank", "platform", limits=limits) as relay:
        bank = in_thread(relay, "bank", slowly())
        in_thread(relay, "platform", sending(["bank"], 60, 500_000))
        relay.wait()
        assert bank.result(SECONDS) == 60
        assert 500_000 < relay.most_queued_bytes["bank"] <= 1_500_000


def test_a_party_that_takes_nothing_holds_its_sender_up() -> None:
    """The sender gets no further than the bounds on the way, and is not taken for lost."""
    limits = RelayLimits(outbox_bytes=1_500_000, heartbeat_seconds=0.1, lost_seconds=1.0)
    alive = StreamLimits(heartbeat_seconds=0.1)
    with (
        relay_of("bank", "telecom", "platform", "deaf", limits=limits) as relay,
        by_hand(relay, "deaf") as deaf,
    ):
        in_thread(relay, "platform", sending(["deaf"], 200, 500_000), limits=alive)
        in_thread(relay, "telecom", sending(["bank"], 50, 1000), limits=alive)
        in_thread(relay, "bank", taking(["telecom"], 50, 1000), limits=alive)
        started = time.monotonic()

        def enough() -> None:
            deaf.send(HEARTBEAT_FROM_PARTY)  # it lives, and takes nothing
            if time.monotonic() - started > 2.5 and relay._seats["bank"].summary:
                raise PartyFailure("somebody had to end it")

        with pytest.raises(PartyFailure, match="^somebody had to end it$"):
            relay.wait(enough)
        assert relay._seats["platform"].held_up
        assert relay.traffic["platform"].frames < 50
        assert relay.most_queued_bytes["deaf"] <= 1_500_000
        assert relay.traffic["telecom"].frames == 50


def test_no_common_version_ends_the_session_with_one_sentence() -> None:
    """It says who speaks what, and who must upgrade."""
    sentence = (
        "^the parties share no version of the protocol: bank speaks 2 and 3, platform speaks 1, "
        "telecom speaks 3; upgrade veilscore at platform to a release that speaks version 3$"
    )
    with relay_of("bank", "platform", "telecom") as relay:
        runs = [
            in_thread(relay, party, taking(["bank"], 1), versions=versions)
            for party, versions in (("bank", (2, 3)), ("platform", (1,)), ("telecom", (3,)))
        ]
        for wait in (relay.wait, *(lambda run=run: run.result(SECONDS) for run in runs)):
            with pytest.raises(PartyFailure, match=sentence):
                wait()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x12",
        b"\xff" * 50,
        parcel_message("bank", b"x")[:-1],
        parcel_message("bank", b"x") + b"y",
        FromParty(done=Done(summary_json="{}")).SerializeToString() + b"\x12\x02\x0a\x00",
    ],
    ids=["empty", "a tag", "noise", "truncated", "longer", "a parcel in disguise"],
)
def test_a_message_that_is_none_ends_the_session_by_name(message: bytes) -> None:
    """The party that sent it is the one to look at."""
    with relay_of("bank", "platform") as relay, by_hand(relay, "platform") as stream:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        assert stream.read_past_heartbeats().HasField("begin")
        stream.send(message)
        sentence = (
            "^platform sent what can't be passed on: a message of [0-9]+ bytes is not one of the "
            "relay's: truncated or damaged$"
        )
        for wait in (relay.wait, lambda: bank.result(SECONDS)):
            with pytest.raises(PartyFailure, match=sentence):
                wait()


def test_done_out_of_turn_ends_the_session() -> None:
    """Before it has begun, and twice."""
    done = FromParty(done=Done(summary_json="{}"))
    with relay_of("bank", "platform") as relay, by_hand(relay, "platform") as stream:
        stream.send(done)
        with pytest.raises(PartyFailure, match="^platform sent .*: it says that it is done, out"):
            relay.wait()
    with relay_of("bank", "platform") as relay, by_hand(relay, "platform") as stream:
        bank = in_thread(relay, "bank", taking(["platform"], 1))
        assert stream.read_past_heartbeats().HasField("begin")
        stream.send(done, done)
        with pytest.raises(PartyFailure, match="^platform sent .*: it says that it is done, out"):
            bank.result(SECONDS)


def test_words_of_a_party_are_cut_and_kept_on_one_line() -> None:
    """Nobody fills a terminal or a log, or writes lines of its own into them."""
    notes: list[ProgressNote] = []
    with (
        relay_of("bank", "platform", on_progress=lambda party, note: notes.append(note)) as relay,
        by_hand(relay, "platform") as stream,
    ):
        note = ProgressNote(stage="a\nb\x1b[2J", fraction=float("nan"), detail="d" * 10_000)
        failed = Failed(party="bank", sentence="line\nline " + "x" * 10_000)
        stream.send(FromParty(progress=note), FromParty(failed=failed))
        with pytest.raises(PartyFailure, match="^platform: line line x+…$") as raised:
            relay.wait()
    assert len(str(raised.value)) <= MAX_SENTENCE_SIGNS + len("platform: ")
    assert [(n.stage, n.fraction, len(n.detail)) for n in notes] == [("a b [2J", 0, MAX_NOTE_SIGNS)]


def test_the_relay_sends_heartbeats() -> None:
    """The first at once: it says that the party is let in."""
    limits = RelayLimits(heartbeat_seconds=0.05)
    with relay_of("bank", "platform", limits=limits) as relay, by_hand(relay, "bank") as stream:
        assert [stream.read().WhichOneof("content") for _ in range(5)] == ["heartbeat"] * 5

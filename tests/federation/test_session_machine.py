"""The machine: it passes on what a role sends, and refuses by name what does not belong."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator

import pytest

from federation.errors import InputError, ProtocolError
from federation.privacy.events import LABEL, GaussianRelease
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Closing, Hello, Query, Verdict
from federation.session import machine as session_machine
from federation.session.in_process import run_in_process
from federation.session.machine import (
    Machine,
    Progress,
    Receive,
    Release,
    Role,
    Send,
    Sent,
    Step,
)
from federation.session.wire import decode, encode

Frames = list[tuple[str, bytes]]


def listener(*kinds: str, sender: str = "bank") -> Generator[Step, object, list[object]]:
    """Takes messages of these kinds from one sender and returns them."""
    taken = []
    for kind in kinds:
        taken.append((yield Receive(sender, kind)))
    return taken


def speaker(*recipients: str) -> Generator[Step, object, None]:
    """Sends each recipient two queries and a closing."""
    for recipient in recipients:
        for query_id in (0, 1):
            yield Send(recipient, "query", Query(query_id=query_id))
        yield Send(recipient, "closing", Closing(model_digest="d"))


def platform(*kinds: str) -> Machine[list[object]]:
    """A started machine that listens to the bank."""
    machine = Machine("platform", "s1", listener(*kinds or ("query", "query", "closing")))
    assert list(machine.start()) == []
    return machine


def query(sequence: int, **changes: str) -> bytes:
    """A frame with a query from bank to platform, unless changed."""
    envelope = {"session": "s1", "sender": "bank", "recipient": "platform"} | changes
    return encode(**envelope, sequence=sequence, kind="query", body=Query(query_id=sequence))


def give(machine: Machine[list[object]], frame: bytes) -> Frames:
    """Deliver one frame."""
    return list(machine.receive(frame))


def test_messages_arrive_in_order_and_end_the_role() -> None:
    """Bodies come out as they were sent; the result is there when the role has ended."""
    machine = platform()
    with pytest.raises(ProtocolError, match="the session of platform has not finished yet"):
        _ = machine.result
    assert machine.waiting_for == "'query' from bank"
    sent = list(Machine("bank", "s1", speaker("platform")).start())
    for recipient, frame in sent:
        assert recipient == "platform"
        give(machine, frame)
    assert machine.finished
    assert machine.waiting_for == "nothing"
    assert machine.result == [Query(query_id=0), Query(query_id=1), Closing(model_digest="d")]


def test_every_message_is_noted_before_it_leaves() -> None:
    """Recipient, kind, size and a sequence number per recipient, in the order of sending."""
    log: list[Sent] = []
    frames = []
    machine = Machine("bank", "s1", speaker("a", "b"), on_sent=log.append)
    for recipient, frame in machine.start():
        assert (log[-1].recipient, log[-1].size_bytes) == (recipient, len(frame))
        frames.append(decode(frame))
    assert [(s.recipient, s.sequence, s.kind) for s in log] == [
        (recipient, sequence, kind)
        for recipient in ("a", "b")
        for sequence, kind in enumerate(("query", "query", "closing"))
    ]
    assert [frame.sequence for frame in frames] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([query(0), query(0)], "message 0 .'query'. from bank was replayed; .*must be message 1"),
        ([query(1)], "message 1 .'query'. from bank is out of order; message 0 is missing"),
        ([query(0), query(2)], "message 2 .'query'. from bank is out of order; message 1 is miss"),
        ([query(0, session="s0")], "of session 's0', but takes part in session 's1'"),
        ([query(0, recipient="iot")], "from 'bank' to 'iot'; only messages to platform"),
        ([query(0, sender="platform")], "from 'platform' to 'platform'; only .* from others"),
        (
            [encode("s1", "bank", "platform", 0, "verdict", Verdict())],
            "platform expected 'query' from bank, but message 0 is 'verdict'",
        ),
        ([query(0)[:-1]], "truncated or damaged"),
        ([b""], "carries no body"),
    ],
    ids=[
        "replayed",
        "skipped",
        "gap",
        "session",
        "recipient",
        "sender",
        "kind",
        "truncated",
        "empty",
    ],
)
def test_what_does_not_belong_is_refused_by_name(frames: list[bytes], sentence: str) -> None:
    """Every violation ends in one sentence that says which message and what would be right."""
    machine = platform()
    for frame in frames[:-1]:
        give(machine, frame)
    with pytest.raises(ProtocolError, match=sentence) as refused:
        give(machine, frames[-1])
    assert "\n" not in str(refused.value)
    assert not machine.finished


def test_a_refused_message_is_not_counted() -> None:
    """After a stray message the true one is still taken."""
    machine = platform("query")
    for stray in (query(5), query(0, session="other")):
        with pytest.raises(ProtocolError):
            give(machine, stray)
    give(machine, query(0))
    assert machine.finished


def test_a_message_after_the_end_is_refused() -> None:
    """Nothing may follow the end of a session."""
    machine = platform("query")
    give(machine, query(0))
    with pytest.raises(ProtocolError, match=r"message 1 .* came after the session had ended"):
        give(machine, query(1))


def test_messages_that_come_early_wait_their_turn() -> None:
    """Another sender's message, and one before the start, are kept until the role asks."""

    def role() -> Generator[Step, object, list[object]]:
        first = yield Receive("bank", "query")
        second = yield Receive("iot", "closing")
        third = yield Receive("bank", "query")
        return [first, second, third]

    machine: Machine[list[object]] = Machine("platform", "s1", role())
    give(machine, encode("s1", "iot", "platform", 0, "closing", Closing(model_digest="early")))
    give(machine, query(0))
    give(machine, query(1))
    assert list(machine.start()) == []
    assert machine.result == [Query(), Closing(model_digest="early"), Query(query_id=1)]


SPENT = Expenditure(GaussianRelease(0.5), LABEL, "run", "sums")


def test_a_release_is_entered_before_anything_leaves() -> None:
    """The ledger sees the release first."""
    order: list[str] = []

    def role() -> Generator[Step, object, None]:
        yield Release(SPENT)
        yield Send("platform", "query", Query())

    machine = Machine(
        "bank",
        "s1",
        role(),
        on_release=lambda spent: order.append(f"ledger {spent.what}"),
        on_sent=lambda sent: order.append(f"sent {sent.kind}"),
    )
    assert len(list(machine.start())) == 1
    assert order == ["ledger sums", "sent query"]


def test_a_refused_release_stops_everything_behind_it() -> None:
    """The budget's error surfaces, nothing is sent, and no later message revives the role."""
    log: list[Sent] = []

    def role() -> Generator[Step, object, None]:
        yield Receive("platform", "query")
        yield Release(SPENT)
        yield Send("platform", "query", Query())

    def refuse(spent: Expenditure) -> None:
        raise InputError("no budget is left")

    machine = Machine("bank", "s1", role(), on_sent=log.append, on_release=refuse)
    assert list(machine.start()) == []
    frame = {"session": "s1", "sender": "platform", "recipient": "bank"}
    with pytest.raises(InputError, match="no budget is left"):
        list(machine.receive(query(0, **frame)))
    assert list(machine.receive(query(1, **frame))) == []
    assert log == []
    assert not machine.finished


def test_an_error_of_the_role_surfaces_and_ends_it() -> None:
    """An exception inside a role reaches the driver; the machine never claims to have finished."""

    def role() -> Generator[Step, object, None]:
        yield Receive("bank", "query")
        raise InputError("the table has no such row")

    machine = Machine("platform", "s1", role())
    list(machine.start())
    with pytest.raises(InputError, match="no such row"):
        list(machine.receive(query(0)))
    assert list(machine.receive(query(1))) == []
    assert not machine.finished


def test_progress_is_passed_on() -> None:
    """Stage, fraction and words."""
    seen: list[Progress] = []

    def role() -> Generator[Step, object, None]:
        yield Progress("alignment", 0.5, "half")

    list(Machine("bank", "s1", role(), on_progress=seen.append).start())
    assert seen == [Progress("alignment", 0.5, "half")]


def summing_roles() -> dict[str, Callable[[], Role[list[int]]]]:
    """A bank that collects from three partners, in its own order, and answers all of them."""
    partners = ("a", "b", "c")

    def bank() -> Generator[Step, object, list[int]]:
        collected = []
        for _ in range(3):
            for partner in partners:
                body = yield Receive(partner, "query")
                assert isinstance(body, Query)
                collected.append(body.query_id)
            for partner in partners:
                yield Send(partner, "verdict", Verdict(round=sum(collected)))
        return collected

    def partner(first: int) -> Generator[Step, object, list[int]]:
        heard = []
        for turn in range(3):
            yield Send("bank", "query", Query(query_id=first + turn))
            body = yield Receive("bank", "verdict")
            assert isinstance(body, Verdict)
            heard.append(body.round)
        return heard

    return {
        "bank": bank,
        "a": lambda: partner(10),
        "b": lambda: partner(20),
        "c": lambda: partner(30),
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_order_between_different_senders_changes_nothing(seed: int) -> None:
    """Each pair's messages in order, pairs interleaved at random: the same results."""
    shuffle = random.Random(seed)
    roles = summing_roles()
    expected = run_in_process({name: Machine(name, "s1", role()) for name, role in roles.items()})
    machines = {name: Machine(name, "s1", role()) for name, role in roles.items()}
    queues: dict[tuple[str, str], deque[bytes]] = {}

    def post(sender: str, frames: Iterator[tuple[str, bytes]]) -> None:
        for recipient, frame in frames:
            queues.setdefault((sender, recipient), deque()).append(frame)

    for name in shuffle.sample(sorted(machines), len(machines)):
        post(name, machines[name].start())
    while any(queues.values()):
        pair = shuffle.choice([pair for pair, queue in queues.items() if queue])
        post(pair[1], machines[pair[1]].receive(queues[pair].popleft()))
    assert {name: machine.result for name, machine in machines.items()} == expected


def test_a_session_that_halts_says_who_waits_for_what() -> None:
    """Two parties that wait for each other."""
    machines = {
        "a": Machine("a", "s1", listener("query", sender="b")),
        "b": Machine("b", "s1", listener("closing", sender="a")),
    }
    with pytest.raises(
        ProtocolError, match="came to a halt: a waits for 'query' from b; b waits for 'closing'"
    ):
        run_in_process(machines)


def test_a_message_to_nobody_is_refused() -> None:
    """The driver names the unknown recipient."""
    with pytest.raises(ProtocolError, match="a message was sent to 'nobody'"):
        run_in_process({"bank": Machine("bank", "s1", speaker("nobody"))})


def test_a_peer_cannot_fill_the_memory_of_who_waits_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Messages ahead of what the role takes are bounded; taking them makes room again."""
    monkeypatch.setattr(session_machine, "MOST_AHEAD_BYTES", 10_000)
    machine = Machine("platform", "s1", listener("closing", *["query"] * 8, sender="lessor"))
    list(machine.start())
    frames = [query(number) for number in range(20)]
    for frame in frames[:9]:
        give(machine, frame)
    with pytest.raises(ProtocolError) as raised:
        give(machine, frames[9])
    assert re.fullmatch(
        r"message 9 from bank is one too many: over 10000 bytes wait here while platform waits "
        r"for 'closing' from lessor",
        str(raised.value),
    )
    taking = platform(*["query"] * 20)
    for frame in frames:
        give(taking, frame)
    assert taking.finished


def test_lists_that_are_many_times_their_length_in_memory_are_refused() -> None:
    """A hello's list of a million empty names takes sixteen bytes a name once it is parsed."""
    hello = Hello(kept_alignments=[""] * 600_000)
    frame = encode("s1", "bank", "platform", 0, "hello", hello)
    with pytest.raises(ProtocolError, match="'hello' of 1200[0-9]+ bytes came from bank; at most"):
        give(platform("hello"), frame)

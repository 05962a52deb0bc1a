"""The Python broker's logic without sockets: any bytes, in any pieces, and who gets what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.broker import exchange as exchange_module
from iot.broker.access import BrokerUsers
from iot.broker.exchange import Exchange, Link
from iot.units import Millis

USERS = BrokerUsers({"d1": "one", "d2": "two"}, {"ingest": "three"})
START = Millis(1_767_254_400_000)
REFUSED = b"\x20\x03\x00\x87\x00"


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def connect(user: str, client: str = "", *, lasts: int = 0, clean: bool = False) -> bytes:
    flags = 0xC2 if clean else 0xC0
    properties = b"\x05\x11" + lasts.to_bytes(4, "big")
    words = text(client) + text(user) + text(USERS.all().get(user, ""))
    return packet(0x10, text("MQTT") + bytes([5, flags, 0, 60]) + properties + words)


def publish(topic: str, payload: bytes, number: int) -> bytes:
    return packet(0x32, text(topic) + number.to_bytes(2, "big") + b"\0" + payload)


def subscribe(topic_filter: str) -> bytes:
    return packet(0x82, b"\x00\x01\x00" + text(topic_filter) + b"\x01")


def opened(broker: Exchange, *packets: bytes, now: int = START) -> Link:
    link = Link()
    broker.receive(link, b"".join(packets), Millis(now))
    return link


def answers(link: Link) -> bytes:
    sent = bytes(link.out)
    link.out.clear()
    return sent


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5), st.booleans())
def test_any_bytes_are_taken_or_end_the_connection(pieces: list[bytes], known: bool) -> None:
    broker, link = Exchange(USERS, 1_000), Link()
    if known:
        broker.receive(link, connect("d1"), START)
    for piece in pieces:
        broker.receive(link, piece, START)
    broker.lose(link, START)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([0x10, 0x32, 0x30, 0x40, 0x82, 0xA2, 0xC0, 0xE0, 0x36, 0x20]),
    st.binary(max_size=60),
)
def test_any_body_of_any_packet_is_taken_or_ends_the_connection(first: int, body: bytes) -> None:
    broker = Exchange(USERS, 1_000)
    opened(broker, connect("d1"), packet(first, body))
    opened(broker, packet(first, body))
    reader = opened(broker, connect("d1"), b"\xc0\x00")
    assert answers(reader).endswith(b"\xd0\x00")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 150), max_size=12))
def test_how_the_bytes_are_cut_makes_no_difference(cuts: Sequence[int]) -> None:
    stream = connect("d1", "c") + subscribe("tel/v1/#") + publish("tel/v1/f/d1/reading", b"x", 7)
    whole = opened(Exchange(USERS, 1_000), stream)
    broker, link = Exchange(USERS, 1_000), Link()
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in pairwise(edges):
        broker.receive(link, stream[start:end], START)
    assert link.out == whole.out
    assert b"tel/v1/f/d1/reading\x00\x01\x00x" in whole.out


def test_a_device_can_not_take_anothers_session() -> None:
    broker = Exchange(USERS, 1_000)
    owner = opened(broker, connect("d1", "c", lasts=60))
    thief = opened(broker, connect("d2", "c", lasts=60))
    assert answers(thief) == REFUSED
    assert thief.is_over
    assert not owner.is_over


def test_the_same_client_again_takes_the_session_over() -> None:
    broker = Exchange(USERS, 1_000)
    first = opened(broker, connect("d1", "c", lasts=60))
    answers(first)
    second = opened(broker, connect("d1", "c", lasts=60))
    assert first.is_over
    assert answers(first) == b"\xe0\x01\x8e"
    assert answers(second)[2] == 1  # session present


def test_an_unacknowledged_message_comes_again_marked_as_such() -> None:
    broker = Exchange(USERS, 1_000)
    service = opened(broker, connect("ingest", "s", lasts=60), subscribe("tel/v1/+/+/reading"))
    opened(broker, connect("d1"), publish("tel/v1/f/d1/reading", b"x", 1))
    assert b"\x32" in answers(service)
    broker.lose(service, START)
    again = answers(opened(broker, connect("ingest", "s", lasts=60)))
    assert again.endswith(packet(0x3A, text("tel/v1/f/d1/reading") + b"\x00\x01\x00x"))


@pytest.mark.parametrize(("after_seconds", "waits"), [(59, True), (60, False)])
def test_a_session_lasts_as_long_as_was_asked(after_seconds: int, waits: bool) -> None:
    broker = Exchange(USERS, 1_000)
    service = opened(broker, connect("ingest", "s", lasts=60), subscribe("tel/v1/#"))
    broker.lose(service, START)
    opened(broker, connect("d1"), publish("tel/v1/f/d1/reading", b"x", 1))
    later = opened(broker, connect("ingest", "s", lasts=60), now=START + after_seconds * 1_000)
    assert (b"reading" in later.out) is waits


def test_what_can_not_be_kept_is_not_acknowledged_as_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "QUEUED", 1)
    broker = Exchange(USERS, 1_000)
    broker.lose(opened(broker, connect("ingest", "s", lasts=60), subscribe("tel/v1/#")), START)
    device = opened(broker, connect("d1"))
    answers(device)
    for number in (1, 2):
        broker.receive(device, publish("tel/v1/f/d1/reading", b"x", number), START)
    assert answers(device) == b"\x40\x02\x00\x01" + b"\x40\x03\x00\x02\x97"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (packet(0x34, text("tel/v1/f/d1/reading") + b"\x00\x01\x00"), 0x9B),
        (publish("tel/v1/+/d1/reading", b"", 1), 0x90),
        (b"\x30\xff\xff\x7f", 0x95),
        (connect("d1"), 0x82),
        (b"\x30\x01a", 0x81),
    ],
)
def test_a_client_that_breaks_the_rules_is_told_why(sent: bytes, code: int) -> None:
    broker = Exchange(USERS, 1_000)
    link = opened(broker, connect("d1"))
    answers(link)
    broker.receive(link, sent, START)
    assert answers(link) == bytes([0xE0, 1, code])
    assert link.is_over

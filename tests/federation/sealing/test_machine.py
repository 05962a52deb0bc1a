"""A session of sealed machines, and carriers that meddle with it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from federation.errors import ProtocolError
from federation.identity import PartyKey, PartyPublicKey
from federation.proto.session_pb2 import Answer, Query
from federation.sealing import SealedMachine
from federation.sealing import machine as sealed_machine
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Send, Step, expect

KEYS = {name: PartyKey(PartyKey.new_seed()) for name in ("bank", "platform", "lessor", "mallory")}
PINS = {name: key.public for name, key in KEYS.items() if name != "mallory"}
SECRET = b"a borrower's default, in the clear" * 3


def bank(partners: tuple[str, ...]) -> Generator[Step, object, list[bytes]]:
    answers = []
    for number in range(3):
        for partner in partners:
            yield Send(partner, "query", Query(query_id=number, ciphertext=SECRET))
        for partner in partners:
            answer = yield from expect(partner, Answer)
            answers.append(answer.ciphertext)
    return answers


def partner() -> Generator[Step, object, int]:
    for _ in range(3):
        query = yield from expect("bank", Query)
        yield Send("bank", "answer", Answer(query_id=query.query_id, ciphertext=query.ciphertext))
    return 3


def sealed(
    name: str,
    partners: tuple[str, ...] = ("platform", "lessor"),
    session: str = "s1",
    key: PartyKey | None = None,
    pins: dict[str, PartyPublicKey] | None = None,
    versions: tuple[int, ...] | None = None,
) -> SealedMachine:
    role: Any = bank(partners) if name == "bank" else partner()
    peers = ("bank", *partners) if name == "bank" else (name, "bank")
    known = pins or {peer: PINS[peer] for peer in peers}
    more = {} if versions is None else {"versions": versions}
    machine: Machine[Any] = Machine(name, session, role)
    return SealedMachine(machine, key or KEYS[name], known, opens=name == "bank", **more)


def frames_of(pairs: Iterator[tuple[str, bytes]]) -> list[bytes]:
    return [frame for _, frame in pairs]


def handshaken() -> tuple[SealedMachine, SealedMachine, list[bytes]]:
    """Bank and platform after their handshake, and the bank's first sealed frames."""
    left, right = sealed("bank", ("platform",)), sealed("platform")
    (opening,) = frames_of(left.start())
    list(right.start())
    (reply,) = frames_of(right.receive(opening, "bank"))
    return left, right, frames_of(left.receive(reply, "platform"))


def test_a_session_of_three_ends_as_it_would_in_the_clear() -> None:
    machines = {name: sealed(name) for name in ("bank", "platform", "lessor")}
    results = run_in_process(machines)
    assert results == {"bank": [SECRET] * 6, "platform": 3, "lessor": 3}


def test_nothing_that_travels_shows_what_it_says() -> None:
    left, right = sealed("bank", ("platform",)), sealed("platform")
    seen = b""
    towards = {"bank": left, "platform": right}
    frames = [("bank", *frame) for frame in left.start()]
    frames += [("platform", *frame) for frame in right.start()]
    while frames:
        sender, recipient, frame = frames.pop(0)
        seen += frame
        made = list(towards[recipient].receive(frame, sender))
        frames += [(recipient, *more) for more in made]
    assert left.finished
    assert right.finished
    for word in (SECRET, SECRET[:12], b"bank", b"s1"):
        assert word not in seen


def test_the_other_party_is_the_one_whose_key_is_pinned() -> None:
    left = sealed("bank", ("platform",))
    (opening,) = frames_of(left.start())
    impostor = sealed("platform", key=KEYS["mallory"])
    list(impostor.start())
    with pytest.raises(ProtocolError, match="bank's handshake does not open with the key that"):
        list(impostor.receive(opening, "bank"))
    unpinned = sealed("platform", pins={"bank": KEYS["mallory"].public})
    list(unpinned.start())
    with pytest.raises(ProtocolError, match="compare both with `veilscore keys`"):
        list(unpinned.receive(opening, "bank"))


def test_a_handshake_of_another_session_is_refused() -> None:
    (opening,) = frames_of(sealed("bank", ("platform",), session="s2").start())
    right = sealed("platform")
    with pytest.raises(ProtocolError, match="another session"):
        list(right.receive(opening, "bank"))
    # nor does it open where a carrier changes the header to the right session's
    (other,) = frames_of(sealed("bank", ("platform",)).start())
    with pytest.raises(ProtocolError, match="does not open"):
        list(right.receive(other[:17] + opening[17:], "bank"))


def test_frames_from_another_name_do_not_open() -> None:
    _, right, (frame,) = handshaken()
    with pytest.raises(ProtocolError, match="lessor, with whom it exchanges none.*only bank may"):
        list(right.receive(frame, "lessor"))
    with pytest.raises(ProtocolError, match="without its sender's name"):
        list(right.receive(frame))


def test_an_opening_comes_once_and_from_who_opens() -> None:
    left, right = sealed("bank", ("platform",)), sealed("platform")
    (opening,) = frames_of(left.start())
    (reply,) = frames_of(right.receive(opening, "bank"))
    with pytest.raises(ProtocolError, match="opened it twice"):
        list(right.receive(opening, "bank"))
    list(left.receive(reply, "platform"))
    with pytest.raises(ProtocolError, match="not opened, or twice"):
        list(left.receive(reply, "platform"))
    with pytest.raises(ProtocolError, match="not its to open"):
        list(left.receive(opening, "platform"))


def test_messages_before_the_handshake_are_refused() -> None:
    _, _, (frame,) = handshaken()
    with pytest.raises(ProtocolError, match="before its handshake was over"):
        list(sealed("platform").receive(frame, "bank"))


def test_a_replay_into_a_second_session_of_the_same_name_is_refused() -> None:
    left, _, (frame,) = handshaken()
    right = sealed("platform")
    (opening,) = frames_of(sealed("bank", ("platform",)).start())
    list(right.receive(opening, "bank"))
    with pytest.raises(ProtocolError, match="piece 0 from bank does not open"):
        list(right.receive(frame, "bank"))
    assert not left.finished


def test_a_carrier_that_chose_an_older_version_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer = (sealed_machine.PROTOCOL_VERSION, sealed_machine.PROTOCOL_VERSION + 1)
    left = sealed("bank", ("platform",), versions=newer)
    right = sealed("platform", versions=newer)
    (opening,) = frames_of(left.start())
    with pytest.raises(ProtocolError, match="who carries the messages chose it"):
        list(right.receive(opening, "bank"))


def test_parties_that_were_told_other_versions_have_no_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The version is part of what the handshake binds."""
    newer = sealed_machine.PROTOCOL_VERSION + 1
    monkeypatch.setattr(Machine, "use_version", lambda self, version: None)
    left, right = sealed("bank", ("platform",)), sealed("platform")
    left.use_version(newer)
    (opening,) = frames_of(left.start())
    with pytest.raises(ProtocolError, match="does not open"):
        list(right.receive(opening, "bank"))


def test_a_version_that_this_release_does_not_speak_is_refused() -> None:
    own = sealed_machine.PROTOCOL_VERSION
    for other in (own - 1, own + 1):
        said = f"bank speaks version {own} of the protocol, not {other}"
        with pytest.raises(ProtocolError, match=said):
            sealed("bank", ("platform",)).use_version(other)


def test_who_waits_for_a_handshake_says_so() -> None:
    left = sealed("bank", ("platform",))
    list(left.start())
    assert left.waiting_for == "the handshake of platform"
    assert "does not" not in repr(left)
    assert KEYS["bank"].signing.private_bytes_raw().hex() not in repr(KEYS["bank"])

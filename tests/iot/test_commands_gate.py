"""Commands to the immobiliser: two people, one device, in time, once, and never while it moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.identity import PartyKey
from federation.record_chain import Head
from iot.alerts.life import Alert, State
from iot.commands.command import LONGEST_LIFE, Action, Command
from iot.commands.errors import CommandRefused
from iot.commands.gate import CLOCKS_APART, CommandGate, Decision, GateMemory, Outcome
from iot.commands.record import Step, command_digest, read_record, write_step
from iot.commands.request import LIFE, new_nonce, requested
from iot.commands.signing import (
    MOST_BYTES,
    People,
    Signature,
    SignedCommand,
    merged,
    read_document,
    sign,
)
from iot.commands.tables import command_record
from iot.rules.rule import Severity
from iot.store.database import Database
from iot.units import DeviceId, LeaseId, LesseeId, Millis

NOW = Millis(1_767_225_600_000)
DEVICE = DeviceId("d1")
KEYS = {name: PartyKey(bytes([place] * 32)) for place, name in enumerate(("ada", "bo", "cy"), 1)}
STRANGER = PartyKey(bytes([9] * 32))
PEOPLE = People({name: key.public for name, key in KEYS.items()})
GATE = CommandGate(DEVICE, PEOPLE)
FRESH = GateMemory()
ALERT = Alert(
    "a" * 32, DEVICE, LesseeId("firm"), LeaseId("l1"), "moved_engine_off", State.OPEN,
    Severity.IMMOBILISE, NOW, 3.0, 2.0, "km", "It was moved with the engine off.",
)  # fmt: skip


def drafted(action: Action = Action.STOP, now: Millis = NOW, alert: Alert = ALERT) -> SignedCommand:
    return requested(alert, action, "Stolen, says the lessee.", now)


def signed(draft: SignedCommand, *names: str) -> SignedCommand:
    for name in names or ("ada", "bo"):
        draft = sign(draft, name, KEYS[name])
    return draft


def considered(
    document: SignedCommand | bytes,
    memory: GateMemory = FRESH,
    now: int = NOW,
    moving: bool | None = False,
) -> Decision:
    data = document if isinstance(document, bytes) else document.document()
    return GATE.consider(memory, data, Millis(now), moving)


def refusal(*given: Any, **named: Any) -> str:
    decision = considered(*given, **named)
    assert decision.outcome is Outcome.REFUSE
    assert decision.action is None
    return decision.sentence


def test_two_people_stop_a_machine_that_stands() -> None:
    command = signed(drafted())
    decision = considered(command)
    assert (decision.outcome, decision.action) == (Outcome.CARRY_OUT, Action.STOP)
    assert decision.memory == GateMemory(NOW, command.command.nonce)


@pytest.mark.parametrize("moving", [True, None])
def test_a_stop_waits_while_the_machine_moves_or_may_move(moving: bool | None) -> None:
    command = signed(drafted())
    waits = considered(command, moving=moving)
    assert (waits.outcome, waits.action, waits.memory) == (Outcome.WAIT, None, FRESH)
    assert considered(command, waits.memory, NOW + 1).outcome is Outcome.CARRY_OUT
    release = signed(drafted(Action.RELEASE))
    assert considered(release, moving=moving).outcome is Outcome.CARRY_OUT


def test_one_person_is_not_enough_however_often_they_sign() -> None:
    assert "signed by nobody" in refusal(drafted())
    once = signed(drafted(), "ada")
    assert "signed by ada" in refusal(once)
    with pytest.raises(CommandRefused, match="has signed already"):
        sign(once, "ada", KEYS["ada"])
    twice = SignedCommand(once.command, once.signatures * 2)
    assert "signed by ada" in refusal(twice)
    borrowed = Signature("bo", once.signatures[0].signature)
    assert "'bo' does not fit" in refusal(SignedCommand(once.command, (*once.signatures, borrowed)))


def test_a_stranger_spoils_a_command_that_is_signed_otherwise() -> None:
    command = sign(signed(drafted()), "mallory", STRANGER)
    assert "may not sign" in refusal(command)
    forged = sign(signed(drafted(), "ada"), "bo", STRANGER)
    assert "'bo' does not fit" in refusal(forged)


def test_a_command_holds_in_its_time_only() -> None:
    command = signed(drafted())
    assert considered(command, now=NOW + LIFE - 1).outcome is Outcome.CARRY_OUT
    assert "expired" in refusal(command, now=NOW + LIFE)
    assert considered(command, now=NOW - CLOCKS_APART).outcome is Outcome.CARRY_OUT
    assert "in the future" in refusal(command, now=NOW - CLOCKS_APART - 1)


def test_a_command_is_for_one_device() -> None:
    other = signed(drafted(alert=replace(ALERT, device=DeviceId("d2"))))
    assert "another device" in refusal(other)


def test_a_command_is_carried_out_once_and_never_after_a_later_one() -> None:
    stop, release = signed(drafted()), signed(drafted(Action.RELEASE, Millis(NOW + 1)))
    after_stop = considered(stop).memory
    assert "carried out before" in refusal(stop, after_stop)
    after_release = considered(release, after_stop).memory
    assert "later command" in refusal(stop, after_release)
    same_moment = signed(drafted(Action.STOP, Millis(NOW + 1)))
    assert "later command" in refusal(same_moment, after_release)


CHANGES: list[tuple[str, Any]] = [
    ("device", "d2"), ("action", "release"), ("reason", "Another."), ("alert", "b" * 32),
    ("issued_ms", NOW + 1), ("expires_ms", NOW + LIFE + 1), ("nonce", "0" * 32),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_every_field_is_under_the_signatures(field: str, value: Any) -> None:
    content = json.loads(signed(drafted()).document())
    content["command"][field] = value
    assert "does not fit" in refusal(json.dumps(content).encode())


def test_the_changed_fields_above_are_all_that_there_are() -> None:
    assert [field for field, _ in CHANGES] == list(Command.__struct_fields__)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_the_gate_raise_or_act(data: bytes) -> None:
    assert considered(data).outcome is Outcome.REFUSE


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_a_document_with_one_byte_changed_never_does_something_else(data: st.DataObject) -> None:
    command = SignedCommand(
        Command(DEVICE, Action.STOP, "Why.", "a", NOW, Millis(NOW + 9), "0" * 32)
    )
    document = bytearray(signed(command).document())
    place = data.draw(st.integers(0, len(document) - 1))
    document[place] = data.draw(st.integers(0, 255))
    decision = considered(bytes(document))
    # Hex digits may change their case: then it is the very command that was signed.
    if decision.outcome is not Outcome.REFUSE:
        assert read_document(bytes(document)).command == command.command


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"x" * (MOST_BYTES + 1), "at most 8192 bytes"),
        (b"[" * MOST_BYTES, "no signed command"),
        (b'{"command":1}', "no signed command"),
        (b"\xff\xfe", "no signed command"),
    ],
)
def test_what_is_no_document_is_refused_in_words(document: bytes, words: str) -> None:
    assert words in refusal(document)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(Action), st.booleans(),
            st.sets(st.sampled_from(sorted(KEYS)), max_size=3),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_comes_in_whatever_order_nothing_unsafe_is_done(
    arrivals: list[tuple[int, Action, bool, set[str]]],
) -> None:
    memory, done = FRESH, []
    for offset, action, moving, names in arrivals:
        fields = (DEVICE, action, "Why.", "a", Millis(NOW + offset), Millis(NOW + 9))
        draft = SignedCommand(Command(*fields, f"{offset:032x}"))
        for name in sorted(names):
            draft = sign(draft, name, KEYS[name])
        decision = considered(draft, memory, NOW + 5, moving)
        memory = decision.memory
        if decision.outcome is Outcome.CARRY_OUT:
            assert len(names) >= 2
            assert action is Action.RELEASE or not moving
            done.append(offset)
    assert done == sorted(set(done))


def test_two_people_need_two_keys() -> None:
    ada = KEYS["ada"].public
    with pytest.raises(CommandRefused, match="2 people"):
        People({"ada": ada})
    with pytest.raises(CommandRefused, match="same party key"):
        People({"ada": ada, "also ada": ada})


def test_people_sign_apart_from_each_other() -> None:
    draft = drafted()
    whole = merged([signed(draft, "ada"), signed(draft, "bo"), signed(draft, "ada")])
    assert [one.person for one in whole.signatures] == ["ada", "bo"]
    assert considered(read_document(whole.document())).outcome is Outcome.CARRY_OUT
    with pytest.raises(CommandRefused, match="different commands"):
        merged([signed(draft, "ada"), signed(drafted(), "bo")])


def test_a_stop_is_drafted_only_where_an_open_alert_asks_for_it() -> None:
    for state in (State.CLEARED, State.CLOSED, State.SUPPRESSED):
        with pytest.raises(CommandRefused, match="nothing is to be stopped"):
            drafted(alert=replace(ALERT, state=state))
        assert drafted(Action.RELEASE, alert=replace(ALERT, state=state))
    with pytest.raises(CommandRefused, match="'immobilise' only"):
        drafted(alert=replace(ALERT, severity=Severity.REVIEW))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expires_ms": NOW}, "expires_ms"),
        ({"expires_ms": NOW + LONGEST_LIFE + 1}, "24 hours"),
        ({"issued_ms": 0}, "issued_ms"),
        ({"nonce": "A" * 32}, "nonce"),
        ({"reason": "two\nlines"}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"device": "d" * 65}, "device"),
    ],
)
def test_a_command_with_a_wrong_field_can_not_be_made(changes: dict[str, Any], words: str) -> None:
    fields: dict[str, Any] = {
        "device": DEVICE, "action": Action.STOP, "reason": "Why.", "alert": "a",
        "issued_ms": NOW, "expires_ms": NOW + 1, "nonce": "0" * 32,
    }  # fmt: skip
    with pytest.raises(CommandRefused, match=words):
        Command(**(fields | changes))


def test_nonces_differ() -> None:
    assert len({new_nonce() for _ in range(50)}) == 50


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    yield opened
    opened.close()


def recorded(database: Database) -> Head:
    draft = drafted()
    whole = signed(draft)
    with database.transaction() as connection:
        write_step(connection, draft, Step.DRAFTED, NOW, who="ada")
        write_step(connection, whole, Step.SENT, NOW)
        return write_step(connection, whole, Step.CARRIED_OUT, NOW, note="It stands.")


def test_the_record_names_every_step_of_a_command(database: Database) -> None:
    kept = recorded(database)
    with database.transaction() as connection:
        head, entries = read_record(connection, kept)
    assert head == kept
    assert [entry.body["step"] for entry in entries] == ["drafted", "sent", "carried_out"]
    assert len({entry.body["command"] for entry in entries}) == 1
    assert [entry.body["signers"] for entry in entries] == [[], ["ada", "bo"], ["ada", "bo"]]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_row_of_the_record_shows(database: Database, number: int) -> None:
    kept = recorded(database)
    line = sa.func.replace(command_record.c.line, "stop", "halt")
    with database.transaction() as connection:
        connection.execute(
            sa.update(command_record).where(command_record.c.number == number).values(line=line)
        )
        with pytest.raises(CommandRefused, match="record of commands"):
            read_record(connection, kept)


def test_a_record_that_was_cut_off_shows_against_a_kept_head(database: Database) -> None:
    kept = recorded(database)
    with database.transaction() as connection:
        connection.execute(sa.delete(command_record).where(command_record.c.number == 2))
        assert read_record(connection)[0].length == 2
        with pytest.raises(CommandRefused, match="cut off"):
            read_record(connection, kept)


def test_the_signed_bytes_do_not_hang_on_how_the_json_was_written() -> None:
    command = signed(drafted())
    spaced = json.dumps(json.loads(command.document()), indent=2, sort_keys=True).encode()
    assert read_document(spaced) == command
    assert command_digest(read_document(spaced)) == command_digest(command)
    assert msgspec.json.decode(command.command.content)["format"] == "veilscore command 1"

"""Batches as transactions: what is stored, set aside, and known after a start."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iot.errors import StoreUnavailable
from iot.fleet.fleet import Fleet
from iot.geofence.fences import Fences
from iot.ingest.intake import Intake, Message
from iot.monitor.monitor import Found, Monitor
from iot.rules.out_of_region import OutOfRegion, OutOfRegionSettings
from iot.rules.tampered import Tampered, TamperedSettings
from iot.state.order import HOLD
from iot.store.database import Database
from iot.store.tables import quarantine, samples
from iot.units import DAY, MINUTE, DeviceId, Millis
from tests.iot.fleets import NOON, fleet_of, message, reading

FLEET = fleet_of(3)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    yield opened
    opened.close()


def monitor(fleet: Fleet = FLEET) -> Monitor:
    return Monitor(
        fleet, [OutOfRegion(OutOfRegionSettings()), Tampered(TamperedSettings())], Fences(fleet)
    )


def intake_on(database: Database) -> Intake:
    return Intake(database, FLEET, monitor(), None)


def rows(database: Database) -> list[Any]:
    with database.transaction() as connection:
        return list(connection.execute(sa.select(samples).order_by(samples.c.position)))


def refused(database: Database) -> list[Any]:
    with database.transaction() as connection:
        return list(connection.execute(sa.select(quarantine).order_by(quarantine.c.number)))


def states(intake: Intake) -> dict[DeviceId, bytes]:
    for machine in intake.monitor.machines.values():
        machine.changed = True
    return dict(intake.monitor.changed())


def test_a_batch_is_stored_and_read_back_word_for_word(database: Database) -> None:
    sent = [reading("d1", 1), reading("d1", 2, faults=("E1", "E2"), tampered=True)]
    bare = reading(
        "d2",
        1,
        operating_hours=None,
        idle_hours=None,
        latitude=None,
        longitude=None,
        accuracy_m=None,
    )
    taken = intake_on(database).take([message(one) for one in [*sent, bare]], NOON)
    assert (taken.stored, taken.repeated, taken.refused) == (3, 0, 0)
    again = intake_on(database)
    assert again.monitor.machines[DeviceId("d1")].last == sent[1]
    assert again.monitor.machines[DeviceId("d2")].last == bare


def test_a_message_that_came_before_is_counted_and_not_stored(database: Database) -> None:
    intake = intake_on(database)
    one = message(reading("d1", 1))
    assert intake.take([one, one], NOON).repeated == 1
    assert intake.take([one], NOON).repeated == 1
    assert len(rows(database)) == 1


def test_a_key_with_other_content_is_set_aside(database: Database) -> None:
    intake = intake_on(database)
    intake.take([message(reading("d1", 1))], NOON)
    other = message(reading("d1", 1, fuel_used_l=1.0))
    assert intake.take([other], NOON).refused == 1
    (kept,) = refused(database)
    assert (kept.reason, kept.payload) == ("key-reused", other.payload)
    assert len(rows(database)) == 1


GOOD = json.loads(message(reading("d1", 1)).payload)


def changed(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("tel/v1/acme/d1/reading", b"{", "malformed"),
        ("tel/v1/acme/d1/reading", b"", "malformed"),
        ("tel/v1/acme/d1/reading", b"\xff\xfe", "malformed"),
        ("tel/v1/acme/d1/reading", b"{" + b" " * 1_000_000, "too-large"),
        ("tel/v1/acme/d1/reading", changed(FuelUsedGallons=12.0), "malformed"),
        ("tel/v1/acme/d1/reading", changed(CumulativeOperatingHours="12 h"), "malformed"),
        ("tel/v1/acme/d1/reading", changed(FuelUsed=float("nan")), "malformed"),
        ("tel/v1/acme/d1/reading", changed(FuelUsed=-1.0), "malformed"),
        ("tel/v1/acme/d1/reading", changed(FuelRemaining=101.0), "malformed"),
        (
            "tel/v1/acme/d1/reading",
            changed(Location={"Latitude": 91.0, "Longitude": 0.0}),
            "malformed",
        ),
        ("tel/v1/acme/d1/reading", changed(Location={"Latitude": 1.0}), "malformed"),
        ("tel/v1/acme/d1/reading", changed(datetime="1970-01-01T00:00:00Z"), "past"),
        ("tel/v1/acme/d1/reading", changed(datetime="2099-01-01T00:00:00Z"), "future"),
        ("tel/v1/acme/d1/reading", changed(datetime="2026-01-01T00:00:00"), "malformed"),
        ("tel/v1/acme/d1/reading", changed(v=2), "malformed"),
        ("tel/v1/acme/d1/reading", changed(seq=0), "malformed"),
        ("tel/v1/acme/d9/reading", changed(), "unknown-device"),
        ("tel/v1/other/d1/reading", changed(), "other-lessee"),
        ("tel/v1/acme/d1/status", changed(), "topic"),
        ("tel/v2/acme/d1/reading", changed(), "topic"),
    ],
)
def test_what_is_wrong_lies_in_the_quarantine_with_its_reason(
    database: Database, topic: str, payload: bytes, reason: str
) -> None:
    intake = intake_on(database)
    good = message(reading("d2", 1))
    taken = intake.take([Message(topic, payload, NOON), good], NOON)
    assert (taken.stored, taken.refused) == (1, 1)
    (kept,) = refused(database)
    assert (kept.reason, kept.topic, kept.size) == (reason, topic, len(payload))
    assert kept.detail.endswith(".")
    assert len(kept.payload) <= 2_048
    assert intake.counts[reason] == 1


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payload=st.binary(max_size=200))
def test_no_bytes_end_the_intake(database: Database, payload: bytes) -> None:
    intake = intake_on(database)
    taken = intake.take([Message("tel/v1/acme/d1/reading", payload, NOON)], NOON)
    assert taken.refused == 1


def test_a_machine_that_is_let_to_nobody_speaks_under_no_name(database: Database) -> None:
    fleet = Fleet(FLEET.models, FLEET.devices, {}, FLEET.zones)
    intake = Intake(database, fleet, monitor(fleet), None)
    assert intake.take([message(reading("d1", 1))], NOON).refused == 1
    assert intake.take([message(reading("d1", 1), lessee="_")], NOON).stored == 1


class Broken:
    """Fails after everything else of a batch was written."""

    def apply(self, connection: object, found: object, now: Millis) -> None:
        raise StoreUnavailable("The sink is down.")


def test_a_batch_that_fails_leaves_nothing(database: Database) -> None:
    intake = Intake(database, FLEET, monitor(), Broken())
    batch = [message(reading("d1", 1)), message(reading("d1", 2, tampered=True))]
    with pytest.raises(StoreUnavailable):
        intake.take(batch, NOON)
    assert rows(database) == []
    assert intake_on(database).take(batch, NOON).stored == 2


def test_a_locked_database_is_one_sentence_and_nothing_is_stored(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iot.store.database.BUSY_SECONDS", 0.05)
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    intake = intake_on(opened)
    with sqlite3.connect(tmp_path / "telemetry.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="refused"):
            intake.take([message(reading("d1", 1))], NOON)
    assert rows(database) == []
    opened.close()


def journey(device: str, *, boots: tuple[int, ...], far_from: int) -> list[Message]:
    """A machine that leaves its zone; received as it was said."""
    sent = []
    number = 0
    for boot, count in enumerate(boots, 1):
        for seq in range(1, count + 1):
            number += 1
            away = 0.5 if number >= far_from else 0.0
            one = reading(device, seq, boot=boot, at=NOON + number * MINUTE, latitude=31.1 + away)
            sent.append(message(one))
    return sent


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_arrival_order_with_any_restarts_finds_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Shuffled within the wait, up to every tenth message twice, the process restarted anywhere."""
    sent = journey("d1", boots=(8, 7), far_from=6) + journey("d2", boots=(10,), far_from=99)
    end = Millis(NOON + 20 * MINUTE + 2 * HOLD)

    def run(arrivals: list[Message], restarts: set[int], per_batch: int) -> tuple[Any, list[Found]]:
        opened = Database(f"sqlite:///{tmp_path_factory.mktemp('run')}/t.db")
        intake = intake_on(opened)
        found: list[Found] = []
        for start in range(0, len(arrivals), per_batch):
            batch = arrivals[start : start + per_batch]
            found += intake.take(batch, batch[-1].received).found
            if start // per_batch in restarts:
                intake = intake_on(opened)
            if data.draw(st.booleans(), label="checkpoint"):
                intake.checkpoint()
        found += intake.tick(end)
        kept = states(intake)
        assert states(intake_on(opened)) == kept
        assert len(rows(opened)) == len(sent)
        opened.close()
        return kept, sorted(found)

    wanted = run(sent, set(), 5)
    assert [found.verdict.rule for found in wanted[1]] == ["out_of_region"]
    doubled = sent + data.draw(st.lists(st.sampled_from(sent), max_size=3), label="twice")
    order = data.draw(st.permutations(range(len(doubled))), label="order")
    arrivals = [
        doubled[place]._replace(received=Millis(NOON + 20 * MINUTE + number))
        for number, place in enumerate(order)
    ]
    restarts = data.draw(st.sets(st.integers(0, 10), max_size=3), label="restarts")
    got = run(arrivals, restarts, data.draw(st.integers(1, 9), label="batch"))
    assert [found.verdict for found in got[1]] == [found.verdict for found in wanted[1]]


def test_what_waited_goes_on_after_a_restart(database: Database) -> None:
    intake = intake_on(database)
    intake.take([message(reading("d1", seq)) for seq in (1, 3)], NOON)
    again = intake_on(database)
    assert again.monitor.machines[DeviceId("d1")].order.held
    again.tick(Millis(NOON + DAY))
    third = intake_on(database).monitor.machines[DeviceId("d1")]
    assert not third.order.held
    assert third.last is not None
    assert third.last.seq == 3

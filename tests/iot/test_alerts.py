"""Alerts: their life, their book, and their way to a real desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.proto.alerts_pb2 import Alert as DeskAlert
from iot.alerts.book import AlertBook, find, history, listed
from iot.alerts.delivery import Answer, BankUnavailable, Delivery, waiting
from iot.alerts.desk import Desk, DeskSettings
from iot.alerts.life import (
    ALIVE,
    Alert,
    AlertRefused,
    State,
    acknowledged,
    after_verdict,
    closed,
    suppressed,
)
from iot.alerts.tables import alerts, outbox
from iot.errors import StoreUnavailable
from iot.fleet.fleet import Lease
from iot.ingest.intake import Intake
from iot.monitor.monitor import Found, Monitor
from iot.rules.rule import Severity, Verdict
from iot.rules.tampered import Tampered, TamperedSettings
from iot.store.database import Database
from iot.units import DAY, MINUTE, DeviceId, LesseeId, Millis
from tests.iot.fleets import NOON, fleet_of, message, reading
from tests.server.desk.databases import sqlite_address
from tests.server.desk.test_alerts_service import alert_server

FLEET = fleet_of(2)
DEVICE = DeviceId("d1")
LEASE: Lease = FLEET.leases[DEVICE][0]


def verdict(
    raised: bool = True,
    at: int = NOON,
    severity: Severity = Severity.CONTACT,
    rule: str = "tampered",
) -> Verdict:
    return Verdict(rule, raised, Millis(at), severity, 1.0, 0.5, "h", "It was opened.")


def found(*verdicts: Verdict, device: DeviceId = DEVICE) -> list[Found]:
    return [Found(device, LEASE, one) for one in verdicts]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/telemetry.db")
    yield opened
    opened.close()


def applied(database: Database, *verdicts: Verdict, source: str | None = "lessor") -> None:
    with database.transaction() as connection:
        AlertBook(source).apply(connection, found(*verdicts), NOON)


def all_alerts(database: Database) -> list[Alert]:
    with database.transaction() as connection:
        return list(listed(connection, states=tuple(State)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["raise", "clear", "take", "close", "suppress"]),
            st.sampled_from(list(Severity)),
        ),
        max_size=12,
    )
)
def test_versions_count_changes_and_one_is_alive(steps: list[tuple[str, Severity]]) -> None:
    everyone: list[Alert] = []
    for number, (what, severity) in enumerate(steps):
        alive = next((one for one in everyone if one.state in ALIVE), None)
        try:
            if what in ("raise", "clear"):
                word = verdict(what == "raise", NOON + number, severity)
                after = after_verdict(alive, DEVICE, LEASE.lessee, LEASE.id, word)
            else:
                step = {"take": acknowledged, "close": closed, "suppress": suppressed}[what]
                target = everyone[-1] if everyone else None
                after = None if target is None else step(target, "ann", Millis(NOON + number))
        except AlertRefused:
            continue
        if after is None:
            continue
        if after.version == 1:
            everyone.append(after)
        else:
            place = next(place for place, one in enumerate(everyone) if one.id == after.id)
            assert after.version == everyone[place].version + 1
            assert everyone[place].state not in (State.CLOSED, State.SUPPRESSED)
            everyone[place] = after
        assert sum(one.state in ALIVE for one in everyone) <= 1
    assert len({one.id for one in everyone}) == len(everyone)


def test_a_worse_word_opens_a_taken_alert_again_and_a_lesser_one_changes_nothing() -> None:
    opened = after_verdict(None, DEVICE, LEASE.lessee, LEASE.id, verdict())
    assert opened is not None
    taken = acknowledged(opened, "ann", NOON)
    assert after_verdict(taken, DEVICE, LEASE.lessee, LEASE.id, verdict()) is None
    worse = after_verdict(taken, DEVICE, LEASE.lessee, LEASE.id, verdict(severity=Severity.REVIEW))
    assert worse is not None
    assert (worse.state, worse.severity, worse.version) == (State.OPEN, Severity.REVIEW, 3)


def test_the_same_event_found_again_is_the_same_alert(database: Database) -> None:
    applied(database, verdict(), verdict(raised=False, at=NOON + 1))
    applied(database, verdict())
    (alert,) = all_alerts(database)
    assert (alert.state, alert.version) == (State.CLEARED, 2)


def test_every_change_has_its_history_and_its_message(database: Database) -> None:
    applied(database, verdict(), verdict(severity=Severity.REVIEW))
    with database.transaction() as connection:
        alert = find(connection, all_alerts(database)[0].id[:6])
        AlertBook("lessor").write(
            connection, acknowledged(alert, "ann", NOON), NOON, "ann", "called"
        )
        changes = history(connection, alert)
        bodies = [DeskAlert.FromString(row.body) for row in connection.execute(sa.select(outbox))]
    assert [(one["version"], one["state"], one["who"]) for one in changes] == [
        (1, "open", None),
        (2, "open", None),
        (3, "acked", "ann"),
    ]
    assert [one.id for one in bodies] == [f"{alert.id}-{version}" for version in (1, 2, 3)]
    assert {one.borrower for one in bodies} == {"acme"}
    assert "31.1" not in str(bodies)


def test_an_alert_between_leases_is_kept_and_told_to_nobody(database: Database) -> None:
    with database.transaction() as connection:
        AlertBook("lessor").apply(connection, [Found(DEVICE, None, verdict())], NOON)
        assert waiting(connection) == {}
    assert len(all_alerts(database)) == 1


def test_alerts_are_written_with_the_batch_that_they_come_from(database: Database) -> None:
    def intake() -> Intake:
        rules = [Tampered(TamperedSettings())]
        return Intake(database, FLEET, Monitor(FLEET, rules, None), AlertBook("lessor"))

    sent = [message(reading("d1", 1)), message(reading("d1", 2, tampered=True))]
    intake().take(sent, NOON)
    (alert,) = all_alerts(database)
    assert (alert.rule, alert.lessee, alert.opened_ms) == (
        "tampered",
        LesseeId("acme"),
        NOON + 2 * MINUTE,
    )
    intake().take(sent, NOON)
    assert len(all_alerts(database)) == 1


class Away:
    """A bank that can't be reached for a while, and then stores everything once."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.stored: list[bytes] = []

    def report(self, messages: Sequence[bytes]) -> list[Answer]:
        if self.failures:
            self.failures -= 1
            raise BankUnavailable("The desk is away.")
        self.stored += messages
        return [Answer(True, "") for _ in messages]


def test_what_the_bank_misses_waits_and_is_delivered_once(database: Database) -> None:
    applied(database, verdict(), verdict(severity=Severity.REVIEW))
    bank = Away(failures=30)
    delivery = Delivery(database, bank)
    now = NOON
    while not bank.stored:
        outcome = delivery.attempt(now)
        if outcome.retry_ms is not None:
            assert now < outcome.retry_ms <= now + 30_000
            assert delivery.attempt(Millis(outcome.retry_ms - 1)).retry_ms is None
            now = outcome.retry_ms
    assert now - NOON > 5 * MINUTE
    assert [DeskAlert.FromString(one).id[-1] for one in bank.stored] == ["1", "2"]
    assert delivery.attempt(Millis(now + DAY)) == type(outcome)(0, 0, None)
    with database.transaction() as connection:
        assert waiting(connection) == {"delivered": 2}


def test_a_newer_version_waits_behind_the_one_that_failed(database: Database) -> None:
    applied(database, verdict())
    bank = Away(failures=1)
    delivery = Delivery(database, bank)
    failed = delivery.attempt(NOON)
    applied(database, verdict(severity=Severity.REVIEW))
    assert delivery.attempt(Millis(NOON + 1)).delivered == 0
    assert failed.retry_ms is not None
    assert delivery.attempt(failed.retry_ms).delivered == 2
    assert [DeskAlert.FromString(one).id[-1] for one in bank.stored] == ["1", "2"]


def test_a_crash_between_answer_and_note_sends_again(database: Database) -> None:
    applied(database, verdict())
    bank = Away(failures=0)
    with database.transaction() as connection:
        rows = connection.execute(sa.select(outbox.c.body)).all()
    bank.report([row.body for row in rows])
    Delivery(database, bank).attempt(NOON)
    assert len(bank.stored) == 2
    assert bank.stored[0] == bank.stored[1]


def test_a_real_desk_stores_each_once_and_says_what_it_refuses(
    database: Database, tmp_path: Path
) -> None:
    applied(database, verdict(), verdict(severity=Severity.REVIEW))
    applied(database, verdict(rule="idle_machine"), source="somebody-else")
    with alert_server(tmp_path / "desk", sqlite_address(tmp_path)) as server:
        desk = Desk(
            DeskSettings(
                server.address,
                server.folder / "tls" / "callers-ca.pem",
                server.folder / "callers" / "lessor.pem",
                server.folder / "callers" / "lessor.key",
            )
        )
        outcome = Delivery(database, desk).attempt(NOON)
        assert (outcome.delivered, outcome.refused) == (2, 1)
        with database.transaction() as connection:
            connection.execute(sa.update(outbox).values(state="waiting"))
            answers = connection.execute(sa.select(outbox.c.answer)).scalars().all()
        assert any("somebody-else" in (answer or "") or answer for answer in answers)
        assert Delivery(database, desk).attempt(NOON).delivered == 2
        stored = server.list()
        desk.close()
    assert sorted(one.alert.severity for one in stored) == [
        DeskAlert.WARNING,
        DeskAlert.CRITICAL,
    ]
    assert {one.alert.kind for one in stored} == {DeskAlert.DEVICE_TAMPERED}


def test_a_desk_that_is_not_there_is_one_sentence(database: Database, tmp_path: Path) -> None:
    with alert_server(tmp_path / "desk", sqlite_address(tmp_path)) as server:
        files = (
            server.folder / "tls" / "callers-ca.pem",
            server.folder / "callers" / "lessor.pem",
            server.folder / "callers" / "lessor.key",
        )
        desk = Desk(DeskSettings("127.0.0.1:1", *files))
        with pytest.raises(BankUnavailable, match="did not answer: UNAVAILABLE"):
            desk.report([DeskAlert(id="a-1").SerializeToString()])
        desk.close()
        files[2].chmod(0o644)
        with pytest.raises(BankUnavailable, match="mode 0600"):
            Desk(DeskSettings(server.address, *files))


def test_one_alert_of_a_device_and_rule_is_alive_says_the_database(database: Database) -> None:
    applied(database, verdict())
    with database.transaction() as connection:
        row = connection.execute(sa.select(alerts)).one()._asdict()
    with pytest.raises(StoreUnavailable), database.transaction() as connection:
        connection.execute(sa.insert(alerts), row | {"id": "other"})

"""A desk that goes away in the middle of a delivery, after it stored and before it was believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iot.alerts.book import AlertBook
from iot.alerts.delivery import MOST_AT_ONCE, Answer, BankUnavailable, Delivery, waiting
from iot.alerts.desk import Desk, DeskSettings
from iot.monitor.monitor import Found
from iot.rules.rule import Severity, Verdict
from iot.store.database import Database
from iot.units import DeviceId, Millis
from tests.iot.fleets import NOON, fleet_of
from tests.server.desk.databases import sqlite_address
from tests.server.desk.test_alerts_service import AlertServer, alert_server

MACHINES = MOST_AT_ONCE + 30
FLEET = fleet_of(MACHINES)


class LostAnswers:
    """The real desk, whose answers do not come back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def report(self, messages: Sequence[bytes]) -> list[Answer]:
        assert all(answer.stored for answer in self._desk.report(messages))
        raise BankUnavailable("The desk went away before its answer came.")


def desk_of(server: AlertServer) -> Desk:
    callers = server.folder / "callers"
    return Desk(
        DeskSettings(
            server.address,
            server.folder / "tls" / "callers-ca.pem",
            callers / "lessor.pem",
            callers / "lessor.key",
        )
    )


def sent_ids(server: AlertServer) -> list[str]:
    return sorted(one.alert.id for one in server.list(most=1_000))


def test_each_version_is_stored_once_across_a_restart_of_the_desk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/telemetry.db")
    verdict = Verdict(
        "tampered", True, Millis(NOON), Severity.CONTACT, 1.0, 0.5, "h", "It was opened."
    )
    with database.transaction() as connection:
        found = [Found(DeviceId(name), FLEET.leases[name][0], verdict) for name in FLEET.devices]
        AlertBook("lessor").apply(connection, found, Millis(NOON))
    kept = sqlite_address(tmp_path)
    with alert_server(tmp_path / "before", kept) as server:
        desk = desk_of(server)
        lost = Delivery(database, LostAnswers(desk)).attempt(Millis(NOON))
        assert lost.delivered == 0
        assert len(sent_ids(server)) == MOST_AT_ONCE
    away = Delivery(database, desk).attempt(Millis(NOON + 60_000))
    assert away.delivered == 0
    desk.close()
    with alert_server(tmp_path / "after", kept) as server:
        desk = desk_of(server)
        delivery = Delivery(database, desk)
        now = Millis(NOON + 600_000)
        assert delivery.attempt(now).delivered + delivery.attempt(now).delivered == MACHINES
        assert delivery.attempt(now).delivered == 0
        ids = sent_ids(server)
        desk.close()
    assert len(ids) == len(set(ids)) == MACHINES
    with database.transaction() as connection:
        assert waiting(connection) == {"delivered": MACHINES}
    database.close()

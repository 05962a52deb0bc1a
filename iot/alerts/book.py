"""The book of alerts: every change is written with its history and what the bank is to be told,
in the caller's transaction, so that neither is ever without the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.alerts.life import ALIVE, Alert, AlertRefused, State, after_verdict
from iot.alerts.message import desk_alert
from iot.alerts.tables import alert_changes, alerts, outbox
from iot.monitor.monitor import Found
from iot.rules.rule import Severity
from iot.units import DeviceId, LeaseId, LesseeId, Millis


class AlertBook:
    """A sink of verdicts.

    Args:
        source: the lessor's name at the bank's desk; None: nothing is told to a bank.
    """

    def __init__(self, source: str | None) -> None:
        self._source = source

    def apply(self, connection: Connection, found: Sequence[Found], now: Millis) -> None:
        """Write what verdicts change, in their order."""
        for device, lease, verdict in found:
            alive = self._alive(connection, device, verdict.rule)
            lessee = None if lease is None else lease.lessee
            name = None if lease is None else lease.id
            alert = after_verdict(alive, device, lessee, name, verdict)
            if alert is None or (alive is None and _exists(connection, alert.id)):
                continue
            self.write(connection, alert, now)

    def write(
        self,
        connection: Connection,
        alert: Alert,
        now: Millis,
        who: str | None = None,
        note: str | None = None,
    ) -> None:
        """Write one version of an alert, its history and its message."""
        row = asdict(alert) | {"state": alert.state.value, "severity": int(alert.severity)}
        if alert.version == 1:
            connection.execute(sa.insert(alerts), row)
        else:
            connection.execute(
                sa.update(alerts)
                .where(alerts.c.id == alert.id, alerts.c.version == alert.version - 1)
                .values(row)
            )
        connection.execute(
            sa.insert(alert_changes),
            {
                "alert": alert.id,
                "version": alert.version,
                "at_ms": now,
                "state": alert.state.value,
                "severity": int(alert.severity),
                "who": who,
                "note": note,
            },
        )
        body = None if self._source is None else desk_alert(alert, self._source)
        if body is not None:
            connection.execute(
                sa.insert(outbox),
                {
                    "alert": alert.id,
                    "version": alert.version,
                    "body": body,
                    "state": "waiting",
                    "written_ms": now,
                    "attempts": 0,
                },
            )

    def _alive(self, connection: Connection, device: DeviceId, rule: str) -> Alert | None:
        row = connection.execute(
            sa.select(alerts).where(
                alerts.c.device == device,
                alerts.c.rule == rule,
                alerts.c.state.in_([state.value for state in ALIVE]),
            )
        ).first()
        return None if row is None else _alert(row)


def find(connection: Connection, name: str) -> Alert:
    """The alert of a name, or of the only one that begins so.

    Raises:
        AlertRefused: there is none, or more than one.
    """
    rows = connection.execute(
        sa.select(alerts).where(alerts.c.id.startswith(name, autoescape=True)).limit(2)
    ).all()
    if len(rows) != 1:
        raise AlertRefused(
            f"{'No alert begins' if not rows else 'Several alerts begin'} with '{name}'; "
            "`veilscore iot alerts list` shows them."
        )
    return _alert(rows[0])


def listed(
    connection: Connection, *, states: Sequence[State] = ALIVE, most: int = 100
) -> Iterator[Alert]:
    """Alerts in these states, the worst and then the oldest first."""
    rows = connection.execute(
        sa.select(alerts)
        .where(alerts.c.state.in_([state.value for state in states]))
        .order_by(alerts.c.severity.desc(), alerts.c.opened_ms, alerts.c.id)
        .limit(most)
    )
    for row in rows:
        yield _alert(row)


def history(connection: Connection, alert: Alert) -> list[dict[str, Any]]:
    """Every change of an alert, in order."""
    rows = connection.execute(
        sa.select(alert_changes)
        .where(alert_changes.c.alert == alert.id)
        .order_by(alert_changes.c.version)
    )
    return [dict(row._mapping) for row in rows]


def _exists(connection: Connection, name: str) -> bool:
    """A device whose clock stood still raises the same event again: it was told once."""
    return connection.scalar(sa.select(alerts.c.id).where(alerts.c.id == name)) is not None


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        device=DeviceId(row.device),
        lessee=None if row.lessee is None else LesseeId(row.lessee),
        lease=None if row.lease is None else LeaseId(row.lease),
        rule=row.rule,
        state=State(row.state),
        severity=Severity(row.severity),
        opened_ms=Millis(row.opened_ms),
        value=row.value,
        threshold=row.threshold,
        unit=row.unit,
        reason=row.reason,
        version=row.version,
        cleared_ms=row.cleared_ms,
        acked_ms=row.acked_ms,
        acked_by=row.acked_by,
    )

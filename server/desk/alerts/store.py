"""Alerts in the database: stored once, whatever is sent twice, at once or late."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from federation.record_chain import GENESIS, Head
from server.desk.alerts.incoming import IncomingAlert, check_text
from server.desk.alerts.kept import KeptAlert, NoSuchAlert, OpenFollowUp, Outcome, Stored, read_kept
from server.desk.alerts.quotas import Quotas
from server.desk.alerts.rules import MS_A_DAY, AlertRules, FollowUp
from server.desk.alerts.schema import PART, STEPS, alerts, follow_ups
from server.desk.registry.database import Database
from server.desk.registry.migrations import locked_head, migrate, read_head, write_head
from server.desk.registry.names import check_who

MOST_RESOLUTION_SIGNS = 500
DEFAULT_LISTED = 100
MOST_LISTED = 1000


class AlertStore:
    """Alerts in one database; every call is a transaction and may wait for the disk.

    Args:
        database: the registry's.
        rules: what follows from what.
        now_ms: the time, milliseconds since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        rules: AlertRules,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        migrate(database, PART, STEPS)
        self._database = database
        self._now_ms = now_ms
        self.rules = rules

    @property
    def now_ms(self) -> int:
        """The desk's time."""
        return self._now_ms()

    def store(self, batch: Sequence[IncomingAlert]) -> Stored:
        """Store alerts, in order; on return they are on the disk."""
        now_ms = self._now_ms()
        with self._database.writing() as connection:
            head = after = locked_head(connection, PART)
            known = _known_digests(connection, batch)
            quotas = Quotas(connection, self.rules.alerts_per_day, now_ms // MS_A_DAY)
            fresh: list[IncomingAlert] = []
            outcomes: list[Outcome] = []
            for alert in batch:
                digest = known.get((alert.source, alert.id))
                if digest is not None:
                    same = digest == alert.digest
                    outcomes.append(Outcome() if same else Outcome(_OTHER_CONTENT))
                elif not quotas.take(alert.source):
                    outcomes.append(Outcome(_QUOTA_USED.format(self.rules.alerts_per_day)))
                else:
                    known[alert.source, alert.id] = alert.digest
                    fresh.append(alert)
                    outcomes.append(Outcome())
            opened = [follow_up for alert in fresh for follow_up in self._follow(alert, now_ms)]
            if fresh:
                rows = [_row(alert, now_ms) for alert in fresh]
                connection.execute(alerts.insert(), rows)
                if opened:
                    connection.execute(follow_ups.insert(), [_follow_up_row(o) for o in opened])
                quotas.write()
                after = _count_change(connection, head)
        return Stored(tuple(outcomes), tuple(opened), head.length, after.length)

    def find(
        self,
        *,
        borrower: str | None = None,
        open_only: bool = False,
        most: int = DEFAULT_LISTED,
    ) -> list[KeptAlert]:
        """Alerts, the latest received first; at most MOST_LISTED.

        Args:
            borrower: only this one's, as its source wrote the id or normalised.
            open_only: only those that are not resolved.
            most: at most so many.
        """
        query = sa.select(alerts)
        if borrower is not None:
            _check_sought("borrower", borrower)
            query = query.where(
                sa.or_(alerts.c.borrower_key == borrower, alerts.c.borrower == borrower)
            )
        if open_only:
            query = query.where(alerts.c.resolution.is_(None))
        query = query.order_by(alerts.c.received_ms.desc(), alerts.c.source, alerts.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(max(1, min(most, MOST_LISTED)))).all()
            return read_kept(connection, rows)

    def resolve(self, source: str, identifier: str, resolution: str, by: str) -> KeptAlert:
        """Resolve an alert and all that follows from it; the same again changes nothing.

        Raises:
            InputError: it was resolved otherwise, or the resolution is no line of text.
            NoSuchAlert: there is none.
        """
        check_text("resolution", resolution, 1, MOST_RESOLUTION_SIGNS)
        _check_sought("source", source)
        _check_sought("id", identifier)
        who = check_who(by)
        this = (alerts.c.source == source, alerts.c.id == identifier)
        with self._database.writing() as connection:
            head = locked_head(connection, PART)
            row = connection.execute(sa.select(alerts).where(*this)).one_or_none()
            if row is None:
                raise NoSuchAlert("there is no alert of this source and id")
            if row.resolution not in (None, resolution):
                raise InputError("the alert was resolved before, with another resolution")
            if row.resolution is None:
                now_ms = self._now_ms()
                connection.execute(
                    alerts.update()
                    .where(*this)
                    .values(resolution=resolution, resolved_by=who, resolved_ms=now_ms)
                )
                _close(connection, source, identifier, None, (resolution, who, now_ms))
                _count_change(connection, head)
            return read_kept(connection, connection.execute(sa.select(alerts).where(*this)).all())[
                0
            ]

    def close_follow_up(
        self, source: str, identifier: str, follow_up: FollowUp, resolution: str, by: str
    ) -> None:
        """Close one thing that follows from an alert; the alert stays open.

        Raises:
            NoSuchAlert: it is not open.
        """
        check_text("resolution", resolution, 1, MOST_RESOLUTION_SIGNS)
        _check_sought("source", source)
        _check_sought("id", identifier)
        who = check_who(by)
        with self._database.writing() as connection:
            head = locked_head(connection, PART)
            how = (resolution, who, self._now_ms())
            if not _close(connection, source, identifier, follow_up, how):
                raise NoSuchAlert(f"there is no open {follow_up} of this source and alert")
            _count_change(connection, head)

    def open_follow_ups(self, follow_up: FollowUp | None = None) -> tuple[int, list[OpenFollowUp]]:
        """The number of changes so far, and what is open, the earliest due first."""
        query = sa.select(follow_ups).where(follow_ups.c.closed_ms.is_(None))
        if follow_up is not None:
            query = query.where(follow_ups.c.follow_up == str(follow_up))
        query = query.order_by(
            follow_ups.c.due_ms.nulls_last(), follow_ups.c.opened_ms, follow_ups.c.id
        )
        with self._database.reading() as connection:
            changes = read_head(connection, PART).length
            return changes, [
                OpenFollowUp(
                    source=str(row.source),
                    id=str(row.id),
                    follow_up=FollowUp(row.follow_up),
                    borrower_key=str(row.borrower_key),
                    opened_ms=int(row.opened_ms),
                    due_ms=None if row.due_ms is None else int(row.due_ms),
                )
                for row in connection.execute(query)
            ]

    def changes(self) -> int:
        """How often alerts were stored or resolved: one small row."""
        with self._database.reading() as connection:
            return read_head(connection, PART).length

    def _follow(self, alert: IncomingAlert, now_ms: int) -> list[OpenFollowUp]:
        return [
            OpenFollowUp(
                alert.source,
                alert.id,
                follow_up,
                alert.borrower_key,
                now_ms,
                self.rules.due_ms(follow_up, now_ms),
            )
            for follow_up in self.rules.follow_ups[alert.kind, alert.severity]
        ]


def _check_sought(name: str, text: str) -> None:
    """Whether a database can look for it: no half surrogates, which no database takes, nor NUL."""
    if any(sign == "\0" or 0xD800 <= ord(sign) < 0xE000 for sign in text):
        raise InputError(f"'{name}' holds signs that are no text; give it in UTF-8")


_OTHER_CONTENT = "an alert with this id and other content is stored already; use another id"
_QUOTA_USED = "the source has reported its {:,} alerts of this day; report it again after midnight"


def _known_digests(
    connection: Connection, batch: Sequence[IncomingAlert]
) -> dict[tuple[str, str], str]:
    by_source: dict[str, list[str]] = {}
    for alert in batch:
        by_source.setdefault(alert.source, []).append(alert.id)
    found = {}
    for source, identifiers in by_source.items():
        query = sa.select(alerts.c.id, alerts.c.digest).where(
            alerts.c.source == source, alerts.c.id.in_(identifiers)
        )
        for row in connection.execute(query):
            found[source, str(row.id)] = str(row.digest)
    return found


def _count_change(connection: Connection, head: Head) -> Head:
    counted = Head(head.length + 1, GENESIS)  # alerts have no event record
    write_head(connection, PART, counted)
    return counted


def _close(
    connection: Connection,
    source: str,
    identifier: str,
    follow_up: FollowUp | None,
    how: tuple[str, str, int],
) -> int:
    resolution, who, now_ms = how
    change = follow_ups.update().where(
        follow_ups.c.source == source,
        follow_ups.c.id == identifier,
        follow_ups.c.closed_ms.is_(None),
    )
    if follow_up is not None:
        change = change.where(follow_ups.c.follow_up == str(follow_up))
    values = {"closed_ms": now_ms, "closed_by": who, "resolution": resolution}
    return int(connection.execute(change.values(**values)).rowcount)


def _row(alert: IncomingAlert, now_ms: int) -> dict[str, Any]:
    return {
        "source": alert.source,
        "id": alert.id,
        "borrower": alert.borrower,
        "borrower_key": alert.borrower_key,
        "kind": str(alert.kind),
        "severity": str(alert.severity),
        "observed_ms": alert.observed_ms,
        "received_ms": now_ms,
        "detail": alert.detail,
        "subject": alert.subject,
        "digest": alert.digest,
    }


def _follow_up_row(opened: OpenFollowUp) -> dict[str, Any]:
    return {
        "source": opened.source,
        "id": opened.id,
        "follow_up": str(opened.follow_up),
        "borrower_key": opened.borrower_key,
        "opened_ms": opened.opened_ms,
        "due_ms": opened.due_ms,
    }

"""Alerts as the desk has them, and what is still to be done about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from server.desk.alerts.incoming import IncomingAlert
from server.desk.alerts.rules import AlertKind, FollowUp, Severity
from server.desk.alerts.schema import follow_ups


class NoSuchAlert(InputError):
    """There is no such alert, or no such follow-up of it."""


@dataclass(frozen=True)
class Outcome:
    """What became of an alert: stored (`refusal` is empty), now or before; or why not."""

    refusal: str = ""

    @property
    def stored(self) -> bool:
        """Whether the desk has it."""
        return not self.refusal


@dataclass(frozen=True)
class OpenFollowUp:
    """What is still to be done about a borrower.

    Attributes:
        source, id: of the alert.
        follow_up: what.
        borrower_key: the normalised id; shown to nobody but who asks for it.
        due_ms: of a limit review.
    """

    source: str
    id: str
    follow_up: FollowUp
    borrower_key: str = field(repr=False)
    opened_ms: int
    due_ms: int | None


@dataclass(frozen=True)
class KeptAlert:
    """An alert as the desk has it.

    Attributes:
        follow_ups: what follows, open or done.
        resolution, resolved_by: None while it is open.
    """

    alert: IncomingAlert = field(repr=False)
    received_ms: int
    follow_ups: tuple[FollowUp, ...]
    resolution: str | None
    resolved_by: str | None

    @property
    def state(self) -> str:
        """'open' or 'resolved'."""
        return "open" if self.resolution is None else "resolved"


@dataclass(frozen=True)
class Stored:
    """What came of storing some alerts.

    Attributes:
        outcomes: of each.
        opened: what follows from those that are new.
        before, changes: the counter of changes before and after.
    """

    outcomes: tuple[Outcome, ...]
    opened: tuple[OpenFollowUp, ...]
    before: int
    changes: int


def read_kept(connection: Connection, rows: Sequence[Any]) -> list[KeptAlert]:
    """Alerts from rows of their table, with what follows from them."""
    following: dict[tuple[str, str], list[FollowUp]] = {}
    by_source: dict[str, list[str]] = {}
    for row in rows:
        by_source.setdefault(str(row.source), []).append(str(row.id))
    for source, identifiers in by_source.items():
        query = sa.select(follow_ups.c.id, follow_ups.c.follow_up).where(
            follow_ups.c.source == source, follow_ups.c.id.in_(identifiers)
        )
        for found in connection.execute(query):
            following.setdefault((source, str(found.id)), []).append(FollowUp(found.follow_up))
    return [
        KeptAlert(
            alert=IncomingAlert(
                source=str(row.source),
                id=str(row.id),
                borrower=str(row.borrower),
                borrower_key=str(row.borrower_key),
                kind=AlertKind(row.kind),
                severity=Severity(row.severity),
                observed_ms=int(row.observed_ms),
                detail=str(row.detail),
                subject=str(row.subject),
            ),
            received_ms=int(row.received_ms),
            follow_ups=tuple(
                one for one in FollowUp if one in following.get((row.source, row.id), ())
            ),
            resolution=row.resolution,
            resolved_by=row.resolved_by,
        )
        for row in rows
    ]

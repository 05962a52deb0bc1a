"""How many alerts a source may still report today, counted in the database."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from server.desk.alerts.schema import sources


class Quotas:
    """Quotas of one transaction; days are counted from 1970, UTC."""

    def __init__(self, connection: Connection, per_day: int, day: int) -> None:
        self._connection = connection
        self._per_day = per_day
        self._day = day
        self._stored: dict[str, int] = {}
        self._taken: set[str] = set()

    def take(self, source: str) -> bool:
        """Take one, where there is one."""
        if source not in self._stored:
            query = sa.select(sources).where(sources.c.source == source)
            row = self._connection.execute(query).one_or_none()
            today = row is not None and row.day == self._day
            self._stored[source] = int(row.stored) if row is not None and today else 0
        if self._stored[source] >= self._per_day:
            return False
        self._stored[source] += 1
        self._taken.add(source)
        return True

    def write(self) -> None:
        """Store what was taken."""
        for source in self._taken:
            values = {"day": self._day, "stored": self._stored[source]}
            changed = self._connection.execute(
                sources.update().where(sources.c.source == source).values(**values)
            )
            if not changed.rowcount:
                self._connection.execute(sources.insert().values(source=source, **values))

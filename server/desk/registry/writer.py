"""One change of the registry: the tables, their history and the event record move together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from federation.record_chain import Entry, Head
from server.desk.registry.migrations import locked_head, write_head
from server.desk.registry.names import split_name
from server.desk.registry.records import Change, Stage
from server.desk.registry.schema import (
    PART,
    events,
    models,
    productions,
    routing,
    shadows,
    stages,
)


@dataclass
class Writer:
    """Works inside one transaction that holds the registry's lock.

    Attributes:
        who, why, now_ms: enter the history of whatever changes.
    """

    connection: Connection
    who: str
    why: str
    now_ms: int
    _head: Head = field(init=False)

    def __post_init__(self) -> None:
        """Wait for the lock."""
        self._head = locked_head(self.connection, PART)

    def event(self, change: Change, model: str, **content: Any) -> None:
        """Append to the record; the last thing of a change."""
        body = {
            "change": str(change),
            "model": model,
            "at_ms": self.now_ms,
            "by": self.who,
            "why": self.why,
        }
        head, entry = self._head.append(body | content)
        self._append(entry)
        write_head(self.connection, PART, head)
        self._head = head

    def stage_of(self, name: str) -> Stage:
        """A model's stage.

        Raises:
            InputError: there is no such model.
        """
        split_name(name)
        query = sa.select(models.c.stage).where(models.c.name == name)
        stage = self.connection.execute(query).scalar_one_or_none()
        if stage is None:
            raise InputError(f"the registry has no model '{name}'; `veilscore models list` does")
        return Stage(stage)

    def set_stage(self, name: str, stage: Stage) -> None:
        """Move a model, and remember who did."""
        self.connection.execute(
            models.update().where(models.c.name == name).values(stage=str(stage))
        )
        self.connection.execute(
            stages.insert().values(
                name=name, stage=str(stage), at_ms=self.now_ms, by=self.who, why=self.why
            )
        )

    def to_staging(self, name: str) -> None:
        """Take a model out of the archive, where it is there."""
        if self.stage_of(name) is Stage.ARCHIVED:
            self.set_stage(name, Stage.STAGING)

    def next_version(self, line: str) -> int:
        """The number of a line's next model."""
        query = sa.select(sa.func.max(models.c.version)).where(models.c.line == line)
        return int(self.connection.execute(query).scalar() or 0) + 1

    def name_of_digest(self, line: str, digest: str) -> str | None:
        """The model of a line with this digest."""
        query = sa.select(models.c.name).where(models.c.line == line, models.c.digest == digest)
        found = self.connection.execute(query).scalar_one_or_none()
        return None if found is None else str(found)

    def production_stack(self, line: str) -> list[tuple[int, str]]:
        """Ids and names of a line's productions that were not rolled back, the current one last."""
        query = (
            sa.select(productions.c.id, productions.c.name)
            .where(productions.c.line == line, productions.c.rolled_back_ms.is_(None))
            .order_by(productions.c.id)
        )
        return [(int(row.id), str(row.name)) for row in self.connection.execute(query)]

    def push_production(self, name: str) -> None:
        """Put a model on the stack."""
        line = split_name(name)[0]
        self.connection.execute(
            productions.insert().values(line=line, name=name, at_ms=self.now_ms)
        )

    def pop_production(self, identifier: int) -> None:
        """Mark a production as rolled back."""
        self.connection.execute(
            productions.update()
            .where(productions.c.id == identifier)
            .values(rolled_back_ms=self.now_ms)
        )

    def set_routing(self, line: str, **values: Any) -> None:
        """Change a line's routing."""
        changed = self.connection.execute(
            routing.update().where(routing.c.line == line).values(**values)
        )
        if not changed.rowcount:
            row = {"line": line, "share_millionths": 0, "epoch_key": b""} | values
            self.connection.execute(routing.insert().values(**row))

    def challenge_of(self, line: str) -> tuple[str | None, bytes]:
        """A line's challenger and the epoch's key."""
        query = sa.select(routing.c.challenger, routing.c.epoch_key).where(routing.c.line == line)
        row = self.connection.execute(query).one_or_none()
        return (None, b"") if row is None else (row.challenger, bytes(row.epoch_key))

    def shadows_of(self, line: str) -> list[str]:
        """A line's shadows."""
        query = sa.select(shadows.c.name).where(shadows.c.line == line)
        return [str(name) for name in self.connection.execute(query).scalars()]

    def end_roles(self, name: str) -> None:
        """Let a model be neither challenger nor shadow."""
        self.connection.execute(
            routing.update()
            .where(routing.c.challenger == name)
            .values(challenger=None, share_millionths=0, epoch_key=b"")
        )
        self.connection.execute(shadows.delete().where(shadows.c.name == name))

    def _append(self, entry: Entry) -> None:
        self.connection.execute(events.insert().values(place=entry.index, entry=entry.line()))

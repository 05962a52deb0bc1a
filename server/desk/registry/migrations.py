"""Schema versions: each part of the desk's database goes forward step by step, never back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from federation.record_chain import GENESIS, Head
from server.desk.registry.database import Database

_metadata = sa.MetaData()
parts = sa.Table(
    "desk_parts",
    _metadata,
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("schema_version", sa.Integer, nullable=False),
    # Counts committed changes, so that a process sees with one row that there is something new.
    sa.Column("changes", sa.BigInteger, nullable=False),
    sa.Column("head", sa.Text, nullable=False),  # digest of the last event, where there are events
)
# Any number of PostgreSQL's advisory locks will do, as long as all desks take the same.
_MIGRATION_LOCK = 7_205_759_403_792
_TYPES = {
    True: {
        "serial": "integer primary key autoincrement",
        "bytes": "blob",
        "bigint": "integer",
    },
    False: {
        "serial": "bigint generated always as identity primary key",
        "bytes": "bytea",
        "bigint": "bigint",
    },
}


@dataclass(frozen=True)
class Step:
    """One step forward; a step that was released is never changed.

    Attributes:
        both: statements for both databases; {serial}, {bytes} and {bigint} stand for types.
        sqlite, postgresql: statements for one of them.
    """

    both: tuple[str, ...]
    sqlite: tuple[str, ...] = ()
    postgresql: tuple[str, ...] = ()


def migrate(database: Database, part: str, steps: Sequence[Step]) -> None:
    """Bring a part's tables to this code's version; two processes may do it at once.

    Raises:
        InputError: the tables are of a newer version than the code.
    """
    with database.reading() as connection:
        if _version(connection, part, len(steps)) == len(steps):
            return
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        _metadata.create_all(connection)
        version = _version(connection, part, len(steps))
        if version == 0:
            row = {"part": part, "schema_version": 0, "changes": 0, "head": GENESIS}
            connection.execute(parts.insert().values(row))
        for step in steps[version:]:
            own = step.sqlite if database.is_sqlite else step.postgresql
            for statement in step.both:
                connection.exec_driver_sql(_with_types(statement, database.is_sqlite))
            for statement in own:
                connection.exec_driver_sql(statement)
        connection.execute(
            parts.update().where(parts.c.part == part).values(schema_version=len(steps))
        )


def locked_head(connection: Connection, part: str) -> Head:
    """How many changes a part has seen, and its last event; nobody else changes it meanwhile."""
    return _head(connection, part, lock=True)


def read_head(connection: Connection, part: str) -> Head:
    """How many changes a part has seen, and its last event."""
    return _head(connection, part, lock=False)


def write_head(connection: Connection, part: str, head: Head) -> None:
    """Store it, as the last thing of a transaction."""
    connection.execute(
        parts.update().where(parts.c.part == part).values(changes=head.length, head=head.digest)
    )


def _head(connection: Connection, part: str, *, lock: bool) -> Head:
    query = sa.select(parts.c.changes, parts.c.head).where(parts.c.part == part)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise InputError(f"the desk's database has lost the row of '{part}' in desk_parts")
    return Head(int(row.changes), str(row.head))


def _version(connection: Connection, part: str, known: int) -> int:
    if not sa.inspect(connection).has_table(parts.name):
        return 0
    query = sa.select(parts.c.schema_version).where(parts.c.part == part)
    version = int(connection.execute(query).scalar_one_or_none() or 0)
    if version > known:
        raise InputError(
            f"the desk's database holds the tables of '{part}' in version {version}, and this "
            f"veilscore knows versions up to {known}; install the newer veilscore that wrote them"
        )
    return version


def _with_types(statement: str, is_sqlite: bool) -> str:
    for name, kind in _TYPES[is_sqlite].items():
        statement = statement.replace(f"{{{name}}}", kind)
    return statement

"""The telemetry database: SQLite with a write-ahead log that is synced at every commit, or
PostgreSQL. A URL, and what a driver says of it, appear in no sentence.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from iot.errors import StoreUnavailable
from iot.store.tables import METADATA

BUSY_SECONDS: Final = 30


class Database:
    """Connections to the telemetry database; the tables are made where they are missing.

    Args:
        url: of SQLAlchemy's form. A SQLite file is made with mode 0600.
        place: what errors call it, such as '--database'; the URL may hold a password.

    Raises:
        StoreUnavailable: the URL is of no known database, or it can't be opened.
    """

    def __init__(self, url: str, place: str = "--database") -> None:
        self._place = place
        parsed = _read_url(url, place)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self._make_file(parsed)
        try:
            self._engine: Engine = sa.create_engine(parsed, pool_pre_ping=True)
            if self.dialect == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
            METADATA.create_all(self._engine)
        except (SQLAlchemyError, ImportError) as error:
            raise self._unavailable(error) from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is committed, durably, when the block ends without an error.

        Raises:
            StoreUnavailable: the database did not take it; nothing of it was stored.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        self._engine.dispose()

    def _make_file(self, parsed: URL) -> None:
        if parsed.database in (None, "", ":memory:"):
            raise StoreUnavailable(f"{self._place} is a SQLite database without a file: name one.")
        path = Path(str(parsed.database))
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreUnavailable(
                f"{self._place}: '{path}' can't be opened ({error.strerror}); it must be a file "
                "that may be written."
            ) from None

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        kind = type(getattr(error, "orig", None) or error).__name__
        return StoreUnavailable(f"{self._place}: the telemetry database refused ({kind}).")


def _read_url(url: str, place: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, SQLAlchemyError):
        backend = ""
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed
    raise StoreUnavailable(f"{place} is no URL of a database: sqlite:///file or postgresql://….")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1_000}")
        connection.execute("PRAGMA journal_mode = WAL")
        # A committed batch is acknowledged to the broker, which forgets it then.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

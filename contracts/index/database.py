"""The index's database: SQLite with a write-ahead log, or PostgreSQL.

A URL, and what a driver says of it, appear in no sentence. Waits are bounded.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contracts.index.errors import DatabaseFailure, DatabaseUnavailable

CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 60
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Lock not available, statement cancelled, too many connections, server shutting down or starting,
# serialisation failures.
_PASSING_STATES = ("55P03", "57014", "53300", "57P01", "57P02", "57P03", "40001", "40P01")


class IndexDatabase:
    """Connections to one database; safe from several threads.

    Args:
        url: of SQLAlchemy's form. A SQLite file is made where it is missing, mode 0600.
        place: what errors call it, such as '--database'; the URL may hold a password.
        password_allowed: False where the URL was written where others can read it.
        must_exist: a SQLite file that is not there is an error.

    Raises:
        DatabaseFailure: the URL is of no known database, its driver is not installed, or its file
            can't be opened.
    """

    def __init__(
        self,
        url: str,
        place: str = "--database",
        *,
        password_allowed: bool = True,
        must_exist: bool = False,
    ) -> None:
        self._place = place
        parsed = _read_url(url, place)
        secrets = (parsed.password, *(parsed.query.get(key) for key in ("password", "sslpassword")))
        if any(secrets) and not password_allowed:
            raise DatabaseFailure(
                f"{place} holds a password, which every user of this machine can read in the list "
                "of processes; put the URL into the environment variable VEILSCORE_INDEX"
            )
        self.is_sqlite = parsed.drivername in _SQLITE
        if self.is_sqlite:
            _make_file(str(parsed.database), place, must_exist)
        self._engine = _engine(parsed, place, self.is_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One unchanging view of the database.

        Raises:
            DatabaseUnavailable: it does not answer now.
            DatabaseFailure: it refuses.
        """
        # SQLite's transactions are one view anyway.
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._transaction(options) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that ends in a commit, or leaves nothing; raises what `reading` does."""
        with self._transaction({"veilscore_writes": True}) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, options: dict[str, Any]) -> Iterator[Connection]:
        try:
            with self._engine.connect() as bare:
                connection = bare.execution_options(**options)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise _failure(error, f"the database of {self._place}") from None


def _read_url(text: str, place: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is not None and url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql+psycopg")
    if url is not None and url.drivername in _SQLITE and url.database not in (None, "", ":memory:"):
        return url
    raise DatabaseFailure(
        f"{place} holds no URL of a PostgreSQL or SQLite database; write "
        "postgresql://user:password@host/database (a password's special signs as %40 and so on) "
        "or sqlite:///index.db"
    )


def _make_file(path: str, place: str, must_exist: bool) -> None:
    """Make an empty SQLite file that only its owner reads.

    One that is there is not opened here: closing any descriptor of it would drop this process's
    locks on it (sqlite.org/howtocorrupt.html, 2.2).
    """
    if must_exist:
        if not Path(path).is_file():
            raise DatabaseFailure(
                f"{place}: there is no index at {path} yet; make one with `veilscore chain index`"
            )
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise DatabaseFailure(
            f"the database of {place} cannot be made ({error.strerror}); name a file in a folder "
            "that this process may write to"
        ) from None


def _engine(url: URL, place: str, is_sqlite: bool) -> Engine:
    arguments: dict[str, Any] = {"timeout": STATEMENT_SECONDS}
    if not is_sqlite:
        limit = 1000 * STATEMENT_SECONDS
        arguments = {
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            "client_encoding": "utf8",
            "application_name": "veilscore index",
            "options": f"-c statement_timeout={limit} -c lock_timeout={limit} "
            f"-c idle_in_transaction_session_timeout={3 * limit}",
        }
        for key in url.query:
            arguments.pop(key, None)  # what the URL says counts
    try:
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=2,
            max_overflow=2,
            pool_timeout=STATEMENT_SECONDS,
            pool_pre_ping=not is_sqlite,
            connect_args=arguments,
        )
    except ModuleNotFoundError:
        raise DatabaseFailure(
            f"{place} names a PostgreSQL database, and its driver is not installed; install "
            "veilscore with the extra 'sql': pip install 'veilscore[sql]'"
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    deadline = time.monotonic() + STATEMENT_SECONDS
    while True:  # of two processes that switch a new file at once, SQLite refuses one at once
        try:
            connection.execute("pragma journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
    # A killed process loses nothing. A power cut may take the last chunks back, whole ones, and
    # they are on the chain.
    connection.execute("pragma synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("veilscore_writes", False)
    # Deferred, two writers that have read before they write would make one of them fail.
    connection.exec_driver_sql("begin immediate" if writes else "begin")


def _failure(error: SQLAlchemyError, database: str) -> DatabaseFailure:
    """One sentence that repeats nothing of the driver's, which names hosts and values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _sqlite_failure(cause, database)
    state = getattr(cause, "sqlstate", None)
    if isinstance(error, PoolTimeout) or (state is not None and state in _PASSING_STATES):
        return DatabaseUnavailable(f"{database} is busy or going away; try again")
    if state in ("42501", "3F000"):
        return DatabaseFailure(
            f"{database}: its user lacks a right; let it make tables and write them"
        )
    # A refused login has no state that the driver passes on.
    if isinstance(error, OperationalError) and (state is None or state.startswith("08")):
        return DatabaseUnavailable(
            f"{database} cannot be reached or does not let this process in; check that it runs, "
            "its log, and host, user, password and options of the URL"
        )
    reason = type(cause).__name__ if state is None else f"SQLSTATE {state}"
    return DatabaseFailure(f"{database} refused a statement ({reason}); its log says more")


def _sqlite_failure(cause: sqlite3.Error, database: str) -> DatabaseFailure:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind
    if code in _BUSY:
        return DatabaseUnavailable(f"{database} is locked by another process; try again")
    sentences = {
        sqlite3.SQLITE_NOTADB: "is not an SQLite database; correct the URL",
        sqlite3.SQLITE_READONLY: "cannot be written; this process must own the file",
        sqlite3.SQLITE_CORRUPT: "is damaged; delete it and index again",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the file and its folder",
        sqlite3.SQLITE_FULL: "cannot be written, since the disk is full; make room",
    }
    if code in sentences:
        return DatabaseFailure(f"{database} {sentences[code]}")
    return DatabaseFailure(f"{database} refused a statement (SQLite's error {code})")

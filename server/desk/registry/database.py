"""The desk's database: SQLite or PostgreSQL, read in snapshots, written by one at a time.

A URL, and what a driver says of it, appear in no sentence and no log. Waits are bounded: a desk
that asks a database that hangs must hear so.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from clients.vault.private_files import make_private
from federation.errors import InputError
from server.desk.registry.settings import DatabaseAddress

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10
POOL_SIZE = 4
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Lock not available, statement cancelled, too many connections, server shutting down or starting.
_PASSING_STATES = ("55P03", "57014", "53300", "57P01", "57P02", "57P03", "40001", "40P01")


class DatabaseUnavailable(InputError):
    """The database does not answer now; the same may work later."""


class Database:
    """Connections to one database; safe from several threads.

    Args:
        address: where it is. A SQLite file is made where it is missing, mode 0600.

    Raises:
        InputError: the URL is of no known database, or its driver is not installed.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._place = address.place
        url = _read_url(address)
        self.is_sqlite = url.drivername in _SQLITE
        if self.is_sqlite:
            path = address.folder / str(url.database)
            _make_file(path, address.place)
            url = url.set(database=str(path))
        self._engine = _engine(url, address.place, self.is_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One unchanging view of the database."""
        with self._transaction({"isolation_level": "REPEATABLE READ"}) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that ends in a commit, or leaves nothing.

        On SQLite nobody else writes meanwhile; on PostgreSQL a caller locks a row first.
        """
        with self._transaction({"veilscore_writes": True}) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, options: Mapping[str, Any]) -> Iterator[Connection]:
        chosen = dict(options)
        if self.is_sqlite:
            chosen.pop("isolation_level", None)  # SQLite's transactions are serialisable
        try:
            with self._engine.connect() as bare:
                connection = bare.execution_options(**chosen)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._failure(error) from None

    def _failure(self, error: SQLAlchemyError) -> InputError:
        """One sentence that repeats nothing of the driver's, which names hosts and values."""
        database = f"the database of {self._place}"
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            return _sqlite_failure(cause, database)
        state = getattr(cause, "sqlstate", None)
        if isinstance(error, PoolTimeout) or (state is not None and state in _PASSING_STATES):
            return DatabaseUnavailable(f"{database} is busy or going away; try again")
        if state in ("42501", "3F000"):  # no right, or none to any schema
            return InputError(
                f"{database}: its user lacks a right; let it make tables, or grant it the desk's"
            )
        # A refused login has no state that the driver passes on.
        if isinstance(error, DBAPIError) and (state is None or state.startswith("08")):
            return DatabaseUnavailable(
                f"{database} cannot be reached or does not let this process in; check that it "
                "runs, its log, and host, user, password and options of the URL"
            )
        return InputError(f"{database} refused a statement (SQLSTATE {state}); its log says more")


def _read_url(address: DatabaseAddress) -> URL:
    try:
        url = make_url(address.url)
    except (ArgumentError, ValueError):
        url = None
    if url is not None and url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql+psycopg")
    if url is not None and url.drivername in _SQLITE and url.database not in (None, "", ":memory:"):
        return url
    raise InputError(
        f"{address.place} holds no URL of a PostgreSQL or SQLite database; write "
        "postgresql://user:password@host/database (a password's special signs as %40 and so on) "
        "or sqlite:///registry.db"
    )


def _make_file(path: Path, place: str) -> None:
    """Make an empty SQLite file that only its owner reads; its journals inherit the mode.

    One that is there must not be opened here: POSIX takes all of a process's locks on a file away
    when any descriptor of it is closed, those of connections that stand too. Another process would
    then take itself for the last one and clear the journal away under this one, which goes on
    reading what was, and writes what nobody finds again (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        make_private(path.parent)
        if path.exists():
            reason = _unusable(path)
        else:
            reason = ""
            with suppress(FileExistsError):  # another process was first
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason:
        raise InputError(
            f"the database of {place} cannot be opened or made ({reason}); it must be a "
            "file that this process owns, in a folder that it may write to"
        )


def _unusable(path: Path) -> str:
    """Why a path that is there can't be a database's file; empty where it can."""
    if path.is_dir():
        return os.strerror(errno.EISDIR)
    return "" if os.access(path, os.R_OK | os.W_OK) else os.strerror(errno.EACCES)


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
            "application_name": "veilscore desk",
            "options": f"-c statement_timeout={limit} -c lock_timeout={limit} "
            f"-c idle_in_transaction_session_timeout={3 * limit}",
        }
        for key in url.query:
            arguments.pop(key, None)  # what the URL says counts
    try:
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=STATEMENT_SECONDS,
            pool_pre_ping=not is_sqlite,
            connect_args=arguments,
        )
    except ModuleNotFoundError:
        raise InputError(
            f"{place} names a PostgreSQL database, and its driver is not installed; install "
            "veilscore with the extra 'sql': pip install 'veilscore[sql]'"
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    _use_write_ahead_log(connection)
    connection.execute("pragma synchronous = FULL")  # what is acknowledged outlives a power cut
    connection.execute("pragma foreign_keys = ON")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """With it, readers and the writer do not wait for each other.

    Two processes that switch a new file at once: SQLite refuses one of them without waiting, since
    both hold a lock that the other wants gone.
    """
    deadline = time.monotonic() + STATEMENT_SECONDS
    while True:
        try:
            connection.execute("pragma journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("veilscore_writes", False)
    # Deferred, two writers that have read before they write would make one of them fail.
    connection.exec_driver_sql("begin immediate" if writes else "begin")


def _sqlite_failure(cause: sqlite3.Error, database: str) -> InputError:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind
    if code in _BUSY:
        return DatabaseUnavailable(f"{database} is locked by another process; try again")
    sentences = {
        sqlite3.SQLITE_NOTADB: "is not an SQLite database; correct the URL",
        sqlite3.SQLITE_READONLY: "cannot be written; this process must own the file",
        sqlite3.SQLITE_CORRUPT: "is damaged; restore a copy",
        sqlite3.SQLITE_CONSTRAINT: "refused a change that its rules forbid",
    }
    if code in sentences:
        return InputError(f"{database} {sentences[code]}")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
        return DatabaseUnavailable(
            f"{database} cannot be read or written now; check the disk, the file and its folder"
        )
    return InputError(f"{database} refused a statement (SQLite's error {code})")

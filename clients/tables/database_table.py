"""A table or query of a PostgreSQL or SQLite database, read through a cursor of the server.

The transaction is read-only, and no more than a batch of rows is ever here. A wait is bounded: for
the connection, and for every answer. A URL, and what a driver says of it, appear in no sentence.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import quoted_name

from clients.cell_values import array_of
from clients.settings_file import suggest
from clients.source_settings import DatabaseSource
from clients.tables.database_failures import connection_failure, reading_failure
from clients.tables.silence import SilenceWatch
from federation.errors import InputError

BATCH_ROWS = 8192
CONNECT_SECONDS = 10
LOCK_SECONDS = 10.0
# One statement or batch; a view over many tables may take minutes to give its first row.
SILENCE_SECONDS = 600
# What the server's own limit gets before the connection is cut.
GRACE_SECONDS = 5
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")


class DatabaseTable:
    """Rows are named in the order in which the database gave them: 'row 3'.

    Args:
        source: which database, and which table or query.

    Raises:
        InputError: the URL is not there or is none of a known database, or its driver is not
            installed.
    """

    keeps_order = False
    decimal = "."

    def __init__(self, source: DatabaseSource) -> None:
        self._source = source
        self._rows_read = 0
        self._url = self._read_url()

    @property
    def place(self) -> str:
        """The manifest, and its table or query."""
        return self._source.place

    @cached_property
    def column_names(self) -> list[str]:
        """The columns, without reading a row."""
        statement: sa.Select[Any] = (
            sa.select(sa.literal_column("*")).select_from(self._selectable).limit(0)
        )
        with self.connection() as (connection, watch):
            with watch.waiting():
                result = connection.execute(statement)
            return [str(column[0]) for column in result.cursor.description]

    def hint(self, column: str) -> str:
        """Suggest a column."""
        return suggest(column, self.column_names)

    def row_name(self, position: int) -> str:
        """Name a row."""
        return f"row {position + 1}"

    def batches(
        self, columns: Sequence[str], texts: frozenset[str]
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read columns through a cursor of the server."""
        self._rows_read = 0
        wanted: list[sa.ColumnClause[Any]] = [
            sa.column(quoted_name(name, True)) for name in columns
        ]
        statement = sa.select(*wanted).select_from(self._selectable)
        with self.connection() as (connection, watch):
            with watch.waiting():
                result = connection.execution_options(
                    stream_results=True, yield_per=BATCH_ROWS
                ).execute(statement)
            while True:
                with watch.waiting():
                    rows = result.fetchmany(BATCH_ROWS)
                if not rows:
                    return
                cells = zip(columns, zip(*rows, strict=True), strict=True)
                arrays = [self._array(name, values) for name, values in cells]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))
                self._rows_read += len(rows)

    def _array(self, name: str, values: Sequence[object]) -> pa.Array:
        try:
            return array_of(values)
        except TypeError as error:
            raise InputError(
                f"{self.place}, column '{name}': holds values of type {error}; a column must hold "
                "text, numbers, truth values or dates"
            ) from None

    @property
    def _selectable(self) -> sa.FromClause:
        source = self._source
        if source.query is not None:
            # As a subquery it is one SELECT and nothing else. Colons are no parameters here.
            query = source.query.strip().rstrip(";").replace(":", "\\:")
            return sa.text(f"{query}\n").columns().subquery("source")
        schema, _, name = str(source.table).rpartition(".")
        return sa.table(
            quoted_name(name, True), schema=quoted_name(schema, True) if schema else None
        )

    def _read_url(self) -> URL:
        source = self._source
        text = source.url if source.url_env is None else os.environ.get(source.url_env, "").strip()
        if not text:
            raise InputError(
                f"{source.where} takes the database's URL from {source.url_place}, which is not "
                "set here; set it, for example to postgresql://user:password@host/database"
            )
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is not None and url.drivername in _POSTGRESQL:
            return url.set(drivername="postgresql+psycopg")
        if url is not None and url.drivername in _SQLITE and url.database not in (None, ":memory:"):
            return url
        raise InputError(
            f"{source.where}: {source.url_place} holds no URL of a PostgreSQL or SQLite database; "
            "write postgresql://user:password@host/database (a password's special signs as %40 "
            "and so on) or sqlite:///loans.db"
        )

    def _engine(self, watch: SilenceWatch) -> Engine:
        is_sqlite = self._url.drivername in _SQLITE
        options = {} if is_sqlite else {"use_native_hstore": False}
        try:
            engine = sa.create_engine(
                self._url, poolclass=NullPool, hide_parameters=True, **options
            )
        except ModuleNotFoundError:
            raise InputError(
                f"{self._source.where} names a PostgreSQL database, and its driver is not "
                "installed; install veilscore with the extra 'sql': pip install 'veilscore[sql]'"
            ) from None

        @sa.event.listens_for(engine, "do_connect")
        def connect(dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]) -> Any:
            if is_sqlite:
                return self._connect_sqlite()
            for key, value in _connection_defaults().items():
                cparams.setdefault(key, value)
            connection = dialect.connect(*cargs, **cparams)
            watch.watch(connection.fileno())
            return connection

        return engine

    def _connect_sqlite(self) -> sqlite3.Connection:
        path = self._source.path.parent / str(self._url.database)
        if not path.is_file():
            raise InputError(
                f"{self._source.where}: the SQLite file that {self._source.url_place} names is not "
                "there; write sqlite:///loans.db for a file beside this manifest, or "
                "sqlite:////data/loans.db for an absolute path"
            )
        return sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=LOCK_SECONDS
        )

    @contextmanager
    def connection(self) -> Iterator[tuple[Connection, SilenceWatch]]:
        """Hold a connection with a read-only transaction; what goes wrong becomes one sentence."""
        watch = SilenceWatch(SILENCE_SECONDS + GRACE_SECONDS)
        engine = self._engine(watch)
        try:
            try:
                with watch.waiting():
                    connection = engine.connect()
            except SQLAlchemyError as error:
                raise connection_failure(self._source, error, CONNECT_SECONDS) from None
            try:
                with watch.waiting():
                    _begin(connection)
                yield connection, watch
            except (SQLAlchemyError, UnicodeDecodeError) as error:
                raise reading_failure(
                    self._source,
                    error,
                    self._rows_read,
                    was_cut=watch.fired,
                    seconds=SILENCE_SECONDS,
                    known_tables=lambda: self._known_tables(connection),
                ) from None
            finally:
                with watch.waiting(), suppress(SQLAlchemyError):
                    connection.close()
        finally:
            watch.close()

    def _known_tables(self, connection: Connection) -> list[str]:
        """The tables to suggest one of; none where the database can't say."""
        schema = str(self._source.table).rpartition(".")[0] or None
        try:
            connection.rollback()
            inspector = sa.inspect(connection)
            names = inspector.get_table_names(schema) + inspector.get_view_names(schema)
        except SQLAlchemyError:
            return []
        return [f"{schema}.{name}" if schema else name for name in names]


def _begin(connection: Connection) -> None:
    """Begin a transaction that can only read; SQLite's files are opened so."""
    if connection.dialect.name != "postgresql":
        return
    connection.execution_options(postgresql_readonly=True)
    for setting in (
        f"statement_timeout = {1000 * SILENCE_SECONDS}",
        "timezone = 'UTC'",  # as text, a time must not depend on where the server stands
        "extra_float_digits = 3",  # servers before version 12 round floats otherwise
    ):
        connection.exec_driver_sql(f"set local {setting}")


def _connection_defaults() -> dict[str, object]:
    """What holds unless the URL says otherwise; a dead network is noticed within half a minute."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "client_encoding": "utf8",
        "application_name": "veilscore",
    }

"""What goes wrong with a database, in one sentence each.

What a driver says names hosts, users and values, so none of it is repeated; of a server's error
only its kind (SQLSTATE) is used. A server speaks its own language when it refuses a login: what
the driver itself found out is told apart, and the rest is a refusal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from clients.settings_file import suggest
from clients.source_settings import DatabaseSource
from federation.errors import InputError

KnownTables = Callable[[], list[str]]

# PostgreSQL's client library, in its own words.
_UNREACHABLE = (
    "refused",
    "resolve host",
    "translate host",
    "No such file",
    "unreachable",
    "no route",
)
_TLS = ("SSL", "certificate", "TLS")
_GONE = ("57P01", "57P02", "57P03")
_MISSING_NAME = ("42703", "42883", "42P01", "3F000")


def connection_failure(source: DatabaseSource, error: Exception, seconds: int) -> InputError:
    """Say why there is no connection.

    Args:
        source: the database.
        error: of SQLAlchemy.
        seconds: the longest wait for a connection.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    database = f"{source.where}: the database of {source.url_place}"
    if isinstance(cause, sqlite3.Error):
        return _sqlite_failure(source, cause, f"the database of {source.url_place}", "", list)
    words = str(cause).casefold()
    if "timeout" in type(cause).__name__.casefold() or "timeout expired" in words:
        return InputError(
            f"{database} does not answer within {seconds} seconds; check that it runs, the host "
            "and port in the URL, and firewalls on the way"
        )
    if any(sign.casefold() in words for sign in _UNREACHABLE):
        return InputError(
            f"{database} cannot be reached; check that it runs, and the host and port in the URL"
        )
    if "connection option" in words:
        return InputError(
            f"{database} cannot be reached, since its URL has an option behind '?' that does not "
            "exist; correct or remove it"
        )
    if any(sign.casefold() in words for sign in _TLS):
        return InputError(
            f"{database} and this process find no encrypted connection that both accept; check "
            "'sslmode' and 'sslrootcert' in the URL, and the server's certificate"
        )
    return InputError(
        f"{database} does not let this process in; check the user, the password and the name of "
        "the database in the URL, and the server's log"
    )


def reading_failure(
    source: DatabaseSource,
    error: Exception,
    rows: int,
    was_cut: bool,
    seconds: float,
    known_tables: KnownTables,
) -> InputError:
    """Say why a table or query can't be read, or no further.

    Args:
        source: the database.
        error: of SQLAlchemy, or of Python's decoding of text.
        rows: how many rows had come.
        was_cut: whether the connection was cut since no answer came.
        seconds: the longest wait for an answer.
        known_tables: gives those that the database has, to suggest one.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    after = f" after {rows} rows" if rows else ""
    database = f"the database of {source.url_place}"
    if was_cut or state == "57014":
        reason = "" if was_cut else ", or its administrator cancelled the reading"
        return InputError(
            f"{source.place}: {database} gave no answer for {seconds:g} seconds{after}{reason}; "
            "make the query simpler, or ask its administrator, and start again"
        )
    if isinstance(cause, UnicodeDecodeError) or "decode to UTF-8" in str(cause):
        return InputError(
            f"{source.place}: holds text that is not UTF-8{after}; correct it, or convert it in a "
            "'query'"
        )
    if isinstance(cause, sqlite3.Error):
        return _sqlite_failure(source, cause, database, after, known_tables)
    if state == "42P01" and source.table:
        return _missing_table(source, database, known_tables())
    if state == "42501":
        return InputError(
            f"{source.place}: its user may not read it; grant that user SELECT on it, and nothing "
            "more"
        )
    if state == "25006":
        return InputError(f"{source.place}: wants to write; it must only read")
    if state in _MISSING_NAME:
        return InputError(
            f"{source.place}: names a table, column or function that {database} does not have; "
            "correct the query"
        )
    if state is not None and state.startswith("42"):
        return InputError(
            f"{source.place}: is no SELECT that {database} understands (SQLSTATE {state}); correct "
            "the query"
        )
    if state == "40001":
        return InputError(
            f"{source.place}: the replica gave the reading up{after}, since it had to catch up "
            "with its primary; start again, or read from the primary"
        )
    if state is None and type(cause).__name__ == "DataError":
        return InputError(
            f"{source.place}: holds a value that cannot be read{after}, such as a date outside the "
            "years 1 to 9999 or 'infinity'; convert it to text in a 'query'"
        )
    if state is None or state in _GONE or state.startswith("08"):
        return InputError(
            f"{source.place}: {database} went away{after}; nothing of it was kept, so start again "
            "once it is back"
        )
    return InputError(
        f"{source.place}: {database} gave up{after} (SQLSTATE {state}); its log says more"
    )


def _missing_table(source: DatabaseSource, database: str, tables: list[str]) -> InputError:
    hint = suggest(str(source.table), tables)
    if not tables:
        hint = "its user can see no table; check the database's name in the URL, and the schema"
    return InputError(f"{source.place}: {database} has no such table; {hint}")


def _sqlite_failure(
    source: DatabaseSource,
    cause: sqlite3.Error,
    database: str,
    after: str,
    known_tables: KnownTables,
) -> InputError:
    # The low byte is the kind; the others say more than anybody needs.
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return InputError(
            f"{source.place}: {database} is locked by another process{after}; wait until that has "
            "written, or read a copy"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return InputError(f"{source.place}: {database} is not an SQLite database; correct the URL")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return InputError(
            f"{source.place}: {database} cannot be opened; this process must be allowed to read "
            "the file and its folder"
        )
    if code == sqlite3.SQLITE_READONLY:
        return InputError(f"{source.place}: wants to write; it must only read")
    # A statement's error can also come as one of a schema that has changed.
    if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA) or isinstance(
        cause, sqlite3.ProgrammingError
    ):
        if "no such table" in str(cause) and source.table:
            return _missing_table(source, database, known_tables())
        if "no such" in str(cause):
            return InputError(
                f"{source.place}: names a table, column or function that {database} does not "
                "have; correct the query"
            )
        return InputError(
            f"{source.place}: is no SELECT that {database} understands; correct the query"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return InputError(
            f"{source.place}: {database} cannot be read{after}; the SQLite file is damaged"
        )
    return InputError(
        f"{source.place}: {database} cannot be read{after} (SQLite's error {code}); check the file"
    )

"""A real PostgreSQL server: logins, rights, and a server that goes away or says nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clients.manifest import read_manifest
from clients.sources import load_table
from clients.tables import database_table
from federation.errors import InputError
from tests.clients.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer
from tests.clients.source_kinds import VARIABLE, load

MANIFEST = """
[party]
name = "platform"
role = "feature"
[source]
{source}
[ids]
column = "id"
[features]
amount = "numeric"
kind = "categorical"
"""
SQL = f'kind = "sql"\nurl_env = "{VARIABLE}"\n'
ROWS = 30_000


@pytest.fixture
def server(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """A server with a table of some batches, a schema, and the URL in its variable."""
    postgres.execute("drop schema if exists credit cascade; create schema credit")
    postgres.execute(
        "create table credit.borrowers as select 'b' || lpad(n::text, 6, '0') as id, n as amount, "
        f"chr(97 + n % 3) as kind from generate_series(1, {ROWS}) n; create sequence credit.s"
    )
    monkeypatch.setenv(VARIABLE, postgres.url)
    return postgres


def secret_free(text: str, server: PostgresServer) -> bool:
    """Say whether a text holds nothing of the URL."""
    secrets = (PASSWORD, QUOTED_PASSWORD, "tester", str(server.port), "127.0.0.1")
    return not any(secret in text for secret in secrets)


def test_a_large_table_comes_in_batches(server: PostgresServer, tmp_path: Path) -> None:
    """With its schema, through a cursor of the server; progress is told."""
    loaded = load(tmp_path, MANIFEST, SQL + 'table = "credit.borrowers"')
    assert loaded.row_count == ROWS
    assert loaded.identifiers[:2] == ("b000001", "b000002")
    assert loaded.features[0].values.tolist() == list(range(1, ROWS + 1))
    told: list[int] = []
    manifest = read_manifest(tmp_path / "manifest.toml")
    load_table(manifest, now=datetime(2026, 7, 1, tzinfo=UTC), on_progress=told.append)
    assert told == [8192, 16384, 24576, ROWS]


def test_types_that_only_a_database_has(server: PostgresServer, tmp_path: Path) -> None:
    """UUIDs, enumerations, fixed-length text, whole decimals, arrays nobody asked for."""
    server.execute(
        "create type credit.tier as enum ('basic', 'plus'); "
        "create table credit.odd as select "
        "'00000000-0000-0000-0000-00000000000' || n as text_id, "
        "('00000000-0000-0000-0000-00000000000' || n)::uuid as id, n::numeric as whole, "
        "(n / 10.0)::numeric(12, 4) as amount, 'plus'::credit.tier as kind, "
        "array[n] as list, 'x'::char(4) as fixed, now() as time from generate_series(1, 3) n"
    )
    loaded = load(tmp_path, MANIFEST, SQL + 'table = "credit.odd"')
    assert loaded.identifiers[0] == "00000000-0000-0000-0000-000000000001"
    assert loaded.features[0].values.tolist() == [0.1, 0.2, 0.3]
    assert loaded.features[1].values.tolist() == ["plus"] * 3
    query = "select whole as id, fixed as amount, timestamptz '2026-01-01 00:00+00' as kind"
    query += " from credit.odd"
    with pytest.raises(InputError, match="'amount': row 1 has text where a number must be"):
        load(tmp_path, MANIFEST, SQL + f'query = "{query}"')
    query = query.replace("fixed", "'NaN'::numeric")
    loaded = load(tmp_path, MANIFEST, SQL + f'query = "{query}"')
    assert loaded.identifiers == ("1", "2", "3")
    assert loaded.features[0].values.tolist() != loaded.features[0].values.tolist()  # NaN
    # The server lives in Tokyo.
    assert loaded.features[1].values.tolist() == ["2026-01-01 00:00:00+00:00"] * 3


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('table = "credit.borower"', "has no such table; did you mean 'credit.borrowers'?"),
        ('table = "none.borrowers"', "has no such table; its user can see no table; check the dat"),
        ('query = "select x from credit.borrowers"', "names a table, column or function that the"),
        ('query = "select id form credit.borrowers"', "is no SELECT that the database of the env"),
        ('query = "select 1) as x; commit; drop schema credit cascade; --"', "is no SELECT that"),
        ('query = "delete from credit.borrowers returning *"', "is no SELECT that the database"),
        ('query = "select nextval(\'credit.s\') as id, 1 as amount, 2 as kind"', "wants to write"),
        ('query = "select 1 / (n - 1) as id, 1 as amount, 2 as kind from generate_series(1,2) n"',
         "gave up (SQLSTATE 22012); its log says more"),
        ('query = "select id, id, amount, kind from credit.borrowers"', "has 2 columns named 'id'"),
        ('query = "select id, 1 as amount, date \'infinity\' as kind from credit.borrowers"',
         "holds a value that cannot be read, such as a date outside the years 1 to 9999"),
        ('query = "select id, \'{\\"k\\": 1}\'::jsonb as amount, kind from credit.borrowers"',
         "column 'amount': row 1 has a value of type struct where a number must be"),
    ],
)  # fmt: skip
def test_tables_and_queries_that_are_wrong(
    server: PostgresServer, tmp_path: Path, source: str, sentence: str
) -> None:
    """One sentence without the URL, and the database as it was."""
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, SQL + source)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert secret_free(str(error.value), server)
    assert server.execute("select count(*) from credit.borrowers") == [(ROWS,)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ((QUOTED_PASSWORD, "wrong"), "does not let this process in; check the user, the password"),
        (("tester:", "nobody:"), "does not let this process in; check the user, the password and"),
        (("/postgres", "/nothing"), "does not let this process in; check the user"),
        (("127.0.0.1", "nowhere.invalid"), "cannot be reached; check that it runs, and the host"),
        (("/postgres", "/postgres?sslmode=require"), "find no encrypted connection that both acc"),
        (("/postgres", "/postgres?nonsense=1"), "an option behind '?' that does not exist"),
    ],
)
def test_servers_that_cannot_be_used(
    server: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str],
    sentence: str,
) -> None:
    """The variable is named, nothing of the URL is."""
    monkeypatch.setenv(VARIABLE, server.url.replace(*change, 1))
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, SQL + 'table = "credit.borrowers"')
    assert f"[source]: the database of the environment variable '{VARIABLE}'" in str(error.value)
    assert sentence in str(error.value)
    assert secret_free(str(error.value), server)


def test_nobody_listens_and_somebody_who_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port is refused at once; a silent one after a bounded time."""
    monkeypatch.setattr(database_table, "CONNECT_SECONDS", 2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        monkeypatch.setenv(VARIABLE, f"postgresql://me:hunter2@127.0.0.1:{port}/db")
        with pytest.raises(InputError, match="cannot be reached; check that it runs, and the host"):
            load(tmp_path, MANIFEST, SQL + 'table = "t"')
        listener.listen()
        with pytest.raises(InputError, match="does not answer within 2 seconds; check") as error:
            load(tmp_path, MANIFEST, SQL + 'table = "t"')
    assert "hunter2" not in str(error.value)


def test_a_user_without_the_right_to_read(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SELECT is enough, and needed."""
    server.execute("drop role if exists reader")
    server.execute("create role reader login password 'r'; grant usage on schema credit to reader")
    login = f"tester:{QUOTED_PASSWORD}"
    monkeypatch.setenv(VARIABLE, server.url.replace(login, "reader:r"))
    source = SQL + 'table = "credit.borrowers"'
    with pytest.raises(InputError, match="its user may not read it; grant that user SELECT on it"):
        load(tmp_path, MANIFEST, source)
    server.execute("grant select on credit.borrowers to reader")
    assert load(tmp_path, MANIFEST, source).row_count == ROWS
    server.execute("drop owned by reader; drop role reader")


def interrupted(folder: Path, interrupt: Callable[[], object]) -> InputError:
    """Read, and do something to the server after the first batch; returns what is said of it."""
    path = folder / "manifest.toml"
    path.write_text(MANIFEST.replace("{source}", SQL + 'table = "credit.borrowers"'))
    told: list[int] = []

    def on_progress(rows: int) -> None:
        if not told:
            interrupt()
        told.append(rows)

    with pytest.raises(InputError) as error:
        load_table(
            read_manifest(path), now=datetime(2026, 7, 1, tzinfo=UTC), on_progress=on_progress
        )
    assert told == [8192]
    return error.value


READERS = "from pg_stat_activity where application_name = 'veilscore'"


def wait_until_alone(server: PostgresServer) -> None:
    """Wait until no reader is connected; a server takes a moment to notice."""
    while server.execute(f"select pid {READERS}"):
        time.sleep(0.02)


def test_a_server_that_goes_away_in_the_middle(
    server: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ended by its administrator, or crashed: one sentence, and the next reading works."""
    said = interrupted(
        tmp_path, lambda: server.execute(f"select pg_terminate_backend(pid) {READERS}")
    )
    assert "went away after 8192 rows; nothing of it was kept, so start again once" in str(said)
    with caplog.at_level(logging.DEBUG):
        said = interrupted(tmp_path, server.stop)
    try:
        assert "went away after 8192 rows" in str(said)
        assert secret_free(str(said), server)
        assert secret_free(caplog.text, server)
    finally:
        server.start()
    assert load(tmp_path, MANIFEST, SQL + 'table = "credit.borrowers"').row_count == ROWS
    wait_until_alone(server)


def test_a_reading_that_its_administrator_cancels(server: PostgresServer, tmp_path: Path) -> None:
    """A statement that waits for a lock is ended by the server's limit, or by hand."""
    holder = server.connect()
    holder.execute("begin; lock table credit.borrowers in access exclusive mode")
    cancel = threading.Timer(
        0.5, lambda: server.execute(f"select pg_cancel_backend(pid) {READERS}")
    )
    cancel.start()
    with holder, pytest.raises(InputError, match="or its administrator cancelled the reading; m"):
        load(tmp_path, MANIFEST, SQL + 'table = "credit.borrowers"')
    cancel.join()


def test_a_server_that_is_stuck(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel still answers keepalives, its process nothing: the wait is bounded here."""
    monkeypatch.setattr(database_table, "SILENCE_SECONDS", 1)
    monkeypatch.setattr(database_table, "GRACE_SECONDS", 0)
    pids: list[int] = []

    def freeze() -> None:
        pids.extend(pid for (pid,) in server.execute(f"select pid {READERS}"))
        os.kill(pids[0], signal.SIGSTOP)

    try:
        said = interrupted(tmp_path, freeze)
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert "gave no answer for 1 seconds after 8192 rows; make the query simpler" in str(said)
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, server.url)
    assert load(tmp_path, MANIFEST, SQL + 'table = "credit.borrowers"').row_count == ROWS


def test_a_wrong_value_lets_the_connection_go(server: PostgresServer, tmp_path: Path) -> None:
    """A reading that is given up leaves no connection behind (the wait would never end)."""
    server.execute("update credit.borrowers set kind = null where amount = 20000")
    query = "select id, case when amount = 20000 then 'old' else '1' end as amount, kind"
    with pytest.raises(InputError, match="'amount': row [0-9]+ has text where a number must be"):
        load(tmp_path, MANIFEST, SQL + f'query = "{query} from credit.borrowers"')
    wait_until_alone(server)

"""SQLite and URLs: what a manifest may say, and one sentence for every failure."""

from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.manifest import read_manifest
from clients.source_settings import DatabaseSource, FileSource, SourceKind, holds_password
from clients.tables import database_table, open_table
from federation.errors import InputError
from tests.clients.source_kinds import VARIABLE, load, write_sqlite

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
"""
SQLITE = 'kind = "sql"\nurl = "sqlite:///bank.db"\n'
TABLE = pa.table({"id": ["b", "a", "c"], "amount": [1, 2, 3]})


def source_of(folder: Path, source: str) -> FileSource | DatabaseSource:
    """What a manifest's [source] is read as."""
    path = folder / "manifest.toml"
    path.write_text(MANIFEST.replace("{source}", source), encoding="utf-8")
    return read_manifest(path).source


def test_a_manifest_names_a_database_without_its_password(tmp_path: Path) -> None:
    """The variable's name is all that is kept of the URL."""
    found = source_of(tmp_path, f'kind = "sql"\nurl_env = "{VARIABLE}"\ntable = "s.borrowers"')
    path = tmp_path / "manifest.toml"
    assert found == DatabaseSource(path, "source", VARIABLE, None, "s.borrowers", None)
    assert found.place == f"{path}, table 's.borrowers'"
    files = {
        'path = "a.csv"': SourceKind.CSV,
        'path = "a.parquet"': SourceKind.PARQUET,
        'path = "a"': SourceKind.PARQUET,
        'kind = "csv"\npath = "a.txt"': SourceKind.CSV,
    }
    for text, kind in files.items():
        file = source_of(tmp_path, text)
        assert isinstance(file, FileSource)
        assert file.kind is kind


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('kind = "sql"\ntable = "t"', "has neither 'url_env' nor 'url'; write exactly one of them"),
        (SQLITE + 'url_env = "X"\ntable = "t"', "has both 'url_env' and 'url'; write exactly"),
        (SQLITE, "has neither 'table' nor 'query'; write exactly one of them"),
        (SQLITE + 'table = "t"\nquery = "select 1"', "has both 'table' and 'query'; write exact"),
        ('path = "a.csv"\ntable = "t"', "has 'table', which is for a database; write kind = \"sql"),
        (
            SQLITE + 'table = "t"\npath = "a"',
            "has 'path', which is for a file, but kind is \"sql\"",
        ),
        ('kind = "xml"\npath = "a"', "has 'kind' as 'xml'; it must be one of"),
        (
            'kind = "sql"\nurl = "postgresql://me:hunter2@bank/db"\ntable = "t"',
            "has a password in 'url'; take it out of this file: put the URL into an environment",
        ),
        (
            'kind = "sql"\nurl = "postgresql://bank/db?user=me&password=hunter2"\ntable = "t"',
            "has a password in 'url'; take it out of this file",
        ),
        (
            'kind = "sql"\nurl_env = "postgresql://me:hunter2@bank/db"\ntable = "t"',
            "has 'url_env' as something else than a variable's name; write the name only",
        ),
    ],
)
def test_what_is_wrong_with_a_database_in_a_manifest(
    tmp_path: Path, source: str, sentence: str
) -> None:
    """One sentence that never repeats a URL."""
    with pytest.raises(InputError) as error:
        source_of(tmp_path, source)
    assert f"manifest.toml: [source] {sentence}" in str(error.value)
    assert "hunter2" not in str(error.value)


@given(password=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_password_is_noticed_however_it_is_written(password: str) -> None:
    """Quoted or not, and with any signs in it."""
    assert holds_password(f"postgresql://me:{password}@bank/db")
    assert holds_password(f"postgresql://bank/db?user=me&PassWord={password}")
    assert not holds_password("postgresql://me@bank:5432/db?sslmode=verify-full&passfile=/p")
    assert not holds_password("sqlite:////data/a:b@c.db")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "takes the database's URL from the environment variable 'BANK_DATABASE_URL', which"),
        ("", "which is not set here; set it, for example to postgresql://"),
        ("hunter2", "the environment variable 'BANK_DATABASE_URL' holds no URL of a PostgreSQL"),
        ("postgresql://me:hunter2@bank:port/db", "holds no URL of a PostgreSQL or SQLite data"),
        ("mysql://me:hunter2@bank/db", "holds no URL of a PostgreSQL or SQLite database; write"),
        ("postgresql+asyncpg://me:hunter2@bank/db", "holds no URL of a PostgreSQL or SQLite"),
        ("sqlite://", "holds no URL of a PostgreSQL or SQLite database"),
        ("sqlite:///hunter2.db", "the SQLite file that the environment variable 'BANK_DATABASE_UR"),
        ("sqlite:///text.db", "is not an SQLite database; correct the URL"),
    ],
)
def test_urls_that_serve_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, sentence: str
) -> None:
    """The variable is named, its content is not."""
    (tmp_path / "text.db").write_text("no database at all, but some text" * 9)
    monkeypatch.delenv(VARIABLE, raising=False)
    if url is not None:
        monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, f'kind = "sql"\nurl_env = "{VARIABLE}"\ntable = "t"')
    assert sentence in str(error.value)
    assert "hunter2" not in repr(error.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('table = "borower"', "the database of 'url' has no such table; did you mean 'borrowers'?"),
        ('query = "select form borrowers"', "column or function that the database of 'url' does"),
        ('query = "select x from borrowers"', "names a table, column or function that the data"),
        ('query = "select * from borrowers order"', "is no SELECT that the database of 'url' und"),
        ('query = "delete from borrowers"', "is no SELECT that the database of 'url' understands"),
        ('query = "select 1) as x; delete from borrowers; --"', "is no SELECT that the database"),
    ],
)
def test_tables_and_queries_that_are_wrong(tmp_path: Path, source: str, sentence: str) -> None:
    """The manifest's key is named, and what would be right."""
    write_sqlite(tmp_path / "bank.db", TABLE)
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, SQLITE + source)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"').row_count == 3


def test_a_query_may_be_anything_that_selects(tmp_path: Path) -> None:
    """With a closing semicolon, comments, colons, percent signs and an order of its own."""
    write_sqlite(tmp_path / "bank.db", TABLE)
    query = """with few as (select * from borrowers where id <> ':x' and id not like '%z')
select id, amount * 2 as amount, '12:30' as "t%s" from few order by amount desc -- :all
; """
    loaded = load(tmp_path, MANIFEST, SQLITE + f"query = '''{query}'''")
    assert loaded.identifiers == ("a", "b", "c")
    assert loaded.features[0].values.tolist() == [4, 2, 6]


def test_sqlite_is_opened_for_reading_only(tmp_path: Path) -> None:
    """A file nobody may write is read, in a folder with any signs in its name."""
    folder = tmp_path / "a?b #1 %41"
    folder.mkdir()
    write_sqlite(folder / "bank.db", TABLE)
    (folder / "bank.db").chmod(stat.S_IRUSR)
    before = (folder / "bank.db").read_bytes()
    assert load(folder, MANIFEST, SQLITE + 'table = "borrowers"').row_count == 3
    assert (folder / "bank.db").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["bank.db", "manifest.toml"]
    source = source_of(folder, SQLITE + 'table = "borrowers"')
    assert isinstance(source, DatabaseSource)
    table = database_table.DatabaseTable(source)
    with table.connection() as (connection, _), pytest.raises(sqlite3.OperationalError):
        connection.connection.cursor().execute("delete from borrowers")


def test_a_locked_file_is_waited_for_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that writes holds the file for a while."""
    monkeypatch.setattr(database_table, "LOCK_SECONDS", 0.1)
    write_sqlite(tmp_path / "bank.db", TABLE)
    writer = sqlite3.connect(tmp_path / "bank.db", isolation_level=None)
    writer.execute("begin exclusive")
    try:
        with pytest.raises(InputError, match="of 'url' is locked by another process; wait until"):
            load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"')
    finally:
        writer.close()
    assert load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"').row_count == 3


def test_values_that_sqlite_alone_can_hold(tmp_path: Path) -> None:
    """Bytes, and text that is none: refused without a value."""
    write_sqlite(tmp_path / "bank.db", TABLE)
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("update borrowers set amount = x'736563726574' where id = 'a'")
    with pytest.raises(InputError, match="'amount': (holds values|row 2 has a value) of type b"):
        load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"')
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("update borrowers set amount = cast(x'ff736563' as text) where id = 'a'")
    connection.close()
    with pytest.raises(InputError, match="holds text that is not UTF-8; correct it") as error:
        load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"')
    assert "\\xff" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "url", "sentence"),
    [
        ("psycopg", "postgresql://me@bank/db", "its driver is not installed; install veilscore"),
        ("sqlalchemy", "sqlite:///bank.db", "SQLAlchemy is not installed; install veilscore with"),
    ],
)
def test_what_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, url: str, sentence: str
) -> None:
    """The extra that brings it is named."""
    monkeypatch.setitem(sys.modules, module, None)
    if module == "sqlalchemy":
        monkeypatch.delitem(sys.modules, "clients.tables.database_table", raising=False)
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(InputError, match=sentence) as error:
        load(tmp_path, MANIFEST, f'kind = "sql"\nurl_env = "{VARIABLE}"\ntable = "t"')
    assert "pip install 'veilscore[sql]'" in str(error.value)


def test_a_database_of_many_rows_comes_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Types may differ from batch to batch."""
    monkeypatch.setattr(database_table, "BATCH_ROWS", 2)
    amounts = [1, 2, "3.5", None, 5.5]
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("create table borrowers (id, amount)")
        rows = [(str(n), amount) for n, amount in enumerate(amounts)]
        connection.executemany("insert into borrowers values (?, ?)", rows)
    connection.close()
    source = source_of(tmp_path, SQLITE + 'table = "borrowers"')
    batches = open_table(source).batches(["id", "amount"], frozenset())
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    loaded = load(tmp_path, MANIFEST, SQLITE + 'table = "borrowers"')
    assert loaded.features[0].values.tolist()[:3] == [1, 2, 3.5]


def test_consents_may_stand_in_a_database(tmp_path: Path) -> None:
    """[consent] names a source as [source] does."""
    write_sqlite(tmp_path / "bank.db", TABLE)
    consents = {
        "id": ["a", "b"],
        "purpose": ["p", "p"],
        "valid_until": ["2030-01-01", "2020-01-01"],
    }
    write_sqlite(tmp_path / "consents.db", pa.table(consents), "consents")
    more = '\n[consent]\npurpose = "p"\nkind = "sql"\nurl = "sqlite:///consents.db"\n'
    manifest = MANIFEST + more + 'table = "consents"\n'
    loaded = load(tmp_path, manifest, SQLITE + 'table = "borrowers"')
    assert loaded.identifiers == ("a",)
    with pytest.raises(InputError, match=r"table 'consent': the database of 'url' has no such tab"):
        load(tmp_path, MANIFEST + more + 'table = "consent"\n', SQLITE + 'table = "borrowers"')

"""A manifest whose source is the index of receivables on chain."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from clients.manifest import read_manifest
from clients.sources import PartyTable, load_table
from contracts.features import NAMES
from contracts.features.computing import features_of
from contracts.index import schema
from federation.errors import InputError
from tests.clients.postgres_server import PostgresServer
from tests.contracts.feature_log import CUT_AT, Log, account, days_before, due_on, facts_of

MANIFEST = """
[party]
name = "receivables"
role = "feature"
[source]
kind = "receivables"
url = "sqlite:///index.db"
as_of = 2026-01-01
borrowers = "accounts.csv"
borrower_column = "tax_id"
chain_id = 31337
[ids]
column = "tax_id"
[features]
outstanding = { kind = "numeric", unit = "cents", minimum = 0 }
on_time_share = "numeric"
debtors = "numeric"
"""
NEW_YEAR = datetime(2026, 1, 1, 8, tzinfo=UTC)
ADA, SECOND, BOB = account("ada"), account("ada-2"), account("bob")
ACCOUNTS = f"tax_id,account\n0042,{BOB}\n0007,{ADA}\n0007,{SECOND.lower()}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index with three accounts of two firms, and a manifest beside it."""
    log = Log()
    log.pay(log.confirm("core", "ada", 100, days_before(50), due_on(9)), 100, due_on(9))
    log.confirm("core", "ada-2", 300, days_before(20), due_on(-9))
    log.confirm("other", "ada", 50, days_before(20), due_on(-9))
    log.confirm("core", "bob", 70, days_before(20), due_on(-9))
    log.confirm("core", "bob", 1_000, CUT_AT + 3600, due_on(-19))
    log.index(tmp_path / "index.db", head=CUT_AT + 7200)
    (tmp_path / "manifest.toml").write_text(MANIFEST)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS)
    return tmp_path


def change(folder: Path, old: str, new: str) -> None:
    """Change the manifest."""
    path = folder / "manifest.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def loaded(folder: Path, now: datetime = NEW_YEAR) -> PartyTable:
    """The party's table."""
    return load_table(read_manifest(folder / "manifest.toml"), now=now)


def values(table: PartyTable) -> dict[str, list[float | None]]:
    """Features by name, None where one is missing."""
    return {
        column.spec.name: [None if np.isnan(cell) else cell for cell in column.values.tolist()]
        for column in table.features
    }


def refusal(folder: Path, now: datetime = NEW_YEAR) -> str:
    """Why the table is not loaded."""
    with pytest.raises(InputError) as error:
        loaded(folder, now)
    return str(error.value).replace(f"{folder}/", "")


def test_borrowers_have_the_features_of_all_their_accounts(folder: Path) -> None:
    """In the order of the table of accounts, and by its ids as they stand."""
    table = loaded(folder)
    assert table.identifiers == ("0042", "0007")
    assert values(table) == {
        "outstanding": [70.0, 350.0],
        "on_time_share": [None, 1.0],
        "debtors": [1.0, 2.0],
    }


def test_every_feature_can_be_declared_and_is_what_the_index_gives(folder: Path) -> None:
    """The table's columns are those of `contracts.features`."""
    declared = "\n".join(f'{name} = "numeric"' for name in NAMES)
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST.partition("[features]")[0] + "[features]\n" + declared)
    table = loaded(folder)
    firms = {BOB: "0042", ADA: "0007", SECOND: "0007"}
    expected = features_of(facts_of(folder / "index.db"), firms=firms)
    for column in table.features:
        np.testing.assert_array_equal(column.values, expected.columns[column.spec.name])


def test_as_of_today_is_the_day_of_the_run(folder: Path) -> None:
    """For serving: every reading of the table has newer features."""
    change(folder, "as_of = 2026-01-01", 'as_of = "today"')
    assert values(loaded(folder))["outstanding"] == [70.0, 350.0]
    assert values(loaded(folder, datetime(2025, 12, 2, tzinfo=UTC)))["outstanding"] == [0.0, 100.0]


def test_an_index_that_lags_behind_is_refused(folder: Path) -> None:
    """Scores of today must not be of what was known days ago."""
    change(folder, "as_of = 2026-01-01", 'as_of = "today"')
    assert refusal(folder, datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC)) == (
        "manifest.toml: [source]: the index has blocks up to 2026-01-01 02:00:00 UTC, and features "
        "as of 2026-01-02 need all blocks before that day; let the index catch up, or take an "
        "earlier date"
    )


def test_the_consent_of_a_borrower_may_stand_beside_its_accounts(folder: Path) -> None:
    """All further columns of the table of accounts are the party's own."""
    with (folder / "manifest.toml").open("a") as manifest:
        manifest.write('[consent]\npurpose = "scoring"\nvalid_until_column = "until"\n')
    lines = ACCOUNTS.splitlines()
    ends = ["until", "2025-12-31", "2026-12-31", "2026-12-31"]
    text = "\n".join(f"{line},{end}" for line, end in zip(lines, ends, strict=True))
    (folder / "accounts.csv").write_text(text)
    assert loaded(folder).identifiers == ("0007",)
    (folder / "accounts.csv").write_text(text.replace("2026-12-31", "2027-12-31", 1))
    assert refusal(folder) == (
        "accounts.csv, column 'until': row 3 (line 4) differs from row 2 (line 3), which is the "
        "same borrower's; all rows of a borrower must agree"
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (SECOND.lower(), ADA, "has the account of row 2 (line 3) again; an account belongs to one"),
        (SECOND.lower(), ADA.lower(), "row 3 (line 4) has the account of row 2 (line 3) again"),
        (BOB, BOB[:-1], "row 1 (line 2) has no address of an account; write 0x and 40 hex digits"),
        (
            BOB,
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "upper and lower case (EIP-55) does not fit",
        ),
        (BOB, "", "row 1 (line 2) has no address of an account; write 0x and 40 hex digits"),
        ("0042", "", "column 'tax_id': row 1 (line 2) has no id (it is empty or NaN); every row"),
        ("0042", " 0007", "row 1 (line 2) and row 2 (line 3) have the same id once normalised"),
        ("account", "address", "[source] 'account_column' is 'account', which accounts.csv does"),
        (BOB, account("nobody"), "the index never names the account of row 1 (line 2); correct it"),
    ],
)
def test_a_wrong_table_of_accounts_is_refused(
    folder: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the row, and what would be right."""
    (folder / "accounts.csv").write_text(ACCOUNTS.replace(old, new, 1))
    assert sentence in refusal(folder)


def test_borrowers_whom_the_chain_does_not_know_can_be_left_out(folder: Path) -> None:
    """They are absent then, as unknown borrowers of any other party."""
    (folder / "accounts.csv").write_text(ACCOUNTS.replace(BOB, account("nobody")))
    change(folder, "chain_id = 31337", 'unknown_accounts = "leave-out"')
    table = loaded(folder)
    assert table.identifiers == ("0007",)
    assert values(table)["outstanding"] == [350.0]


def test_an_account_that_came_to_the_chain_later_is_known_and_has_no_history(folder: Path) -> None:
    """It is there, so that a list of today's borrowers serves for training too."""
    change(folder, "as_of = 2026-01-01", "as_of = 2025-12-01")
    assert values(loaded(folder))["outstanding"] == [0.0, 100.0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("31337", "1", "[source] has 'chain_id' as 1, and the index is of chain 31337; name the"),
        ("2026-01-01", "2026-01-02", "features as of 2026-01-02 need all blocks before that day"),
        ("as_of = 2026-01-01", "", "lacks the key 'as_of'; write a date, as_of = 2026-01-31, or"),
        ("2026-01-01", "2026-01-01T12:00:00", "has 'as_of' as something else; write a date"),
        ("2026-01-01", '"yesterday"', "has 'as_of' as something else; write a date"),
        ('"accounts.csv"', '"accounts.xlsx"', "'borrowers' as a file of type '.xlsx'; it must end"),
        ("chain_id = 31337", 'token = "euro"', "[source] has 'token' as no address; write 0x"),
        ("chain_id = 31337", 'path = "x.csv"', "has 'path', which is for a file, but kind is"),
        ("chain_id = 31337", 'table = "loans"', "has 'table', which is for a table, but kind is"),
        ("chain_id = 31337", 'account_column = "tax_id"', "as both 'borrower_column' and 'account"),
        ("index.db", "nothing.db", "the SQLite file that 'url' names is not there"),
        ("index.db", "accounts.csv", "the database of 'url' is not an SQLite database; correct"),
        (
            "debtors =",
            "debtor =",
            "is 'debtor', which manifest.toml, receivables does not have",
        ),
        ('kind = "receivables"', 'path = "a.csv"', "has 'url', which is for a database; write"),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, old: str, new: str, sentence: str) -> None:
    """One sentence, which names the key."""
    change(folder, old, new)
    assert sentence in refusal(folder)


def test_a_database_that_is_no_index_is_refused(folder: Path) -> None:
    """Its tables are not the index's."""
    with sqlite3.connect(folder / "other.db") as connection:
        connection.execute("create table loans (id)")
    connection.close()
    change(folder, "index.db", "other.db")
    assert "has no such table; choose from 'loans'" in refusal(folder)


def test_an_index_of_another_version_or_without_a_block_is_refused(folder: Path) -> None:
    """Neither is read as if nothing had happened on chain."""
    with sqlite3.connect(folder / "index.db") as connection:
        connection.execute("update cursor set block_number = null")
    connection.close()
    assert "the index holds no block yet; run `veilscore chain index`" in refusal(folder)
    with sqlite3.connect(folder / "index.db") as connection:
        connection.execute("update cursor set version = 99")
    connection.close()
    assert "the index has version 99 of its tables" in refusal(folder)


def test_consents_do_not_lie_in_an_index(folder: Path) -> None:
    """A source of consents needs rows with ends."""
    with (folder / "manifest.toml").open("a") as manifest:
        manifest.write('[consent]\npurpose = "scoring"\nkind = "receivables"\n')
    assert "[consent] has 'kind' as \"receivables\", which holds no consents" in refusal(folder)


def test_an_index_in_postgresql_gives_the_same_features(
    folder: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit; the URL stays in the environment."""
    declared = "\n".join(f'{name} = "numeric"' for name in NAMES)
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST.partition("[features]")[0] + "[features]\n" + declared)
    expected = loaded(folder)
    url = postgres.url.replace("postgresql://", "postgresql+psycopg://")
    source, target = sa.create_engine(f"sqlite:///{folder}/index.db"), sa.create_engine(url)
    schema.metadata.drop_all(target)
    schema.metadata.create_all(target)
    with source.connect() as reading, target.begin() as writing:
        for table in schema.metadata.sorted_tables:
            rows = [row._asdict() for row in reading.execute(sa.select(table))]
            if rows:
                writing.execute(table.insert(), rows)
    source.dispose()
    target.dispose()
    monkeypatch.setenv("INDEX_DATABASE_URL", postgres.url)
    change(folder, 'url = "sqlite:///index.db"', 'url_env = "INDEX_DATABASE_URL"')
    found = loaded(folder)
    assert found.identifiers == expected.identifiers
    for one, other in zip(found.features, expected.features, strict=True):
        np.testing.assert_array_equal(one.values, other.values, err_msg=one.spec.name)

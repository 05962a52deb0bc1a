"""One table, written as every kind of source that a manifest can name."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from clients.manifest import read_manifest
from clients.sources import PartyTable, load_table
from tests.contracts.feature_log import Log, account, days_before, due_on

KINDS = ("csv", "parquet", "dataset", "sqlite", "postgresql", "receivables")
VARIABLE = "BANK_DATABASE_URL"
RECEIVABLES = (
    'kind = "receivables"\nurl = "sqlite:///index.db"\nas_of = 2026-01-01\n'
    'borrowers = "accounts.csv"\nborrower_column = "id"'
)
DATABASE = f'kind = "sql"\nurl_env = "{VARIABLE}"\ntable = "borrowers"'


def write_source(kind: str, table: pa.Table, folder: Path, request: pytest.FixtureRequest) -> str:
    """Write a table as one kind of source; returns what stands under [source]."""
    if kind == "csv":
        pa.csv.write_csv(table, folder / "borrowers.csv")
        return 'path = "borrowers.csv"'
    if kind == "parquet":
        pq.write_table(table, folder / "borrowers.parquet", row_group_size=3)
        return 'path = "borrowers.parquet"'
    if kind == "dataset":
        (folder / "borrowers").mkdir(exist_ok=True)
        for part, start in enumerate(range(0, max(table.num_rows, 1), 2)):
            pq.write_table(table.slice(start, 2), folder / "borrowers" / f"part-{part:05}.parquet")
        return 'path = "borrowers"'
    if kind == "receivables":
        write_receivables(folder, table)
        return RECEIVABLES
    set_variable = request.getfixturevalue("monkeypatch").setenv
    if kind == "sqlite":
        write_sqlite(folder / "bank.db", table)
        set_variable(VARIABLE, "sqlite:///bank.db")
    else:
        server = request.getfixturevalue("postgres")
        server.write("borrowers", table)
        set_variable(VARIABLE, server.url)
    return DATABASE


def write_receivables(folder: Path, table: pa.Table) -> None:
    """An index in which every row's account has a claim, and the rows beside their accounts."""
    log = Log()
    names = [f"firm-{row}" for row in range(table.num_rows)]
    for name in names:
        log.confirm("core", name, 100, days_before(9), due_on(-9))
    accounts = pa.array([account(name) for name in names], pa.string())
    pa.csv.write_csv(table.append_column("account", accounts), folder / "accounts.csv")
    (folder / "index.db").unlink(missing_ok=True)
    log.index(folder / "index.db")


def write_sqlite(path: Path, table: pa.Table, name: str = "borrowers") -> None:
    """Store a table; SQLite has no decimals, dates or truth values of its own."""
    names = [column.replace('"', '""') for column in table.column_names]
    columns = ", ".join(f'"{column}"' for column in names)
    marks = ", ".join("?" * len(names))
    with sqlite3.connect(path) as connection:
        connection.execute(f'drop table if exists "{name}"')
        connection.execute(f'create table "{name}" ({columns})')
        rows = [tuple(map(_cell, row.values())) for row in table.to_pylist()]
        connection.executemany(f'insert into "{name}" values ({marks})', rows)
    connection.close()


def _cell(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def load(folder: Path, manifest: str, source: str) -> PartyTable:
    """Write a manifest with its {source} and load the party's table."""
    path = folder / "manifest.toml"
    path.write_text(manifest.replace("{source}", source), encoding="utf-8")
    return load_table(read_manifest(path), now=datetime(2026, 7, 1, 12, tzinfo=UTC))

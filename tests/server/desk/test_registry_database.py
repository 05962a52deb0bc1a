"""SQLite under several connections of one process: what another process does loses nothing."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from federation.errors import InputError
from server.desk.registry.database import Database
from tests.server.desk.databases import sqlite_address

PROGRAM = """
import sys
from pathlib import Path
from server.desk.registry.database import Database
from server.desk.registry.settings import DatabaseAddress

database = Database(DatabaseAddress("sqlite:///registry.db", "the test", Path(sys.argv[1])))
with database.writing() as connection:
    connection.exec_driver_sql("insert into notes values ('theirs')")
database.close()
"""


def notes(database: Database) -> list[str]:
    """What is in the table."""
    with database.reading() as connection:
        return sorted(connection.execute(sa.text("select text from notes")).scalars())


def test_another_process_that_comes_and_goes_loses_nothing(tmp_path: Path) -> None:
    """A desk has its models and its alerts in one file, by a connection each, and an operator's
    command ends beside it: both see what was written there, and it what they write."""
    address = sqlite_address(tmp_path)
    models = Database(address)
    with models.writing() as connection:
        connection.exec_driver_sql("create table notes (text text not null)")
    alerts = Database(address)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert notes(models) == notes(alerts) == ["theirs"]
    with models.writing() as connection:
        connection.exec_driver_sql("insert into notes values ('ours')")
    fresh = Database(address)
    assert notes(fresh) == ["ours", "theirs"]
    for database in (models, alerts, fresh):
        database.close()


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """A folder in its place; a fresh one is its owner's alone."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "registry.db").mkdir()
    with pytest.raises(InputError, match=os.strerror(errno.EISDIR)):
        Database(sqlite_address(tmp_path / "taken"))
    Database(sqlite_address(tmp_path)).close()
    assert stat.S_IMODE((tmp_path / "registry.db").stat().st_mode) == 0o600

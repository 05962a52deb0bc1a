"""Databases for the desk's tests: SQLite, and a real PostgreSQL server."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.desk.registry.settings import DatabaseAddress
from tests.server.desk.databases import postgres_address, sqlite_address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseAddress:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return sqlite_address(tmp_path)
    return postgres_address(request.getfixturevalue("postgres"), tmp_path)

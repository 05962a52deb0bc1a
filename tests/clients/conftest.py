"""A PostgreSQL server, for the tests that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.postgres_server import PostgresServer, binaries, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server; `.ci/run` sees to it that PostgreSQL is installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server

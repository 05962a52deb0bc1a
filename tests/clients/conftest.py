"""What several files of tests share: a PostgreSQL server, and a trained federation of three."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.postgres_server import PostgresServer, binaries, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server; `.ci/run` sees to it that PostgreSQL is installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def trained_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The federation file of a bank and two partners with a run 'r1'; tests change copies of it."""
    from tests.clients.example_runs import run_all, three_parties

    config = three_parties(tmp_path_factory.mktemp("federation") / "all", "inner")
    run_all(config, "r1")
    return config.path

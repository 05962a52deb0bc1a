"""A trained federation that several files of tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The federation file of a bank and two partners with a run 'r1'; tests change copies of it."""
    from tests.clients.example_runs import run_all, three_parties

    config = three_parties(tmp_path_factory.mktemp("federation") / "all", "inner")
    run_all(config, "r1")
    return config.path

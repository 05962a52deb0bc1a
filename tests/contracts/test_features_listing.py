"""Definitions as a table, and features of an index on the command line."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from contracts.features import DEFINITIONS, NAMES, FeatureError, markdown_table
from contracts.features.cli import add_commands
from contracts.features.computing import features_of
from simulations.supply_chain import SupplyChainPlan, draw_supply_chain
from simulations.supply_chain_index import write_index
from tests.contracts.feature_log import account, facts_of


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a small supply chain."""
    path = tmp_path_factory.mktemp("index") / "index.db"
    write_index(draw_supply_chain(SupplyChainPlan(120, 5_000)), path)
    return path


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    """The command's status, what it printed, and what it raised."""
    app = typer.Typer()
    add_commands(app)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.exception


def test_every_feature_has_a_line_of_the_table() -> None:
    """Name, unit, definition and source; nothing in it breaks the table."""
    lines = markdown_table().splitlines()
    assert len(lines) == len(DEFINITIONS) + 2
    assert all(line.count("|") == 5 for line in lines)
    assert len(set(NAMES)) == len(NAMES)
    assert run("--definitions")[1] == markdown_table()


def test_values_stay_within_the_ranges_of_their_definitions(index: Path) -> None:
    """Over a whole simulated supply chain."""
    found = features_of(facts_of(index))
    for each in DEFINITIONS:
        values = [value for value in found.columns[each.name].tolist() if not math.isnan(value)]
        assert values, each.name
        assert each.minimum is None or min(values) >= each.minimum, each.name
        assert each.maximum is None or max(values) <= each.maximum + 1e-12, each.name


def test_features_are_printed_as_csv_and_as_json(index: Path) -> None:
    """The same values; what is missing is empty, or null."""
    rows = list(csv.DictReader(io.StringIO(run(str(index), "--as-of", "2026-01-01")[1])))
    objects = [
        json.loads(line)
        for line in run(str(index), "--as-of", "2026-01-01", "--json")[1].splitlines()
    ]
    assert len(rows) == len(objects) > 80
    for row, found in zip(rows, objects, strict=True):
        assert row["account"] == found["account"]
        for name in NAMES:
            value = found[name]
            assert row[name] == ("" if value is None else f"{value:.12g}")


def test_what_is_no_index_is_refused(index: Path, tmp_path: Path) -> None:
    """One sentence each."""
    other = tmp_path / "other.db"
    for arguments, sentence in (
        ((), "name the index and --as-of DATE, or ask for --definitions"),
        ((str(other), "--as-of", "2026-01-01"), "there is no such file"),
        ((str(index), "--as-of", "2026-06-01"), "features as of 2026-06-01 need all blocks"),
        ((str(index), "--as-of", "2026-01-01", "--token", "euro"), "--token is no address"),
    ):
        raised = run(*arguments)[2]
        assert isinstance(raised, FeatureError)
        assert sentence in str(raised)
    other.write_text("no database, whatever its name says")
    raised = run(str(other), "--as-of", "2026-01-01")[2]
    assert "cannot be read as an index" in str(raised)
    unknown = facts_of(index, date(2026, 1, 1), account("nobody"))
    assert features_of(unknown).suppliers == ()


def test_the_definitions_need_neither_web3_nor_a_database() -> None:
    """The package itself is light: manifests of other kinds load none of it."""
    code = (
        "import sys, clients.manifest, clients.tables, contracts.features;"
        "sys.exit(any(name in sys.modules for name in ('web3', 'sqlalchemy', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

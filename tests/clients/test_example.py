"""The example federation of `veilscore init`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.example import SHARED_FIRMS, write_example
from clients.federation_file import FederationConfig, read_federation
from clients.sources import PartyTable, load_table
from federation.errors import InputError

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """An example as a user gets it."""
    return read_federation(write_example(tmp_path_factory.mktemp("example") / "new" / "folder"))


def parties(example: FederationConfig) -> list[PartyTable]:
    """Load both parties' tables."""
    return [load_table(example.manifest_of(party.name), now=NOW) for party in example.parties]


def test_the_example_loads_and_its_borrowers_overlap(example: FederationConfig) -> None:
    """Ids match across the parties although they are not written alike."""
    bank, platform = parties(example)
    shared = set(bank.identifiers) & set(platform.identifiers)
    assert 0.95 * SHARED_FIRMS < len(shared) < SHARED_FIRMS
    assert any(identifier.startswith("0") for identifier in shared)
    assert bank.identifiers != platform.identifiers
    raw = (example.path.parent / "platform" / "merchants.csv").read_text()
    assert " ," in raw


def test_the_example_shows_what_real_tables_have(example: FederationConfig) -> None:
    """Sentinel codes, empty cells, categories, expired consents, few defaults."""
    bank, platform = parties(example)
    raw = (example.path.parent / "bank" / "borrowers.csv").read_text()
    assert "-999" in raw
    columns = {column.spec.name: column for column in (*bank.features, *platform.features)}
    assert 0 < np.isnan(columns["years_in_business"].values).mean() < 0.1
    assert 0 < np.isnan(columns["equity_ratio"].values).mean() < 0.2
    assert np.isnan(columns["turnover_q1"].values).any()
    assert set(columns["tier"].values.tolist()) == {"basic", "plus", "premium"}
    assert "expired" in platform.notes[0]
    assert bank.label is not None
    assert 0.05 < bank.label.mean() < 0.25


def test_the_partner_knows_something_that_the_bank_does_not(example: FederationConfig) -> None:
    """A simple score of the platform's columns ranks the bank's defaults."""
    bank, platform = parties(example)
    position = {identifier: row for row, identifier in enumerate(platform.identifiers)}
    rows = [row for row, identifier in enumerate(bank.identifiers) if identifier in position]
    at_platform = np.array([position[bank.identifiers[row]] for row in rows], dtype=np.uint32)
    assert bank.label is not None
    label = bank.label[rows].astype(bool)
    disputes = next(c for c in platform.rows(at_platform) if c.spec.name == "disputes")
    assert disputes.values[label].mean() > 1.3 * disputes.values[~label].mean()


def test_the_same_files_every_time_and_they_say_that_they_are_simulated(
    example: FederationConfig, tmp_path: Path
) -> None:
    """The example is seeded."""
    again = write_example(tmp_path).parent
    first = example.path.parent
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 5
    for name in names:
        assert (again / name).read_bytes() == (first / name).read_bytes()
    for party in ("bank", "platform"):
        assert "are simulated" in (first / party / "manifest.toml").read_text()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """Nothing of the user's is overwritten, and nothing is half-written."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; name a folder that is new or empty"):
        write_example(tmp_path)
    with pytest.raises(InputError, match="is a file; name a folder"):
        write_example(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

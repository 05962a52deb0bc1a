"""The example of several banks of `veilscore init`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.bank.horizontal_table import input_schema, load_bank_rows
from clients.federation_file import FederationConfig, Topology, read_federation
from clients.horizontal_example import BANKS, write_horizontal_example
from clients.sources import SplitPart
from federation.errors import InputError

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """An example as a user gets it."""
    folder = tmp_path_factory.mktemp("example") / "new" / "folder"
    return read_federation(write_horizontal_example(folder))


def test_three_banks_agree_on_their_inputs_and_differ_in_their_borrowers(
    example: FederationConfig,
) -> None:
    """One schema, fit for a private training; other rows, other default rates."""
    assert example.topology is Topology.HORIZONTAL
    assert example.simulated
    manifests = [example.manifest_of(party.name) for party in example.parties]
    assert len({input_schema(manifest, private=True).digest for manifest in manifests}) == 1
    rows = [load_bank_rows(manifest, example.split, now=NOW) for manifest in manifests]
    assert [len(bank.labels) for bank in rows] == [bank.rows for bank in BANKS]
    rates = [bank.labels.mean() for bank in rows]
    assert 0.1 < min(rates) < max(rates) - 0.05 < 0.3
    assert all(set(np.unique(bank.parts)) == set(SplitPart) for bank in rows)
    assert np.isnan(rows[0].columns["income"].values).any()


def test_the_history_says_something_of_the_default(example: FederationConfig) -> None:
    """Arrears of the last month rank the defaults at every bank."""
    for party in example.parties:
        rows = load_bank_rows(example.manifest_of(party.name), example.split, now=NOW)
        days = rows.columns["days_overdue_june"].values
        assert days[rows.labels == 1].mean() > 1.3 * days[rows.labels == 0].mean()


def test_the_same_files_every_time_and_they_say_that_they_are_simulated(
    example: FederationConfig, tmp_path: Path
) -> None:
    """The example is seeded, and writes into no folder in use."""
    again = write_horizontal_example(tmp_path).parent
    first = example.path.parent
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 7
    for name in names:
        assert (again / name).read_bytes() == (first / name).read_bytes()
    for party in example.parties:
        assert "are simulated" in party.manifest.read_text()
    with pytest.raises(InputError, match="is not empty; name a folder that is new or empty"):
        write_horizontal_example(tmp_path)

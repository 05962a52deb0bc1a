"""Scoring with a network that several banks trained."""

from __future__ import annotations

import csv
import stat
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.bank.horizontal_scoring import load_network, score_table
from clients.federation_file import FederationConfig
from clients.horizontal_plan import horizontal_plan
from clients.sources import load_table
from federation.errors import InputError
from federation.neural.models import build
from federation.neural.scaling import Scaling
from federation.neural.weights import NeuralModel, flatten
from simulations.prediction_run import predict_batch
from tests.clients.small_banks import NAMES, write_small_banks


@pytest.fixture
def banks(tmp_path: Path) -> FederationConfig:
    """Five banks, and at each the same network with weights that say something."""
    config = write_small_banks(tmp_path / "banks")
    plan = horizontal_plan(config, config.manifest_of(NAMES[0]))
    weights = flatten(build(plan.settings, plan.schema))
    weights += np.random.default_rng(2).normal(0, 0.5, len(weights)).astype(np.float32)
    scaling = Scaling.from_public_bounds(plan.schema)
    network = NeuralModel(plan.settings, plan.schema, scaling, weights)
    for name in NAMES:
        home = tmp_path / "banks" / "runs" / "trained" / name
        home.mkdir(parents=True)
        (home / "model.safetensors").write_bytes(network.to_bytes())
    return config


def test_every_bank_scores_its_own_table_alone(banks: FederationConfig) -> None:
    """Each gets a file of its own with its ids and the network's probabilities, mode 0600."""
    run = banks.output / "trained"
    figures = predict_batch(banks, run, None, lambda party, note: None)
    assert figures["scored"] == 1500
    assert set(figures["bytes"].values()) == {0}
    network = load_network(run / NAMES[1] / "model.safetensors")
    table = load_table(banks.manifest_of(NAMES[1]), now=datetime.now(UTC))
    expected = network.probabilities({c.spec.name: c for c in table.features})
    path = banks.output / figures["run"] / NAMES[1] / "scores.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = list(csv.DictReader(path.open()))
    assert [row["id"] for row in rows] == list(table.identifiers)
    found = np.array([float(row["probability_of_default"]) for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.std() > 0.01


def test_borrowers_to_score_need_no_outcome(banks: FederationConfig, tmp_path: Path) -> None:
    """Without the outcome's column the table is scored all the same."""
    manifest = banks.manifest_of(NAMES[0])
    lines = [line.split(",") for line in manifest.source.path.read_text().splitlines()]
    place = lines[0].index("defaulted")
    without = "\n".join(",".join(cells[:place] + cells[place + 1 :]) for cells in lines)
    manifest.source.path.write_text(without + "\n")
    model = banks.output / "trained" / NAMES[0] / "model.safetensors"
    assert score_table(manifest, model, tmp_path / "out") == 300


def test_what_is_no_network_or_another_table_is_one_sentence(
    banks: FederationConfig, tmp_path: Path
) -> None:
    """A missing or damaged network, or a column that is not there: nothing is written."""
    manifest = banks.manifest_of(NAMES[0])
    with pytest.raises(InputError, match=r"nothing.safetensors: there is no network"):
        score_table(manifest, tmp_path / "nothing.safetensors", tmp_path / "out")
    (tmp_path / "damaged.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    with pytest.raises(InputError, match=r"damaged.safetensors: model file"):
        score_table(manifest, tmp_path / "damaged.safetensors", tmp_path / "out")
    text = manifest.path.read_text().replace("income = {", "salary = {")
    manifest.path.write_text(text)
    table = manifest.source.path.read_text().replace("income", "salary", 1)
    manifest.source.path.write_text(table)
    model = banks.output / "trained" / NAMES[0] / "model.safetensors"
    with pytest.raises(InputError, match="'income'"):
        score_table(banks.manifest_of(NAMES[0]), model, tmp_path / "out")
    assert not (tmp_path / "out").exists()

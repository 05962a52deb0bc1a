"""The vertical neural trainings on a part of the UCI data, files to files, over the relay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from clients.disclosure_listing import read_disclosures
from clients.federation_file import FederationConfig, read_federation
from clients.vault import Vault, load_model
from federation.privacy.events import Exact, RandomisedResponse, Unit
from federation.report.render import render
from simulations.run_record import (
    ALONE,
    RunFigures,
    compare,
    metrics_json,
    probabilities,
    read_scores,
)
from simulations.run_report import report_input
from simulations.uci import write_parties
from tests.clients.example_runs import files_below, run_over_stream

pytestmark = pytest.mark.slow

BORROWERS = 5200
TRAININGS: list[dict[str, Any]] = [
    {"kind": "split", "exchanges": 5, "joint_exchanges": 1, "learning_rate": 0.005},
    {"kind": "split", "name": "quiet", "exchanges": 5, "label_epsilon": 4.0},
    {"kind": "blind"},
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """The demo's federation with its first borrowers only."""
    path = write_parties(tmp_path_factory.mktemp("uci"))
    bank, platform = path.parent / "bank" / "borrowers.csv", path.parent / "platform"
    text = pyarrow.csv.ConvertOptions(column_types={"borrower_id": pyarrow.string()})
    kept = pyarrow.csv.read_csv(bank, convert_options=text).slice(0, BORROWERS)
    pyarrow.csv.write_csv(kept, bank)
    table = pyarrow.parquet.read_table(platform / "customers.parquet")
    known = pyarrow.compute.is_in(table["customer_id"], kept["borrower_id"])
    pyarrow.parquet.write_table(table.filter(known), platform / "customers.parquet")
    return read_federation(path)


@pytest.fixture(scope="module")
def summaries(config: FederationConfig) -> dict[str, dict[str, Any]]:
    """A run with all three trainings, every party a process of its own."""
    return run_over_stream(config, "run-1", TRAININGS)


@pytest.fixture(scope="module")
def figures(config: FederationConfig, summaries: dict[str, dict[str, Any]]) -> RunFigures:
    """What the run's record and report are made of."""
    folder = config.output / "run-1"
    scores = read_scores(folder, "bank")
    fitted = read_scores(folder, "bank", "fit-scores.parquet")
    names = [str(training["name"]) for training in summaries["bank"]["trainings"]]
    return RunFigures(
        run="run-1",
        created=datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
        config=config,
        simulated=False,
        data_note="A part of UCI.",
        summaries=summaries,
        comparisons=compare(
            scores["label"],
            {name: probabilities(scores[name]) for name in names}
            | {ALONE: probabilities(scores["alone"])},
        ),
        probabilities={name: probabilities(scores[name]) for name in names},
        labels=scores["label"],
        fit_probabilities={name: probabilities(fitted[name]) for name in names},
        baselines=(),
        disclosures=read_disclosures(folder),
        bytes_sent={"bank": 1, "platform": 1},
        seconds={},
        transport="over the relay",
        fingerprints={"bank": "0123 4567", "platform": "89ab cdef"},
    )


def test_all_three_find_what_the_platform_knows(figures: RunFigures) -> None:
    """On a sixth of the data, each is far beyond the bank's own columns."""
    alone = figures.comparisons[ALONE].metrics.auc.value
    for name in ("split", "quiet", "blind"):
        assert figures.comparisons[name].metrics.auc.value > alone + 0.08


def test_every_party_keeps_its_own_networks(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """safetensors beside the JSON of models over bins, for its own eyes."""
    folder = config.output / "run-1"
    assert files_below(folder) == {
        "bank/disclosures.jsonl",
        "bank/fit-scores.parquet",
        "bank/model-blind.json",
        "bank/model-quiet.safetensors",
        "bank/model-split.safetensors",
        "bank/served-blind.json",
        "bank/test-scores.parquet",
        "platform/disclosures.jsonl",
        "platform/model-blind.json",
        "platform/model-blind.safetensors",
        "platform/model-quiet.safetensors",
        "platform/model-split.safetensors",
    }
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*/model-*")} == {0o600}
    part, encoder = load_model(folder / "platform" / "model-blind.json")
    assert encoder is not None
    assert (encoder.kind, part.training) == ("blind-encoder", "blind")
    network, none = load_model(folder / "bank" / "model-split.json")
    assert (network.party, none) == ("bank", None)


def test_the_ledger_holds_what_each_training_gave_away(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """True labels' gradients, labels flipped once, exact sums; entered by the label party."""
    vault = Vault(config.path.parent / "bank" / "vault")
    spent = vault.expenditures(Unit.LABEL, "bank:default")
    assert [one.event for one in spent] == [Exact(), RandomisedResponse(4.0), Exact()]
    assert not (config.path.parent / "platform" / "vault" / "ledger.jsonl").exists()


def test_no_figure_of_true_labels_leaves_under_label_privacy(
    summaries: dict[str, dict[str, Any]],
) -> None:
    """Neither a loss nor a validation AUC of the quiet training is told to the coordinator."""
    quiet = summaries["bank"]["trainings"][1]
    assert quiet["label_noise"]["mechanism"] == "randomised response"
    for figure in quiet["rounds"]:
        assert figure["training_loss"] is None
        assert figure["validation_auc"] is None


def test_record_and_report_can_be_made(figures: RunFigures, tmp_path: Path) -> None:
    """With a network as the main model: no shape, no importance, plain words of gradients."""
    record = json.loads(metrics_json(figures))
    learned = record["learned"]["platform"]
    assert any("gradient of its loss" in sentence for sentence in learned["learned"])
    assert record["test"]["federated_quiet"]["label_noise"]["epsilon"] == 4.0
    page = render(report_input(figures, figures.config.output / "run-1"))
    assert "split network, 5 exchanges, labels flipped once" in page
    assert "no importance a feature" in page

"""What a run leaves for machines: every key of `metrics.json`, and where its figures come from."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.disclosure_listing import read_disclosures
from clients.example import write_example
from clients.federation_file import read_federation
from clients.vault import load_part
from federation.metrics import auc
from simulations.run_importance import importances
from simulations.run_record import (
    ALONE,
    RunFigures,
    compare,
    giveaways,
    metrics_json,
    noise_words,
    probabilities,
    read_scores,
    sent_by_kind,
    words_by_party,
)
from tests.clients.example_runs import run_all

TRAININGS = [
    {"name": "quiet-labels", "label_epsilon": 1.5, "noisy_rounds": 2},
    {"name": "exact", "max_rounds": 3},
]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> RunFigures:
    """A run with two trainings, the noisy one first, without baselines."""
    config = read_federation(write_example(tmp_path_factory.mktemp("record") / "federation"))
    summaries = run_all(config, "run-1", TRAININGS)
    folder = config.output / "run-1"
    scores = read_scores(folder, "bank")
    fitted = read_scores(folder, "bank", "fit-scores.parquet")
    models = {name: probabilities(scores[name]) for name in ("quiet-labels", "exact")}
    models[ALONE] = probabilities(scores["alone"])
    logs = read_disclosures(folder)
    return RunFigures(
        run="run-1",
        created=datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
        config=config,
        simulated=True,
        data_note="Simulated firms.",
        summaries=summaries,
        comparisons=compare(scores["label"], models),
        probabilities=models,
        labels=scores["label"],
        fit_probabilities={name: probabilities(values) for name, values in fitted.items()},
        baselines=(),
        disclosures=logs,
        bytes_sent={
            party: sum(int(entry.body["bytes"]) for entry in log) for party, log in logs.items()
        },
        seconds={"alignment": 0.12345},
        transport="in one process",
        fingerprints={"bank": "0123 4567", "platform": "89ab cdef"},
    )


def test_the_record_says_what_was_reached_and_by_whom(figures: RunFigures) -> None:
    """'federated' is the exact training; the noisy one stands beside it with its ε."""
    record = json.loads(metrics_json(figures))
    assert record["run"] == "run-1"
    assert record["created"] == "2026-07-01T12:30:00+00:00"
    assert record["data"] == {"note": "Simulated firms.", "simulated": True}
    assert set(record["test"]) == {
        "federated",
        "federated_quiet_labels",
        "label_party_alone",
        "baselines",
    }
    exact, alone = figures.probabilities["exact"], figures.probabilities[ALONE]
    assert record["test"]["federated"]["auc"] == pytest.approx(auc(figures.labels, exact))
    assert record["test"]["label_party_alone"]["auc"] == pytest.approx(auc(figures.labels, alone))
    assert record["test"]["federated_quiet_labels"]["label_noise"]["epsilon"] == 1.5
    assert set(record["trainings"]) == {"quiet-labels", "exact"}
    assert record["rounds"]["quiet-labels"] == 2
    assert record["bytes"]["total"] == record["bytes"]["bank"] + record["bytes"]["platform"]
    assert record["seconds"]["alignment"] == 0.123
    assert record["privacy"]["releases"][0]["event"]["rho"] > 0
    assert record["privacy"]["releases"][1]["event"] == {"mechanism": "exact"}
    assert record["leakage"] == []
    assert "NaN" not in metrics_json(figures)


def test_the_exact_training_is_the_main_one_and_else_the_first(figures: RunFigures) -> None:
    """Whatever their order."""
    assert figures.main_training == "exact"
    bank = dict(figures.summaries["bank"])
    bank["trainings"] = [t for t in figures.trainings if t["label_noise"] is not None]
    assert replace(figures, summaries={"bank": bank}).main_training == "quiet-labels"


def test_an_epsilon_never_stands_alone(figures: RunFigures) -> None:
    """It has its δ, its unit and its scope; exact sums have none."""
    noisy, exact = figures.trainings
    assert noise_words(noisy) == (
        "ε = 1.5 at δ = 1e-05 per one borrower's label, this training alone"
    )
    assert noise_words(exact) is None


def test_what_was_sent_is_summed_by_kind_and_recipient(figures: RunFigures) -> None:
    """Nothing of the log is lost in the summary."""
    for party, log in figures.disclosures.items():
        kinds = sent_by_kind(log)
        assert sum(messages for _, _, messages, _ in kinds) == len(log)
        assert sum(size for _, _, _, size in kinds) == figures.bytes_sent[party]
        assert len({(kind, to) for kind, to, _, _ in kinds}) == len(kinds)
    assert sent_by_kind(()) == []


def test_what_each_side_learned_is_said_for_each(figures: RunFigures) -> None:
    """Three lists of sentences a party, none empty."""
    words = words_by_party(figures)
    assert list(words) == ["bank", "platform", "the coordinator"]
    for party in words.values():
        assert party.learned
        assert party.could_reconstruct
        assert party.never_saw


def test_additive_trainings_give_no_bins_away(figures: RunFigures) -> None:
    """Both rows say so, and tell exact sums from noisy ones."""
    given = giveaways(figures)
    assert list(given) == ["quiet-labels", "exact"]
    for one in given.values():
        assert one.rebuilt == ()
        assert one.not_rebuilt == "no sums over bins went to bank"
    assert given["exact"].of_labels.endswith("exact")
    assert given["quiet-labels"].of_labels.startswith("noisy")


def test_importance_goes_by_public_labels_only(figures: RunFigures) -> None:
    """A feature without a public label is a number in what others see."""
    found = importances(figures, figures.config.output / "run-1")
    names = {name for items in found.values() for name, _ in items}
    assert "share returned" in names
    assert "turnover (turnover_q1)" in names
    part = load_part(figures.config.output / "run-1" / "platform" / "model-exact.json")
    assert "tier" in {binning.feature for binning in part.binnings}
    assert "tier" not in names
    assert any(name.startswith("feature ") and name.endswith(" of platform") for name in names)
    assert all(value >= 0 for items in found.values() for _, value in items)


def test_scores_come_back_as_they_were_written(figures: RunFigures) -> None:
    """Log-odds, a column a model, with rows and labels."""
    scores = read_scores(Path(figures.config.output) / "run-1", "bank")
    assert set(scores) == {"row", "label", "alone", "quiet-labels", "exact"}
    assert np.isfinite(scores["exact"]).all()
    assert (scores["exact"] < 0).mean() > 0.5

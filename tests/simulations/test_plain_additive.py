"""The plaintext model, and sessions of two partners and one against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from federation.metrics import auc
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.vertical.borrowers import bin_floor
from simulations.plain_additive import fit_plain, one_hot_design, row_floor
from simulations.pooling import pool
from simulations.run_record import read_scores
from tests.clients.example_runs import run_all, run_over_stream, three_parties


def numeric(name: str, values: npt.NDArray[np.float64]) -> FeatureColumn:
    """A numeric column, everybody known."""
    present = np.ones(len(values), dtype=np.bool_)
    return FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), values, present)


@pytest.mark.parametrize("borrowers", [500, 4095, 4096, 5000, 24_000, 88_000, 500_000])
def test_the_floor_is_the_protocols(borrowers: int) -> None:
    """Two implementations, one number."""
    assert row_floor(borrowers) == bin_floor(borrowers)


def test_bins_hold_enough_borrowers_and_everybody_has_one() -> None:
    """Numbers, categories, missing and absent values, rare ones among them."""
    rows = 6000
    generator = np.random.default_rng(1)
    number = np.round(generator.exponential(size=rows), 1)
    number[generator.random(rows) < 0.1] = np.nan
    words = np.array(["a", "b", "c", None, "rare"], dtype=object)
    category = words[generator.choice(5, size=rows, p=[0.5, 0.3, 0.1, 0.098, 0.002])]
    present = generator.random(rows) < 0.8
    columns = [
        numeric("number", number),
        FeatureColumn(FeatureSpec("word", FeatureKind.CATEGORICAL), category, present),
        numeric("constant", np.ones(rows)),
    ]
    fit = generator.random(rows) < 0.8
    design = one_hot_design(columns, fit, 16)
    assert len(design.ordered) == 2  # a constant is left out
    assert (design.matrix.sum(axis=1) == 3).all()
    sizes = np.asarray(design.matrix[np.flatnonzero(fit)].sum(axis=0)).ravel()
    assert sizes.min() >= row_floor(int(fit.sum()))
    assert design.ordered[0] > 8
    assert design.ordered[1] == 0


def test_it_recovers_the_odds_that_made_the_data() -> None:
    """Additive odds, plenty of rows: the fitted log-odds lie close to the true ones."""
    rows = 40_000
    generator = np.random.default_rng(2)
    first, second = generator.normal(size=(2, rows))
    odds = -1.5 + np.sin(2 * first) + 0.5 * second**2 / (1 + second**2)
    label = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    fit = np.arange(rows) < 30_000
    design = one_hot_design([numeric("first", first), numeric("second", second)], fit, 32)
    model = fit_plain(design, label, fit, smoothness=0.01, ridge=1.0)
    assert model.iterations < 10
    assert np.abs(model.test_scores - odds[~fit]).mean() < 0.12
    best = auc(label[~fit], odds[~fit])
    assert auc(label[~fit], model.test_scores) == pytest.approx(best, abs=4e-3)


def plain_scores(
    config: FederationConfig, run: str, summaries: dict[str, dict[str, Any]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """(plaintext, federated) log-odds and labels of a run's test borrowers, in the run's order."""
    scores = read_scores(config.output / run, config.label_party.name)
    table = pool(config)
    in_test = np.isin(table.rows, scores["row"])
    training = summaries[config.label_party.name]["trainings"][0]
    bins = [training["settings"]["bins"]] * len(table.label_party)
    for party, columns in table.partners.items():
        bins += [summaries[party]["max_bins"][training["name"]]] * len(columns)
    last = training["rounds"][-1]
    model = fit_plain(
        one_hot_design([*table.label_party, *table.partner_columns], ~in_test, bins),
        table.label,
        ~in_test,
        smoothness=last["smoothness"],
        ridge=last["ridge"],
    )
    order = np.argsort(np.argsort(scores["row"]))
    return model.test_scores[order], scores[training["name"]], scores["label"]


def assert_alike(
    plain: npt.NDArray[np.float64], federated: npt.NDArray[np.float64], label: npt.NDArray[np.uint8]
) -> None:
    """The same model, but for where the iterations stopped."""
    assert auc(label, federated) == pytest.approx(auc(label, plain), abs=0.002)
    assert np.corrcoef(plain, federated)[0, 1] > 0.998


@pytest.mark.slow
def test_two_partners_over_the_stream_reach_the_pooled_model(tmp_path: Path) -> None:
    """Three processes, pairwise masks between the partners: the plaintext's scores come out."""
    config = three_parties(tmp_path / "f", "inner")
    summaries = run_over_stream(config, "run-1")
    assert len({summary["process"] for summary in summaries.values()}) == 3
    bank = summaries["bank"]
    assert bank["shared"]["telecom"] < bank["shared"]["platform"]
    assert bank["aligned"] < min(bank["shared"].values())  # what the bank learns is more
    plain, federated, label = plain_scores(config, "run-1", summaries)
    assert len(label) == bank["counts"]["test"]
    assert_alike(plain, federated, label)
    alone = read_scores(config.output / "run-1", "bank")["alone"]
    assert auc(label, federated) > auc(label, alone) + 0.05


def test_label_left_keeps_every_borrower_of_the_bank(tmp_path: Path) -> None:
    """Those that a partner does not know fall into its 'absent' bin, as in plaintext."""
    config = three_parties(tmp_path / "f", "label-left")
    summaries = run_all(config, "run-1")
    bank = summaries["bank"]
    assert bank["aligned"] == bank["rows"] == 6000
    assert summaries["telecom"]["known"] == bank["shared"]["telecom"] < 5600
    assert summaries["telecom"]["aligned"] == 6000
    assert_alike(*plain_scores(config, "run-1", summaries))


@pytest.mark.slow
def test_the_stream_and_one_process_train_the_same_model(tmp_path: Path) -> None:
    """The transport changes nothing but the random order of the alignment."""
    config = read_federation(write_example(tmp_path / "f"))
    told = {"memory": run_all(config, "memory"), "stream": run_over_stream(config, "stream")}
    scores = {run: read_scores(config.output / run, "bank") for run in told}
    by_row = {
        run: dict(zip(values["row"].tolist(), values["exact"].tolist(), strict=True))
        for run, values in scores.items()
    }
    assert by_row["memory"].keys() == by_row["stream"].keys()
    differences = [abs(by_row["memory"][row] - by_row["stream"][row]) for row in by_row["memory"]]
    assert max(differences) < 0.02
    assert told["memory"]["bank"]["counts"] == told["stream"]["bank"]["counts"]

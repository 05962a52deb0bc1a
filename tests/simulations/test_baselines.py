"""Plaintext baselines: what they reach on a simulated population, on one thread, reproducibly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from simulations.baselines import Baseline, Columns, fit_baselines, pooled_mlp

ROWS = 3_000


def numeric(name: str, values: npt.NDArray[np.float64]) -> FeatureColumn:
    """A numeric column in which every value is present."""
    return FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), values, np.ones(len(values), bool))


@pytest.fixture(scope="module")
def population() -> tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]]:
    """A bank that knows one driver of default, and a partner that knows the stronger one."""
    rng = np.random.default_rng(3)
    weak, strong = rng.normal(size=(2, ROWS))
    codes = rng.integers(0, 60, size=ROWS)
    logit = -1.5 + 0.5 * weak + 1.2 * strong + 0.8 * (codes == 0)
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
    categories = np.array([f"c{code}" for code in codes], dtype=object)
    categories[::50] = None
    present = np.ones(ROWS, dtype=bool)
    present[::40] = False
    with_gaps = np.where(rng.random(ROWS) < 0.1, np.nan, strong)
    partner = FeatureColumn(FeatureSpec("strong", FeatureKind.NUMERIC), with_gaps, present)
    tier = FeatureColumn(
        FeatureSpec("tier", FeatureKind.CATEGORICAL), categories, np.ones(ROWS, bool)
    )
    empty = numeric("empty", np.full(ROWS, np.nan))
    return [numeric("weak", weak), tier], [partner, empty], label


def fit(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> list[Baseline]:
    """Fit the baselines on the first 2,000 rows and score the others."""
    bank, partners, label = population
    train, test = np.arange(2_000), np.arange(2_000, ROWS)
    return fit_baselines(bank, partners, label, train_rows=train, test_rows=test)


def test_pooling_reaches_more_than_the_bank_alone(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> None:
    """Every model gains from the partner's column, and copes with gaps and rare categories."""
    baselines = fit(population)
    assert [baseline.columns for baseline in baselines] == [
        *[Columns.POOLED] * 5,
        *[Columns.LABEL_PARTY_ALONE] * 5,
    ]
    truth = population[2][2_000:]
    for pooled, alone in zip(baselines[:5], baselines[5:], strict=True):
        assert pooled.name == alone.name
        assert pooled.test_scores.shape == (1_000,)
        assert ((pooled.test_scores >= 0) & (pooled.test_scores <= 1)).all()
        gain = roc_auc_score(truth, pooled.test_scores) - roc_auc_score(truth, alone.test_scores)
        assert gain > 0.08, pooled.name
        assert pooled.seconds > 0


def test_the_same_seed_gives_the_same_scores(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> None:
    """Baselines are reproducible."""
    for one, other in zip(fit(population), fit(population), strict=True):
        np.testing.assert_array_equal(one.test_scores, other.test_scores)


def test_test_rows_teach_nothing(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> None:
    """Changing the labels and one value of the test rows leaves all other scores as they are."""
    bank, partners, label = population
    changed_label = label.copy()
    changed_label[2_000:] = 1 - changed_label[2_000:]
    values = bank[0].values.copy()
    values[2_000] = 1e6
    changed_bank = [numeric("weak", values), bank[1]]
    for one, other in zip(
        fit(population), fit((changed_bank, partners, changed_label)), strict=True
    ):
        np.testing.assert_allclose(one.test_scores[1:], other.test_scores[1:], atol=1e-9)


def test_a_bank_without_features_has_no_baseline_of_its_own(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> None:
    """Only pooled baselines are fitted where the label party holds labels alone."""
    _, partners, label = population
    baselines = fit(([], partners, label))
    assert {baseline.columns for baseline in baselines} == {Columns.POOLED}


def test_the_pooled_network_learns_repeats_and_sees_no_test_label(
    population: tuple[list[FeatureColumn], list[FeatureColumn], npt.NDArray[np.uint8]],
) -> None:
    """One baseline a seed, for the mean of their metrics; a few rows are enough to fit it."""
    bank, partners, label = population
    train, test = np.arange(2_000), np.arange(2_000, ROWS)
    columns = [*bank, *partners]
    found = pooled_mlp(columns, label, train_rows=train, test_rows=test, seeds=(0, 1))
    assert [(one.name, one.columns) for one in found] == [("MLP", Columns.POOLED)] * 2
    assert (found[0].test_scores != found[1].test_scores).any()
    for one in found:
        assert roc_auc_score(label[test], one.test_scores) > 0.7
    changed = label.copy()
    changed[test] = 1 - changed[test]
    (again,) = pooled_mlp(columns, changed, train_rows=train, test_rows=test, seeds=(1,))
    np.testing.assert_array_equal(again.test_scores, found[1].test_scores)
    few = np.r_[np.flatnonzero(label == 1)[:20], np.flatnonzero(label == 0)[:40]]
    (small,) = pooled_mlp(columns, label, train_rows=few, test_rows=test, seeds=(0,))
    assert np.isfinite(small.test_scores).all()

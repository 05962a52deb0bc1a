"""Metrics against scikit-learn and against slow, obvious implementations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_curve as sklearn_roc_curve

from federation import metrics
from federation.errors import InputError

Sample = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Labels of both classes and probabilities, often tied, sometimes exactly 0 or 1."""
    labels = draw(st.lists(st.integers(0, 1), min_size=2, max_size=60))
    labels[0], labels[1] = 0, 1
    probability = st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, allow_subnormal=False)
    )
    scores = draw(st.lists(probability, min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(scores)


def realistic(borrowers: int, seed: int, separation: float = 1.2) -> Sample:
    """Labels with about 22% defaults and scores that separate them somewhat."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(borrowers) < 0.22).astype(np.int64)
    logits = rng.normal(size=borrowers) + separation * labels - 1.5
    return labels, 1 / (1 + np.exp(-logits))


@given(samples())
def test_scalars_equal_scikit_learn(sample: Sample) -> None:
    """AUC, Gini, log-loss, Brier score and KS equal scikit-learn's, ties and extremes included."""
    labels, scores = sample
    area = roc_auc_score(labels, scores)
    assert metrics.auc(labels, scores) == pytest.approx(area, abs=1e-12)
    assert metrics.gini(labels, scores) == pytest.approx(2 * area - 1, abs=1e-12)
    assert metrics.log_loss(labels, scores) == pytest.approx(sklearn_log_loss(labels, scores))
    assert metrics.brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores))
    false_rate, true_rate, _ = sklearn_roc_curve(labels, scores)
    assert metrics.ks(labels, scores) == pytest.approx(np.abs(true_rate - false_rate).max())


@given(samples())
def test_auc_is_the_share_of_pairs_ranked_right(sample: Sample) -> None:
    """AUC equals the count of pairs where the defaulter scores above, ties counted half."""
    labels, scores = sample
    gap = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert metrics.auc(labels, scores) == pytest.approx(np.mean((gap > 0) + 0.5 * (gap == 0)))


@given(samples())
def test_roc_curve_encloses_the_auc(sample: Sample) -> None:
    """The full ROC curve runs from (0, 0) to (1, 1) and the area under it is the AUC."""
    curve = metrics.roc_curve(*sample)
    x, y = curve.false_positive_rate, curve.true_positive_rate
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(metrics.auc(*sample), abs=1e-12)


@given(samples(), st.integers(2, 12))
def test_thinned_curves_keep_their_ends_and_the_ks_gap(sample: Sample, points: int) -> None:
    """Thinning keeps the ends of both curves, and the KS curve still shows the whole distance."""
    roc = metrics.roc_curve(*sample, points)
    assert (roc.false_positive_rate[0], roc.true_positive_rate[-1]) == (0, 1)
    assert len(roc.false_positive_rate) <= points + 1
    curve = metrics.ks_curve(*sample, points)
    gaps = np.abs(curve.defaulted - curve.not_defaulted)
    assert gaps.max() == pytest.approx(metrics.ks(*sample))
    assert curve.distance == pytest.approx(metrics.ks(*sample))
    assert curve.at in curve.threshold
    assert (curve.defaulted[-1], curve.not_defaulted[-1]) == (1, 1)


def test_thinned_roc_curve_loses_next_to_no_area() -> None:
    """A curve thinned for drawing still encloses the AUC to three decimals."""
    labels, scores = realistic(6000, seed=1)
    curve = metrics.roc_curve(labels, scores, 240)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(metrics.auc(labels, scores), abs=5e-4)


@settings(deadline=None, max_examples=40)
@given(samples(), st.integers(0, 2**32))
def test_bootstrap_equals_resampling_row_by_row(sample: Sample, seed: int) -> None:
    """Intervals equal those of scikit-learn's metrics on explicitly redrawn borrowers."""
    labels, scores = sample
    resamples, n = 25, len(labels)
    estimates = metrics.bootstrap_intervals(labels, scores, resamples, seed=seed)
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    areas, losses, briers = [], [], []
    for rows in drawn:
        if 0 < labels[rows].sum() < n:
            areas.append(roc_auc_score(labels[rows], scores[rows]))
        losses.append(sklearn_log_loss(labels[rows], scores[rows], labels=[0, 1]))
        briers.append(np.mean((labels[rows] - scores[rows]) ** 2))
    for estimate, expected in (
        (estimates.auc, areas),
        (estimates.log_loss, losses),
        (estimates.brier, briers),
    ):
        if expected:
            low, high = np.quantile(expected, [0.025, 0.975])
            assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)
    assert estimates.auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert estimates.ks.value == pytest.approx(metrics.ks(labels, scores))


def test_bootstrap_ks_equals_resampling_row_by_row() -> None:
    """The KS interval equals that of KS recomputed on explicitly redrawn borrowers."""
    labels, scores = realistic(400, seed=2)
    scores = scores.round(2)
    estimate = metrics.bootstrap_intervals(labels, scores, 200, seed=5).ks
    drawn = np.random.default_rng(5).integers(0, 400, size=(200, 400))
    expected = np.quantile([metrics.ks(labels[r], scores[r]) for r in drawn], [0.025, 0.975])
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))


def test_auc_interval_has_delongs_width() -> None:
    """The bootstrap interval of the AUC is as wide as DeLong's standard error says (1988)."""
    labels, scores = realistic(6000, seed=3)
    estimate = metrics.bootstrap_intervals(labels, scores, 1000, seed=4).auc
    above = scores[labels == 1][:, None] > scores[labels == 0][None, :]
    of_defaulters, of_others = above.mean(axis=1), above.mean(axis=0)
    variance = of_defaulters.var(ddof=1) / len(of_defaulters)
    variance += of_others.var(ddof=1) / len(of_others)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.08)


def test_compared_models_share_their_resamples() -> None:
    """A model equals its own bootstrap, and the difference to a near twin is far tighter."""
    labels, scores = realistic(3000, seed=6)
    twin = np.clip(scores + np.random.default_rng(7).normal(0, 0.01, 3000), 0, 1)
    compared = metrics.compare_models(
        labels, {"reference": scores, "twin": twin, "tied": scores.round(1)}, "reference", seed=8
    )
    assert compared["twin"].metrics == metrics.bootstrap_intervals(labels, twin, seed=8)
    assert compared["reference"].difference.auc == metrics.Estimate(0, 0, 0)
    difference, own = compared["twin"].difference.auc, compared["twin"].metrics.auc
    assert difference.high - difference.low < 0.2 * (own.high - own.low)
    assert compared["tied"].difference.auc.value == pytest.approx(
        metrics.auc(labels, scores.round(1)) - metrics.auc(labels, scores)
    )


def test_bootstrap_is_deterministic_by_seed() -> None:
    """The same seed gives the same intervals, another seed others."""
    labels, scores = realistic(500, seed=9)
    first = metrics.bootstrap_intervals(labels, scores, 50, seed=1)
    assert first == metrics.bootstrap_intervals(labels, scores, 50, seed=1)
    assert first != metrics.bootstrap_intervals(labels, scores, 50, seed=2)


def test_estimate_reads_as_value_and_interval() -> None:
    """An estimate is written '0.768 [0.754, 0.782]'."""
    assert str(metrics.Estimate(0.7681, 0.754, 0.7824)) == "0.768 [0.754, 0.782]"


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 50, 0.04348, 0.21360)],
)
def test_wilson_interval_has_known_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    """Wilson intervals equal published values, and never leave 0..1."""
    found = metrics.wilson_interval([successes], [trials])
    assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=1e-4)


@given(samples(), st.integers(1, 12))
def test_calibration_bins_add_up(sample: Sample, bins: int) -> None:
    """Bins hold every borrower once, average to the overall rates, and contain their rate."""
    labels, scores = sample
    table = metrics.calibration(labels, scores, bins)
    n = table.borrowers.sum()
    assert n == len(labels)
    assert len(table.borrowers) <= bins
    assert (table.borrowers * table.observed).sum() / n == pytest.approx(labels.mean())
    assert (table.borrowers * table.predicted).sum() / n == pytest.approx(scores.mean())
    assert (table.low <= table.observed).all()
    assert (table.observed <= table.high).all()


@given(samples(), st.randoms(use_true_random=False))
def test_lift_adds_up_and_ignores_the_order_of_rows(sample: Sample, random: object) -> None:
    """Groups hold every default once, catch all in the end, and do not depend on row order."""
    labels, scores = sample
    groups = min(10, len(labels))
    table = metrics.lift(labels, scores, groups)
    assert table.borrowers.sum() == len(labels)
    assert table.defaults.sum() == pytest.approx(labels.sum())
    assert table.captured[-1] == pytest.approx(1)
    assert (table.lift * table.borrowers).sum() / len(labels) == pytest.approx(1)
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = metrics.lift(labels[order], scores[order], groups)
    assert shuffled.defaults == pytest.approx(table.defaults)


def test_lift_of_a_perfect_score_puts_all_defaults_first() -> None:
    """With a fifth defaulting and a perfect score, the first two deciles have lift 5."""
    labels = np.repeat([1, 0], [20, 80])
    table = metrics.lift(labels, np.linspace(1, 0, 100))
    assert table.lift.tolist() == [5, 5] + [0] * 8


@given(samples())
def test_score_distribution_sums_to_one_by_class(sample: Sample) -> None:
    """Each class's shares sum to one, scores of exactly 0 and 1 included."""
    shares = metrics.score_distribution(*sample)
    assert shares.defaulted.sum() == pytest.approx(1)
    assert shares.not_defaulted.sum() == pytest.approx(1)
    assert len(shares.edges) == len(shares.defaulted) + 1


def test_stability_tells_same_from_shifted() -> None:
    """The index is near zero for two draws of one distribution and large for a shifted one."""
    rng = np.random.default_rng(10)
    first, second = rng.beta(2, 6, 20_000), rng.beta(2, 6, 5_000)
    assert metrics.stability(first, second).index < 0.01
    assert metrics.stability(first, rng.beta(4, 6, 5_000)).index > 0.25
    assert metrics.stability(first, first).index == pytest.approx(0)


@given(samples(), samples())
def test_stability_is_never_negative_and_finite(first: Sample, second: Sample) -> None:
    """The index is a divergence: finite and not negative, with empty bins and ties too."""
    index = metrics.stability(first[1], second[1]).index
    assert np.isfinite(index)
    assert index >= -1e-12


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1, 2], [0.1, 0.2, 0.3], "label 2 at position 2"),
        ([0, 1], [0.1, float("nan")], "score nan at position 1"),
        ([0, 0], [0.1, 0.2], "0 of 2 borrowers defaulted"),
        ([1, 1], [0.1, 0.2], "2 of 2 borrowers defaulted"),
        ([0, 1], [0.1, 1.5], "score 1.5 at position 1"),
        ([0, 1], [0.1], "one number a borrower"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(
    labels: list[int], scores: list[float], words: str
) -> None:
    """Wrong labels, scores, lengths and one-class data are refused, naming the place."""
    with pytest.raises(InputError, match=words):
        metrics.log_loss(labels, scores)


def test_bootstrap_refuses_no_resamples_and_an_unknown_reference() -> None:
    """No resamples, or a reference that is not among the models, is refused."""
    with pytest.raises(InputError, match="at least 1"):
        metrics.bootstrap_intervals([0, 1], [0.1, 0.2], 0, seed=1)
    with pytest.raises(InputError, match="'absent' is not among model"):
        metrics.compare_models([0, 1], {"model": [0.1, 0.2]}, "absent", seed=1)

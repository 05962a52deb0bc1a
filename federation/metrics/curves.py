"""Curves and tables behind a report's figures: ROC, KS, calibration, lift, distribution, stability.

Results hold numpy vectors of equal length, one entry a point, bin or decile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.metrics.scalars import (
    FloatArray,
    checked,
    checked_probabilities,
    cumulative_counts,
)

_NORMAL_975 = 1.959963984540054  # 97.5% point of the standard normal distribution


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Share of defaulters found against share of others flagged, from (0, 0) to (1, 1)."""

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray


@dataclass(frozen=True, eq=False)
class KsCurve:
    """Cumulative share of each class with a score up to each threshold.

    Attributes:
        threshold: distinct scores, ascending.
        defaulted, not_defaulted: share of the class with a score ≤ threshold.
        distance, at: the largest gap between the two (KS), and its threshold.
    """

    threshold: FloatArray
    defaulted: FloatArray
    not_defaulted: FloatArray
    distance: float
    at: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted against observed default rate, by quantile bin of the score.

    Attributes:
        borrowers: borrowers in the bin.
        predicted: mean predicted probability.
        observed: share that defaulted.
        low, high: 95% Wilson interval of `observed`.
    """

    borrowers: npt.NDArray[np.int64]
    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class Lift:
    """Default rate by group of borrowers, riskiest scores first.

    Attributes:
        borrowers: borrowers in the group.
        defaults: defaults among them; a group of equal scores that crosses a border is shared out
            in proportion, so this may be fractional.
        rate: defaults / borrowers.
        lift: rate / overall default rate.
        captured: share of all defaults in this group and the riskier ones.
    """

    borrowers: npt.NDArray[np.int64]
    defaults: FloatArray
    rate: FloatArray
    lift: FloatArray
    captured: FloatArray


@dataclass(frozen=True, eq=False)
class ScoreDistribution:
    """Share of each class by bin of the score; bin i spans edges[i]..edges[i + 1]."""

    edges: FloatArray
    defaulted: FloatArray
    not_defaulted: FloatArray


@dataclass(frozen=True, eq=False)
class Stability:
    """Population stability index between training and test scores.

    Attributes:
        index: 0 for equal distributions; by convention below 0.10 is stable, above 0.25 shifted.
        edges: inner bin borders, quantiles of the training scores.
        training, test: share of borrowers by bin (one more than borders).
    """

    index: float
    edges: FloatArray
    training: FloatArray
    test: FloatArray


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, points: int | None = None) -> RocCurve:
    """The ROC curve; `points` thins it to about that many vertices for drawing.

    Raises:
        InputError: labels or scores are unusable.
    """
    _, defaulters, others = cumulative_counts(*checked(labels, scores))
    # From the riskiest score downwards: what is left above each threshold.
    found = np.append(0.0, (1 - np.append(0.0, defaulters[:-1]) / defaulters[-1])[::-1])
    flagged = np.append(0.0, (1 - np.append(0.0, others[:-1]) / others[-1])[::-1])
    keep = _thinned(found + flagged, points)
    return RocCurve(flagged[keep], found[keep])


def ks_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, points: int | None = None) -> KsCurve:
    """Both classes' cumulative distributions over the score; `points` thins them for drawing.

    Raises:
        InputError: labels or scores are unusable.
    """
    threshold, defaulters, others = cumulative_counts(*checked(labels, scores))
    defaulted, not_defaulted = defaulters / defaulters[-1], others / others[-1]
    widest = int(np.argmax(np.abs(defaulted - not_defaulted)))
    keep = np.union1d(_thinned(defaulted + not_defaulted, points), [widest])
    return KsCurve(
        threshold[keep],
        defaulted[keep],
        not_defaulted[keep],
        float(abs(defaulted[widest] - not_defaulted[widest])),
        float(threshold[widest]),
    )


def _thinned(progress: FloatArray, points: int | None) -> npt.NDArray[np.intp]:
    """Indices of vertices at even steps of a curve's ascending progress, both ends included."""
    last = len(progress) - 1
    if points is None or points > last:
        return np.arange(last + 1)
    steps = np.linspace(progress[0], progress[-1], max(points, 2))
    return np.union1d(np.minimum(np.searchsorted(progress, steps), last), [0, last])


def wilson_interval(
    successes: npt.ArrayLike, trials: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """95% score interval of a proportion (Wilson, JASA 22, 1927); keeps its shape near 0 and 1."""
    k = np.asarray(successes, dtype=np.float64)
    n = np.asarray(trials, dtype=np.float64)
    share, z2 = k / n, _NORMAL_975**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL_975 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


def calibration(labels: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 10) -> Calibration:
    """Predicted and observed default rate in `bins` quantile bins of the score (fewer under ties).

    Raises:
        InputError: labels or scores are unusable, or `bins` is below 1.
    """
    y, p = checked_probabilities(labels, scores)
    index = np.searchsorted(_quantile_borders(p, bins), p, side="left")
    borrowers = np.bincount(index)
    defaults = np.bincount(index, weights=y)
    predicted = np.bincount(index, weights=p)
    used = borrowers > 0
    borrowers, defaults, predicted = borrowers[used], defaults[used], predicted[used]
    low, high = wilson_interval(defaults, borrowers)
    return Calibration(
        borrowers.astype(np.int64), predicted / borrowers, defaults / borrowers, low, high
    )


def lift(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: int = 10) -> Lift:
    """Default rates by decile (or `groups` equal groups) of the score, riskiest first.

    Raises:
        InputError: labels or scores are unusable, or there are fewer borrowers than groups.
    """
    y, s = checked(labels, scores)
    if not 1 <= groups <= y.size:
        raise InputError(f"lift: {groups} groups of {y.size} borrowers; each needs at least one")
    order = np.argsort(-s, kind="stable")
    # Equal scores get their common default rate, so the result never depends on the row order.
    _, tie = np.unique(s, return_inverse=True)
    expected = (np.bincount(tie, weights=y) / np.bincount(tie))[tie][order]
    borders = np.linspace(0, y.size, groups + 1).round().astype(np.int64)
    borrowers = np.diff(borders)
    defaults = np.add.reduceat(expected, borders[:-1])
    rate = defaults / borrowers
    total = float(y.sum())
    return Lift(borrowers, defaults, rate, rate * y.size / total, np.cumsum(defaults) / total)


def score_distribution(
    labels: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 40
) -> ScoreDistribution:
    """Histogram over 0..1 of each class's probabilities, as shares of the class.

    Raises:
        InputError: labels or scores are unusable, or `bins` is below 1.
    """
    y, p = checked_probabilities(labels, scores)
    if bins < 1:
        raise InputError(f"score distribution: {bins} bins; there must be at least 1")
    edges = np.linspace(0.0, 1.0, bins + 1)
    defaulted = np.histogram(p[y == 1], edges)[0]
    others = np.histogram(p[y == 0], edges)[0]
    return ScoreDistribution(edges, defaulted / defaulted.sum(), others / others.sum())


def stability(
    training_scores: npt.ArrayLike, test_scores: npt.ArrayLike, bins: int = 10
) -> Stability:
    """Population stability index: Σ (test − training) · ln(test / training) over score bins.

    Bins are quantiles of the training scores. Half a borrower is added to every bin, so an empty
    one gives a finite index. Source: Siddiqi, Credit Risk Scorecards, 2006, chapter 6; it is the
    Jeffreys divergence of the two binned distributions (Yurdakul and Naranjo 2020).

    Raises:
        InputError: a side is empty or holds a score that is not finite, or `bins` is below 1.
    """
    training = np.asarray(training_scores, dtype=np.float64).ravel()
    test = np.asarray(test_scores, dtype=np.float64).ravel()
    for name, side in (("training", training), ("test", test)):
        if not side.size or not np.isfinite(side).all():
            raise InputError(f"stability: {name} scores must be finite numbers, at least one")
    borders = _quantile_borders(training, bins)
    before, after = (
        (counts + 0.5) / (counts + 0.5).sum()
        for counts in (
            np.bincount(np.searchsorted(borders, side, side="left"), minlength=borders.size + 1)
            for side in (training, test)
        )
    )
    index = float(np.sum((after - before) * np.log(after / before)))
    return Stability(index, borders, before, after)


def _quantile_borders(scores: FloatArray, bins: int) -> FloatArray:
    if bins < 1:
        raise InputError(f"quantile bins: {bins} asked for; there must be at least 1")
    return np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))

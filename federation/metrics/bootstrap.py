"""Percentile-bootstrap intervals of every metric, with one set of resamples for all models.

A resample is a vector of multinomial weights over the borrowers (Efron 1979). Scores are sorted
once; a resample then costs two cumulative sums. The weights depend on the number of borrowers
and the seed alone, so models measured on the same borrowers with the same seed share their
resamples and their differences are paired (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.metrics.scalars import (
    FloatArray,
    auc,
    brier,
    checked_probabilities,
    ks,
    log_loss,
    row_log_losses,
)

_LEVELS = (0.025, 0.975)
# Weights held at once: about 1 MB, so that a chunk stays in the processor's cache.
_CHUNK_WEIGHTS = 1 << 17


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95% interval; the text reads '0.768 [0.754, 0.782]'."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        """The interval alone, '[0.754, 0.782]'."""
        return f"[{self.low:.3f}, {self.high:.3f}]"

    def __str__(self) -> str:
        """Value and interval with three decimals."""
        return f"{self.value:.3f} {self.interval}"


@dataclass(frozen=True)
class MetricEstimates:
    """Every metric of one model (or the differences of two), each with its 95% interval."""

    auc: Estimate
    gini: Estimate
    ks: Estimate
    log_loss: Estimate
    brier: Estimate


@dataclass(frozen=True)
class Comparison:
    """A model's metrics, and how far they lie from the reference model's on the same resamples."""

    metrics: MetricEstimates
    difference: MetricEstimates


@dataclass(frozen=True)
class _Presorted:
    """What of a model does not change between resamples."""

    order: npt.NDArray[np.intp]  # borrowers by descending score
    defaulted: FloatArray  # labels in that order
    ends: npt.NDArray[np.intp] | None  # last position of each group of equal scores; None: no ties
    row_losses: FloatArray  # (n, 2): log-loss and squared error, in the borrowers' own order


def bootstrap_intervals(
    labels: npt.ArrayLike, scores: npt.ArrayLike, resamples: int = 1000, *, seed: int
) -> MetricEstimates:
    """Each metric with its 95% percentile-bootstrap interval.

    Args:
        labels: n values, 1 = defaulted, 0 = did not.
        scores: n probabilities of default.
        resamples: how many bootstrap resamples.
        seed: seed of the resamples; the same seed pairs the intervals of several models.

    Resamples that hold one class only say nothing about AUC, Gini and KS and are left out there.

    Raises:
        InputError: labels or scores are unusable, or `resamples` is below 1.
    """
    return compare_models(labels, {"model": scores}, "model", resamples, seed=seed)["model"].metrics


def compare_models(
    labels: npt.ArrayLike,
    scores: Mapping[str, npt.ArrayLike],
    reference: str,
    resamples: int = 1000,
    *,
    seed: int,
) -> dict[str, Comparison]:
    """Metrics of several models on the same borrowers, and paired differences to a reference.

    Args:
        labels: n values, 1 = defaulted, 0 = did not.
        scores: n probabilities of default for each model's name.
        reference: the name of the model that the differences are taken from.
        resamples: how many bootstrap resamples.
        seed: seed of the resamples.

    Raises:
        InputError: labels or scores are unusable, the reference is not among the models, or
            `resamples` is below 1.
    """
    if resamples < 1:
        raise InputError(f"bootstrap: {resamples} resamples; there must be at least 1")
    if reference not in scores:
        raise InputError(
            f"bootstrap: reference model '{reference}' is not among {', '.join(scores)}"
        )
    pairs = {name: checked_probabilities(labels, model) for name, model in scores.items()}
    points = {name: _point_metrics(y, p) for name, (y, p) in pairs.items()}
    drawn = _resampled_metrics(
        [_presort(y, p) for y, p in pairs.values()],
        len(pairs[reference][0]),
        resamples,
        seed,
    )
    samples = dict(zip(pairs, drawn, strict=True))
    return {
        name: Comparison(
            _estimates(points[name], samples[name]),
            _estimates(points[name] - points[reference], samples[name] - samples[reference]),
        )
        for name in pairs
    }


def _point_metrics(y: FloatArray, p: FloatArray) -> FloatArray:
    area = auc(y, p)
    return np.array([area, 2 * area - 1, ks(y, p), log_loss(y, p), brier(y, p)])


def _estimates(points: FloatArray, samples: FloatArray) -> MetricEstimates:
    """Five estimates from five values and (5, resamples) resampled values."""
    estimates = []
    for point, sample in zip(points, samples, strict=True):
        usable = sample[np.isfinite(sample)]
        low, high = np.quantile(usable, _LEVELS) if usable.size else (point, point)
        estimates.append(Estimate(float(point), float(low), float(high)))
    return MetricEstimates(*estimates)


def _presort(y: FloatArray, p: FloatArray) -> _Presorted:
    order = np.argsort(-p, kind="stable")
    ordered = p[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    losses = np.column_stack([row_log_losses(y, p), (p - y) ** 2])
    return _Presorted(order, y[order], None if ends.size == p.size else ends, losses)


def _weights(borrowers: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Multinomial weights, (some resamples, borrowers) at a time."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_WEIGHTS // borrowers)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        cells = rng.integers(0, borrowers, size=(count, borrowers), dtype=np.int64)
        cells += np.arange(count, dtype=np.int64)[:, None] * borrowers
        drawn = np.bincount(cells.ravel(), minlength=count * borrowers)
        yield drawn.reshape(count, borrowers).astype(np.float64)


def _resampled_metrics(
    models: Sequence[_Presorted], borrowers: int, resamples: int, seed: int
) -> list[FloatArray]:
    """For each model the (5, resamples) metrics of the same resamples."""
    parts: list[list[FloatArray]] = [[] for _ in models]
    for weights in _weights(borrowers, resamples, seed):
        for part, model in zip(parts, models, strict=True):
            part.append(_weighted_metrics(model, weights))
    return [np.concatenate(part, axis=1) for part in parts]


def _weighted_metrics(model: _Presorted, weights: FloatArray) -> FloatArray:
    ordered = weights[:, model.order]
    defaulters = np.cumsum(ordered * model.defaulted, axis=1)
    others = np.cumsum(ordered, axis=1)
    others -= defaulters
    if model.ends is not None:
        defaulters, others = defaulters[:, model.ends], others[:, model.ends]
    all_defaulters, all_others = defaulters[:, -1].copy(), others[:, -1].copy()
    # Area under (others, defaulters) by trapezoids; the first starts at the origin.
    doubled = np.einsum(
        "ij,ij->i", np.diff(others, axis=1), defaulters[:, 1:] + defaulters[:, :-1]
    ) + (others[:, 0] * defaulters[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        area = doubled / (2 * all_defaulters * all_others)
        defaulters /= all_defaulters[:, None]
        others /= all_others[:, None]
        defaulters -= others
        gap = np.abs(defaulters, out=defaulters).max(axis=1)
    losses = (weights @ model.row_losses) / weights.shape[1]
    return np.stack([area, 2 * area - 1, gap, losses[:, 0], losses[:, 1]])

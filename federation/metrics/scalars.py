"""One number for a score: AUC, Gini, KS, log-loss and Brier score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

FloatArray = npt.NDArray[np.float64]

# The clipping of scikit-learn's log_loss for float64, so that both give the same number.
_CLIP = float(np.finfo(np.float64).eps)


def checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Labels and scores as float64 vectors.

    Raises:
        InputError: lengths differ, a label is neither 0 nor 1, one class is absent, or a score is
            not finite; the sentence names the first such borrower by position.
    """
    y = np.asarray(labels, dtype=np.float64)
    s = np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape:
        raise InputError(
            f"metrics: labels have shape {y.shape} and scores {s.shape}; "
            "both must be one number a borrower"
        )
    wrong = np.flatnonzero((y != 0) & (y != 1))
    if wrong.size:
        raise InputError(
            f"metrics: label {y[wrong[0]]:g} at position {wrong[0]}; a label must be 0 or 1"
        )
    wrong = np.flatnonzero(~np.isfinite(s))
    if wrong.size:
        raise InputError(
            f"metrics: score {s[wrong[0]]} at position {wrong[0]}; a score must be a finite number"
        )
    defaults = int(y.sum())
    if defaults in (0, y.size):
        raise InputError(
            f"metrics: {defaults} of {y.size} borrowers defaulted; "
            "both classes must be present to measure a score"
        )
    return y, s


def checked_probabilities(
    labels: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """The same for scores that must be probabilities.

    Raises:
        InputError: as `checked`, and when a score lies outside 0..1.
    """
    y, s = checked(labels, scores)
    wrong = np.flatnonzero((s < 0) | (s > 1))
    if wrong.size:
        raise InputError(
            f"metrics: score {s[wrong[0]]:g} at position {wrong[0]}; "
            "a probability of default must lie between 0 and 1"
        )
    return y, s


def cumulative_counts(y: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores in ascending order; defaulters and others with a score up to each.

    Borrowers with equal scores count together, so ties never depend on the order of rows.
    """
    order = np.argsort(s, kind="stable")
    ordered = s[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    defaulters = np.cumsum(y[order])[ends]
    return ordered[ends], defaulters, ends + 1.0 - defaulters


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a defaulter scores above another borrower.

    Ties count one half (Mann-Whitney U; Hanley and McNeil, Radiology 143, 1982).

    Raises:
        InputError: see `checked`.
    """
    _, defaulters, others = cumulative_counts(*checked(labels, scores))
    steps = np.diff(defaulters, prepend=0.0)
    below = np.concatenate(([0.0], others[:-1]))
    wins = float(np.sum(steps * (below + others))) / 2
    return wins / float(defaulters[-1] * others[-1])


def gini(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Gini coefficient (accuracy ratio): 2 · AUC − 1; 0 is chance, 1 a perfect ranking."""
    return 2 * auc(labels, scores) - 1


def ks(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Kolmogorov-Smirnov distance between the scores of defaulters and of the others, 0..1.

    The largest absolute gap between the two cumulative distributions (Smirnov 1948).

    Raises:
        InputError: see `checked`.
    """
    _, defaulters, others = cumulative_counts(*checked(labels, scores))
    return float(np.max(np.abs(defaulters / defaulters[-1] - others / others[-1])))


def row_log_losses(y: FloatArray, p: FloatArray) -> FloatArray:
    """Each borrower's negative log-likelihood in nats, probabilities clipped away from 0 and 1."""
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    return -np.log(np.where(y == 1, clipped, 1 - clipped))


def log_loss(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean negative log-likelihood in nats; smaller is better (Good 1952).

    Raises:
        InputError: see `checked_probabilities`.
    """
    return float(np.mean(row_log_losses(*checked_probabilities(labels, scores))))


def brier(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean squared distance between probability and outcome; smaller is better (Brier 1950).

    Raises:
        InputError: see `checked_probabilities`.
    """
    y, p = checked_probabilities(labels, scores)
    return float(np.mean((p - y) ** 2))

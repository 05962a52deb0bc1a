"""Figures of a model over several banks' rows, from sums alone.

A bank gives two histograms of its scores, one a class, and two sums of its losses; all of them add
up over the banks under encryption, and AUC, KS and the mean loss come from the totals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.metrics.scalars import row_log_losses

# AUC from a thousand bins is within 1e-4 of the exact one for spread-out scores.
BINS = 1000
# A row's loss counts as at most this much: its sum then has a public range.
MOST_LOSS = 16.0

Scores = npt.NDArray[np.float64]


def score_histogram(
    scores: Scores, labels: npt.NDArray[Any], bins: int = BINS
) -> npt.NDArray[np.int64]:
    """How many borrowers of each class have a score in each of `bins` equal parts of 0 to 1.

    Args:
        scores: probabilities of default (n,).
        labels: 0 or 1.
        bins: how many parts.

    Returns:
        (2·bins,): counts of those who repaid, then of those who defaulted.

    Raises:
        InputError: a score isn't a probability.
    """
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError("a score is not a probability from 0 to 1")
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    return np.bincount(place + bins * (np.asarray(labels) == 1), minlength=2 * bins)


def auc_ks(counts: npt.NDArray[Any]) -> tuple[float, float]:
    """Area under the ROC curve and Kolmogorov-Smirnov distance of a (summed) histogram.

    Scores of one bin count as ties.

    Raises:
        InputError: a class has no borrower, or the counts aren't two histograms.
    """
    if counts.ndim != 1 or len(counts) % 2 or (counts < 0).any():
        raise InputError("score histogram: not two histograms of counts")
    repaid, defaulted = counts.astype(np.float64).reshape(2, -1)
    if not repaid.sum() or not defaulted.sum():
        raise InputError("score histogram: both classes must be present to measure a score")
    below = np.cumsum(repaid) - repaid
    wins = float(np.sum(defaulted * (below + repaid / 2)))
    gap = np.abs(np.cumsum(repaid) / repaid.sum() - np.cumsum(defaulted) / defaulted.sum())
    return wins / float(repaid.sum() * defaulted.sum()), float(gap.max())


def log_loss_sums(scores: Scores, labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A bank's two sums (2,): its rows, and their log-losses, each at most `MOST_LOSS` nats."""
    losses = row_log_losses(np.asarray(labels, dtype=np.float64), scores)
    return np.array([float(len(scores)), float(np.minimum(losses, MOST_LOSS).sum())])


def mean_log_loss(sums: npt.NDArray[np.float64]) -> float:
    """Mean log-loss in nats from all banks' `log_loss_sums` added up.

    Raises:
        InputError: no rows, or not two finite sums.
    """
    if sums.shape != (2,) or not np.isfinite(sums).all() or sums[0] < 0.5:
        raise InputError("mean log-loss: there must be two finite sums over at least one row")
    return float(sums[1] / sums[0])


@dataclass(frozen=True)
class EarlyStopping:
    """When to stop, from the mean validation loss of each round (Prechelt 1998).

    Attributes:
        patience: rounds without a better loss after which training ends; 0 never ends it.
        rounds: rounds seen.
        best_round: the one with the smallest loss, counted from 1; 0 before the first.
        best_loss: its loss.
    """

    patience: int
    rounds: int = 0
    best_round: int = 0
    best_loss: float = float("inf")

    def after(self, loss: float) -> EarlyStopping:
        """The state after one more round; the weights of `best_round` are the ones to keep."""
        rounds = self.rounds + 1
        if loss < self.best_loss:
            return EarlyStopping(self.patience, rounds, rounds, loss)
        return EarlyStopping(self.patience, rounds, self.best_round, self.best_loss)

    @property
    def stops(self) -> bool:
        """Whether training ends here."""
        return 0 < self.patience <= self.rounds - self.best_round

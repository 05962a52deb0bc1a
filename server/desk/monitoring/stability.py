"""The population stability index of scores in service, and how large it gets by chance alone.

Σ (actual − expected) · ln(actual / expected) over classes of the score, in nats. Rule of thumb
(Siddiqi, 'Credit Risk Scorecards', 2006, chapter 6): below 0.10 stable, above 0.25 shifted.

The rule knows nothing of sample sizes. Without any shift, of N scores against a development sample
of M borrowers in B classes, the index is about (1/N + 1/M) times a chi-square variable with B − 1
degrees of freedom (Yurdakul and Naranjo, 'Statistical properties of the population stability
index', Journal of Risk Model Validation 14(4), 2020): 300 scores in 20 classes reach 0.10 by chance
in every twentieth window. An alarm therefore asks for both: a large index and a significant one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy.special import chdtri

STABLE_BELOW = 0.10
SHIFTED_ABOVE = 0.25
# Added to every class on both sides, so that an empty class gives a finite index.
SMOOTHING_BORROWERS = 0.5


class Standing(StrEnum):
    """What the rule of thumb says."""

    STABLE = "stable"
    WATCH = "watch"
    SHIFTED = "shifted"


def standing(index: float) -> Standing:
    """The rule of thumb's word for an index."""
    if index < STABLE_BELOW:
        return Standing.STABLE
    return Standing.WATCH if index <= SHIFTED_ABOVE else Standing.SHIFTED


def stability_index(counts: Sequence[int], shares: Sequence[float]) -> float:
    """The index of scores against a development sample; 0 without any scores.

    Half a borrower is added to every class, to the development sample as though it were as large
    as the window: equal shares then give exactly 0, and the index never exceeds the one without.

    Args:
        counts: scores in each class (B,).
        shares: of the development sample in each class (B,), summing to 1.

    Raises:
        ValueError: the lengths differ, or a number is negative.
    """
    seen = np.asarray(counts, dtype=np.float64)
    expected = np.asarray(shares, dtype=np.float64)
    if seen.shape != expected.shape or seen.ndim != 1 or not seen.size:
        raise ValueError("stability: counts and shares must be one number a class")
    if (seen < 0).any() or (expected < 0).any():
        raise ValueError("stability: counts and shares can't be negative")
    scores = float(seen.sum())
    if not scores:
        return 0.0
    whole = scores + SMOOTHING_BORROWERS * seen.size
    actual = (seen + SMOOTHING_BORROWERS) / whole
    before = (expected * scores + SMOOTHING_BORROWERS) / whole
    return float(np.sum((actual - before) * np.log(actual / before)))


def _sampling(scores: int, borrowers: int | None) -> float:
    """1/N + 1/M; a development sample of unknown size counts as exact."""
    if scores < 1 or (borrowers is not None and borrowers < 1):
        raise ValueError("stability: there must be at least one score and one borrower")
    return 1 / scores + (1 / borrowers if borrowers else 0.0)


def critical_value(
    classes: int, scores: int, borrowers: int | None = None, significance: float = 0.01
) -> float:
    """The index that a window without any shift exceeds with this probability.

    Args:
        classes: B.
        scores: N, in the window.
        borrowers: M, in the development sample; None: not known, taken as exact.
        significance: the probability, above 0 and below 1.

    Raises:
        ValueError: no classes, scores or borrowers, or a significance that is no probability.
    """
    if classes < 1 or not 0 < significance < 1:
        raise ValueError("stability: a class at least, and a significance between 0 and 1")
    if classes == 1:
        return 0.0
    return _sampling(scores, borrowers) * float(chdtri(classes - 1, significance))


def mean_without_shift(classes: int, scores: int, borrowers: int | None = None) -> float:
    """What the index is on average where nothing shifted: (B − 1)(1/N + 1/M)."""
    return _sampling(scores, borrowers) * (classes - 1)

"""Gradients and hessians of the logistic loss, as small integers, of a sample of the borrowers.

Sources: second-order boosting (Chen & Guestrin, KDD 2016); quantised gradients with stochastic
rounding (Shi et al., NeurIPS 2022: a few bits lose next to nothing); minimal variance sampling
(Ibragimov & Gusev, NeurIPS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from federation.additive.logistic import sigmoid
from federation.boosting.settings import BoostedSettings
from federation.quantisation import RoundingDraws, stochastic_round

Vector = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
# The largest gradient and the largest hessian of a tree, in integers.
VALUE_BOUND = 31
# Sums of gradients stay below half of it: 1,080,000 borrowers; those of both stay below 2^53.
_PAIR_UNIT = 1 << 26
_DRAWS = 3  # of the seed, a tree: rounding of gradients, of hessians, and the sample


@dataclass(frozen=True)
class TreeGradients:
    """What one tree is grown from, of all borrowers of the fit.

    Attributes:
        gradient, hessian: exact, weights of the sample included; 0 outside the sample (n,).
        whole_gradient, whole_hessian: in integers (n,), ±31 and 0 to 31.
        gradient_unit, hessian_unit: what one integer stands for.
        sampled: who is in the sample (n,).
    """

    gradient: Vector
    hessian: Vector
    whole_gradient: Whole
    whole_hessian: Whole
    gradient_unit: float
    hessian_unit: float
    sampled: npt.NDArray[np.bool_]

    @cached_property
    def pairs(self) -> Vector | None:
        """Both whole numbers of each borrower in one (n,), so that one sum does for two.

        hessian·2^26 + gradient: any sum of them is exact in float64. None: too many borrowers.
        """
        if VALUE_BOUND * len(self.whole_gradient) >= _PAIR_UNIT // 2:
            return None
        return (self.whole_hessian * _PAIR_UNIT + self.whole_gradient).astype(np.float64)


def split_pairs(sums: Vector) -> tuple[Vector, Vector]:
    """Sums of gradients and of hessians from sums of `TreeGradients.pairs`."""
    hessians = np.rint(sums / _PAIR_UNIT)
    return sums - hessians * _PAIR_UNIT, hessians


def class_weights(
    labels: Vector, training: npt.NDArray[np.bool_], settings: BoostedSettings
) -> Vector:
    """Every borrower's weight (n,), 0 of those that don't train, 1 on average of those that do."""
    weights = training.astype(np.float64)
    if settings.class_weight == "balanced":
        share = float(labels[training].mean())
        weights *= np.where(labels > 0.5, 0.5 / share, 0.5 / (1 - share))
    return weights


def tree_gradients(
    labels: Vector,
    scores: Vector,
    weights: Vector,
    settings: BoostedSettings,
    tree: int,
    places: npt.NDArray[np.int64],
) -> TreeGradients:
    """The gradients of a tree.

    Args:
        labels: of the borrowers of the fit (n,).
        scores: log-odds of the trees before (n,).
        weights: of the borrowers (n,), 0 of those that don't train.
        settings: λ, the sample's share and the seed.
        tree: its number.
        places: each borrower's place in an order that does not change from run to run (n,).
    """
    probability = sigmoid(scores)
    gradient = weights * (probability - labels)
    hessian = weights * probability * (1.0 - probability)
    first = _DRAWS * tree
    draws = RoundingDraws(settings.seed, places)
    sampled = weights > 0
    if settings.row_sample < 1:
        chance = sampling_chances(gradient, hessian, settings.l2, settings.row_sample, sampled)
        sampled = sampled & (draws.of_round(first, len(labels)) < chance)
        scale = np.where(sampled, 1.0 / np.maximum(chance, 1e-12), 0.0)
        gradient, hessian = gradient * scale, hessian * scale
    whole_gradient, gradient_unit = _whole(gradient, draws.of_round(first + 1, len(labels)))
    whole_hessian, hessian_unit = _whole(hessian, draws.of_round(first + 2, len(labels)))
    return TreeGradients(
        gradient, hessian, whole_gradient, whole_hessian, gradient_unit, hessian_unit, sampled
    )


def sampling_chances(
    gradient: Vector, hessian: Vector, l2: float, share: float, training: npt.NDArray[np.bool_]
) -> Vector:
    """Chances (n,) whose sum is `share` of the training borrowers: min(1, √(g² + λh²)/μ).

    Scaled up by 1/chance, sums stay unbiased, and of all samples of this size theirs vary least.
    """
    size = np.sqrt(gradient**2 + l2 * hessian**2)
    wanted = share * float(training.sum())
    ordered = np.sort(size[training])
    below = np.cumsum(ordered)
    count = len(ordered)
    # with the largest r at chance 1, μ = (sum of the others) / (wanted - r); the first that fits
    certain = np.arange(count)
    with np.errstate(divide="ignore", invalid="ignore"):
        thresholds = below[count - 1 - certain] / (wanted - certain)
    fits = (thresholds >= ordered[count - 1 - certain]) & (certain < wanted)
    if not fits.any():
        return training.astype(np.float64)
    chances: Vector = np.minimum(1.0, size / max(float(thresholds[np.argmax(fits)]), 1e-300))
    return np.where(training, chances, 0.0)


def _whole(values: Vector, draws: Vector) -> tuple[Whole, float]:
    largest = float(np.abs(values).max(initial=0.0))
    unit = largest / VALUE_BOUND if largest > 0 else 1.0
    rounded = stochastic_round(values / unit, draws)
    return np.clip(rounded, -VALUE_BOUND, VALUE_BOUND), unit

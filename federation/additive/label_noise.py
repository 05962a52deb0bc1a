"""Label noise for residual sums: drawn once, good for every round.

The logistic gradient is linear in the labels: Xᵀ(y - p) = Xᵀy - Xᵀp. Only Xᵀy depends on the
labels, so one noisy release of it serves all rounds: round after round the same noise η is added,
and p is a function of noisy sums only (the label party fits its own block and intercept from noisy
sums too). All rounds together are then post-processing of one discrete Gaussian release, and its ε
does not grow with their number. Nothing else of the run may depend on training labels: penalty and
number of rounds are fixed beforehand. This is objective perturbation (Chaudhuri, Monteleoni,
Sarwate, JMLR 2011; Kifer, Smith, Thakurta, COLT 2012) with labels as the private part.

Sensitivity: flipping one label changes one sum per feature, and the total, by exactly one unit
(RESIDUAL_SCALE): L2 sensitivity RESIDUAL_SCALE·√(features + 1) over all parties' features together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.settings import AdditiveSettings
from federation.privacy.discrete_gaussian import discrete_gaussian_vector, tail_bound
from federation.privacy.zcdp import gaussian_rho, rho_for
from federation.quantisation import RESIDUAL_SCALE

# Far more cells than any session sends: the tail bound grows with their logarithm only.
MAX_CELLS = 1 << 20

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelNoise:
    """The mechanism of one training: σ in integer units and what it is worth.

    Attributes:
        sigma: standard deviation of the discrete Gaussian, in units of 1/RESIDUAL_SCALE.
        rho: zCDP parameter of the one release.
    """

    sigma: int
    rho: float

    @classmethod
    def for_settings(cls, settings: AdditiveSettings, features: int) -> LabelNoise | None:
        """Calibrate to settings.label_epsilon for all parties' features together; None if none."""
        if settings.label_epsilon is None:
            return None
        sensitivity = RESIDUAL_SCALE * math.sqrt(features + 1)
        rho = rho_for(settings.label_epsilon, settings.label_delta)
        sigma = math.ceil(sensitivity / math.sqrt(2 * rho))
        return cls(sigma, gaussian_rho(sensitivity, sigma))

    @property
    def bound(self) -> int:
        """A magnitude that no draw exceeds, except with probability 2^-40."""
        return tail_bound(self.sigma, MAX_CELLS)

    @property
    def residual_sigma(self) -> float:
        """σ in units of residual (one flipped label is 1)."""
        return self.sigma / RESIDUAL_SCALE

    def draw(self, cells: int) -> npt.NDArray[np.int64]:
        """The noise of a training's cells (cells,), clipped to the bound."""
        return np.clip(discrete_gaussian_vector(self.sigma, cells), -self.bound, self.bound)


@dataclass(frozen=True, repr=False)
class DrawnNoise:
    """The noise of one training, drawn once: of the own bins, and of each partner's sums."""

    own: npt.NDArray[np.int64]
    partners: Mapping[str, npt.NDArray[np.int64]]


def noise_stretch(counts: Vector, variances: Vector, base_rate: float) -> Vector:
    """√(1 + noise variance / sampling variance) of every bin's label sum (bins,).

    A bin's sum varies by n_bin·p(1-p) from borrower to borrower; noise on top is worth so much less
    data, and the penalty is stretched as for so much less data.
    """
    rate = min(max(base_rate, 1e-3), 1 - 1e-3)
    sampling = np.maximum(counts, 1.0) * rate * (1 - rate)
    stretch: Vector = np.sqrt(1 + variances / sampling)
    return stretch

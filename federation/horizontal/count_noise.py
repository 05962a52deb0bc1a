"""Noise on counts of a bank's records: each bank protects its own, whatever the others do.

The discrete Gaussian mechanism (Canonne, Kamath, Steinke 2020). One record is one count, so the
L2 sensitivity to adding or removing a record is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.privacy import GaussianRelease, discrete_gaussian_vector
from federation.privacy.zcdp import gaussian_rho, rho_for

# Of the run's ρ: calibration needs little, and what it takes DP-SGD must do without.
SHARE = 0.02
# Noise beyond so many deviations is cut off: less likely than 1e-28 a count.
TAIL = 12


@dataclass(frozen=True)
class CountNoise:
    """The noise on one bank's counts.

    Attributes:
        sigma: of each count.
    """

    sigma: int

    @classmethod
    def for_share(cls, epsilon: float, delta: float) -> CountNoise:
        """The noise that takes `SHARE` of the ρ that ε at δ allows."""
        return cls(max(1, math.ceil(1 / math.sqrt(2 * SHARE * rho_for(epsilon, delta)))))

    @property
    def event(self) -> GaussianRelease:
        """What one histogram costs."""
        return GaussianRelease(gaussian_rho(1.0, self.sigma))

    def encode(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Counts with noise, shifted so that none is negative."""
        noisy = counts + discrete_gaussian_vector(self.sigma, len(counts)) + self._shift
        shifted: npt.NDArray[np.uint64] = np.maximum(noisy, 0).astype(np.uint64)
        return shifted

    def decode(self, sums: npt.NDArray[np.uint64], banks: int) -> npt.NDArray[np.int64]:
        """The sum of so many banks' noisy counts; some may be negative."""
        shifted: npt.NDArray[np.int64] = sums.astype(np.int64) - banks * self._shift
        return shifted

    @property
    def _shift(self) -> int:
        return TAIL * self.sigma

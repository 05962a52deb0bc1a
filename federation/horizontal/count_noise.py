"""Noise on counts of a bank's records: each bank protects its own, whatever the others do.

The Gaussian mechanism with one record in one count: the L2 sensitivity to adding or removing a
record is 1. It is a step of DP-SGD in which every record takes part, so the accountants compose it
with the others tightly. Noise is drawn as theirs is (`federation.neural.noise`) and rounded after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.neural.noise import NoiseSource, SystemNoise
from federation.privacy import SampledGaussian
from federation.privacy.zcdp import rho_for

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
    def event(self) -> SampledGaussian:
        """What one histogram costs."""
        return SampledGaussian(float(self.sigma), 1.0, 1)

    def encode(
        self, counts: npt.NDArray[np.int64], source: NoiseSource | None = None
    ) -> npt.NDArray[np.uint64]:
        """Counts with noise, shifted so that none is negative.

        Args:
            counts: one record is in one of them.
            source: of the noise; None takes the operating system's, anything else is for tests.
        """
        noise = np.rint(self.sigma * (source or SystemNoise()).normal(len(counts)))
        shifted = np.maximum(counts + noise.astype(np.int64) + self._shift, 0)
        return np.asarray(shifted, dtype=np.uint64)

    def decode(self, sums: npt.NDArray[np.uint64], banks: int) -> npt.NDArray[np.int64]:
        """The sum of so many banks' noisy counts; some may be negative."""
        shifted: npt.NDArray[np.int64] = sums.astype(np.int64) - banks * self._shift
        return shifted

    def deviation(self, banks: int) -> float:
        """σ of the noise on a sum over so many banks."""
        return self.sigma * math.sqrt(banks)

    @property
    def _shift(self) -> int:
        return TAIL * self.sigma

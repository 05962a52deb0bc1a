"""Gaussian noise from the operating system's randomness.

Opacus draws its noise from torch's Mersenne Twister, whose seed has 32 bits: who guesses it can
take the noise off again; and its own remedy (`secure_mode`) needs a package that is not to be had.
So the noise comes from os.urandom here, by Box & Muller (1958), and each number is half the sum of
four, as in Opacus' secure mode: numbers of floating point have gaps through which one Gaussian
could be told from another (Mironov 2012), and sums hide them (Holohan & Braghin, 'Secure Random
Sampling in Differential Privacy', ESORICS 2021, section 4).
"""

from __future__ import annotations

import math
import os
from typing import Protocol

import numpy as np
import numpy.typing as npt

_SUMMANDS = 4


class NoiseSource(Protocol):
    """Where DP-SGD takes its randomness from."""

    def normal(self, count: int) -> npt.NDArray[np.float64]:
        """Independent standard normal numbers (count,)."""
        ...

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Independent uniform numbers (count,), above 0, at most 1."""
        ...


class SystemNoise:
    """Randomness of the operating system."""

    def normal(self, count: int) -> npt.NDArray[np.float64]:
        """Independent standard normal numbers (count,)."""
        pairs = (count * _SUMMANDS + 1) // 2
        radius = np.sqrt(-2.0 * np.log(self.uniform(pairs)))
        angle = 2.0 * np.pi * self.uniform(pairs)
        drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        summands = drawn[: count * _SUMMANDS].reshape(_SUMMANDS, count)
        total: npt.NDArray[np.float64] = summands.sum(axis=0) / math.sqrt(_SUMMANDS)
        return total

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Independent uniform numbers (count,), multiples of 2⁻⁵³ above 0, at most 1."""
        words = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(11)
        return (words.astype(np.float64) + 1.0) * 2.0**-53

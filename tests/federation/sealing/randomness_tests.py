"""Whether bytes pass for random ones: three tests with known distributions, as p-values.

Each is exact enough from some thousand bytes on. One p-value below LEAST_P in a million random
samples is expected.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

LEAST_P = 1e-6
FEWEST_BYTES = 2_000


def p_values(sample: bytes) -> dict[str, float]:
    """The probability of a sample as far from random as this one, by test.

    Args:
        sample: FEWEST_BYTES or more.
    """
    if len(sample) < FEWEST_BYTES:
        raise ValueError(f"{len(sample)} bytes are too few to judge; {FEWEST_BYTES} are needed")
    data = np.frombuffer(sample, dtype=np.uint8)
    return {
        "chi-square over byte values": _chi_square(data),
        "runs of equal bits": _runs(np.unpackbits(data)),
        "serial correlation of bytes": _serial_correlation(data.astype(np.float64)),
    }


def suspicious(sample: bytes) -> dict[str, float]:
    """The tests that a sample fails."""
    return {name: p for name, p in p_values(sample).items() if p < LEAST_P}


def _chi_square(data: np.ndarray) -> float:
    return float(stats.chisquare(np.bincount(data, minlength=256)).pvalue)


def _runs(bits: np.ndarray) -> float:
    """Wald and Wolfowitz (1940): the number of runs, given how many ones and zeros there are."""
    ones = int(bits.sum())
    zeros = len(bits) - ones
    if not ones or not zeros:
        return 0.0
    runs = 1 + int((bits[1:] != bits[:-1]).sum())
    mean = 1 + 2 * ones * zeros / len(bits)
    variance = (mean - 1) * (mean - 2) / (len(bits) - 1)
    return _two_sided((runs - mean) / math.sqrt(variance))


def _serial_correlation(data: np.ndarray) -> float:
    """Of each byte with the next (Knuth, TAOCP 2, 3.3.2 K): normal with variance 1/n."""
    centred = data - data.mean()
    square = float(centred @ centred)
    if square == 0:
        return 0.0
    coefficient = float(centred @ np.roll(centred, 1)) / square
    return _two_sided(coefficient * math.sqrt(len(data)))


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))

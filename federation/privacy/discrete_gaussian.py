"""The discrete Gaussian mechanism: exact sampling, integers of the operating system's generator.

Source: Canonne, Kamath, Steinke, 'The Discrete Gaussian for Differential Privacy' (NeurIPS 2020),
algorithms 1 to 3. No floating point takes part in the draw, so that no float artefact can leak.
"""

from __future__ import annotations

import math
import secrets
from fractions import Fraction

import numpy as np
import numpy.typing as npt


def _bernoulli(probability: Fraction) -> bool:
    return secrets.randbelow(probability.denominator) < probability.numerator


def _bernoulli_exp(gamma: Fraction) -> bool:
    """True with probability exp(-gamma), gamma ≥ 0."""
    while gamma > 1:
        if not _bernoulli_exp(Fraction(1)):
            return False
        gamma -= 1
    # exp(-gamma) for gamma ≤ 1 as an alternating series of Bernoulli draws
    count = 1
    while _bernoulli(gamma / count):
        count += 1
    return count % 2 == 1


def _discrete_laplace(scale: int) -> int:
    """P(x) ∝ exp(-|x|/scale)."""
    while True:
        offset = secrets.randbelow(scale)
        if not _bernoulli_exp(Fraction(offset, scale)):
            continue
        whole = 0
        while _bernoulli_exp(Fraction(1)):
            whole += 1
        magnitude = offset + scale * whole
        negative = secrets.randbelow(2) == 1
        if negative and magnitude == 0:
            continue
        return -magnitude if negative else magnitude


def sample(sigma: Fraction | int) -> int:
    """One draw of the discrete Gaussian, P(x) ∝ exp(-x²/(2σ²)) over the integers."""
    variance = Fraction(sigma) ** 2
    scale = math.isqrt(int(variance)) + 1
    while True:
        candidate = _discrete_laplace(scale)
        gap = abs(candidate) - variance / scale
        if _bernoulli_exp(gap * gap / (2 * variance)):
            return candidate


def sample_many(sigma: int, count: int) -> npt.NDArray[np.int64]:
    """`count` independent draws (count,) with an integer σ."""
    return np.array([sample(sigma) for _ in range(count)], dtype=np.int64)


def tail_bound(sigma: int, count: int) -> int:
    """A magnitude that `count` draws all stay below, except with probability 2^-40.

    P(|x| ≥ t) ≤ 2·exp(-t²/(2σ²)) holds for the discrete Gaussian (same paper, proposition 25).
    """
    return math.ceil(sigma * math.sqrt(2 * (41 * math.log(2) + math.log(max(count, 1))))) + 1

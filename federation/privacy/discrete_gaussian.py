"""The discrete Gaussian mechanism: exact sampling, integers of the operating system's generator.

Source: Canonne, Kamath, Steinke, 'The Discrete Gaussian for Differential Privacy' (NeurIPS 2020),
algorithms 1 to 3. No floating point takes part in the draw, so that no float artefact can leak.
`sample` is the printed algorithm with any rational σ; `discrete_gaussian_vector` makes the same
comparisons of integers for a whole vector at once.
"""

from __future__ import annotations

import math
import os
import secrets
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Up to here σ² times a series' place, and the square of any draw, stay below 2^63.
LARGEST_SIGMA = 1 << 24


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


def _below(bounds: Integers) -> Integers:
    """Uniform integers 0 ≤ x < bound, each without bias (n,); bounds are positive."""
    drawn = np.empty(len(bounds), dtype=np.int64)
    waiting = np.arange(len(bounds))
    while len(waiting):
        words = np.frombuffer(os.urandom(8 * len(waiting)), dtype=np.uint64) >> np.uint64(1)
        value, bound = words.view(np.int64), bounds[waiting]
        remainder = value % bound
        # The last, incomplete run of `bound` values below 2^63 is drawn again.
        whole = value - remainder <= np.int64((1 << 63) - 1) - bound + 1
        drawn[waiting[whole]] = remainder[whole]
        waiting = waiting[~whole]
    return drawn


def _bernoulli_exp_of(numerators: Integers, denominators: Integers) -> Flags:
    """True with probability exp(-numerator/denominator), for fractions from 0 to 1 (n,)."""
    outcome = np.zeros(len(numerators), dtype=np.bool_)
    running, count = np.arange(len(numerators)), 1
    while len(running):
        goes_on = _below(denominators[running] * count) < numerators[running]
        outcome[running[~goes_on]] = count % 2 == 1
        running = running[goes_on]
        count += 1
    return outcome


def _successes(count: int) -> Integers:
    """How often in a row an event of probability 1/e happens (count,)."""
    row = np.zeros(count, dtype=np.int64)
    running = np.arange(count)
    while len(running):
        ones = np.ones(len(running), dtype=np.int64)
        running = running[_bernoulli_exp_of(ones, ones)]
        row[running] += 1
    return row


def _discrete_laplaces(scale: int, tries: int) -> Integers:
    """Draws with P(x) ∝ exp(-|x|/scale): as many of the `tries` as were accepted."""
    scales = np.full(tries, scale, dtype=np.int64)
    offset = _below(scales)
    offset = offset[_bernoulli_exp_of(offset, scales)]
    magnitude = offset + scale * _successes(len(offset))
    negative = _below(np.full(len(offset), 2, dtype=np.int64)) == 1
    signed: Integers = np.where(negative, -magnitude, magnitude)
    kept: Integers = signed[~(negative & (magnitude == 0))]
    return kept


def discrete_gaussian_vector(sigma: int, count: int) -> Integers:
    """`count` independent draws (count,) with a whole σ.

    With the Laplace scale σ itself, a candidate x is kept with probability
    exp(-(|x| - σ)²/(2σ²)), a fraction of integers.

    Raises:
        ValueError: σ is not a whole number from 1 to 2^24.
    """
    if sigma != int(sigma) or not 1 <= sigma <= LARGEST_SIGMA:
        raise ValueError(f"σ must be a whole number from 1 to {LARGEST_SIGMA:,}, not {sigma}")
    sigma, denominator = int(sigma), 2 * int(sigma) ** 2
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < count:
        candidates = _discrete_laplaces(sigma, 2 * (count - len(drawn)) + 16)
        squares = (np.abs(candidates) - sigma) ** 2
        kept = _successes(len(squares)) >= squares // denominator
        candidates, rest = candidates[kept], (squares % denominator)[kept]
        kept = _bernoulli_exp_of(rest, np.full(len(rest), denominator, dtype=np.int64))
        drawn = np.concatenate([drawn, candidates[kept]])
    return drawn[:count]


def tail_bound(sigma: int, count: int) -> int:
    """A magnitude that `count` draws all stay below, except with probability 2^-40.

    P(|x| ≥ t) ≤ 2·exp(-t²/(2σ²)) holds for the discrete Gaussian (same paper, proposition 25).
    """
    return math.ceil(sigma * math.sqrt(2 * (41 * math.log(2) + math.log(max(count, 1))))) + 1

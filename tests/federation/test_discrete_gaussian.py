"""The discrete Gaussian sampler against its own definition, coded independently."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from federation.privacy.discrete_gaussian import sample, sample_many, tail_bound

DRAWS = 12_000


def probabilities(sigma: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Support and probabilities out to 12 σ, straight from the definition."""
    reach = math.ceil(12 * sigma)
    support = np.arange(-reach, reach + 1)
    mass = np.array([math.exp(-(int(x) ** 2) / (2 * sigma**2)) for x in support])
    return support, mass / math.fsum(mass)


def moment(sigma: float, order: int) -> float:
    """E[x^order]."""
    support, mass = probabilities(sigma)
    return math.fsum(mass * support.astype(np.float64) ** order)


@pytest.mark.parametrize("sigma", [Fraction(2, 5), 1, Fraction(7, 3), 9, 250])
def test_draws_follow_the_definition(sigma: Fraction | int) -> None:
    """Chi-square of the draws over equally likely cells against the definition's probabilities."""
    draws = np.array([sample(sigma) for _ in range(DRAWS)])
    support, mass = probabilities(float(sigma))
    # cells of about a twentieth each; a cell boundary falls between two integers
    cell_of = np.floor(np.cumsum(mass) * 20).clip(0, 19).astype(int)
    expected = np.bincount(cell_of, weights=mass, minlength=20) * DRAWS
    drawn_cells = cell_of[draws - support[0]]
    observed = np.bincount(drawn_cells, minlength=20)
    kept = expected > 0
    assert observed[~kept].sum() == 0
    # a rare cell joins its neighbour: chi-square needs five expected draws in each
    merged_expected, merged_observed = [0.0], [0]
    for want, got in zip(expected[kept], observed[kept], strict=True):
        if merged_expected[-1] >= 5:
            merged_expected.append(0.0)
            merged_observed.append(0)
        merged_expected[-1] += want
        merged_observed[-1] += int(got)
    assert stats.chisquare(merged_observed, merged_expected, sum_check=False).pvalue > 1e-7


@pytest.mark.parametrize("sigma", [1, 5, 300])
def test_variance_and_kurtosis_are_those_of_the_definition(sigma: int) -> None:
    """Second and fourth moment within five standard errors, the mean too."""
    draws = sample_many(sigma, DRAWS).astype(np.float64)
    for order in (1, 2, 4):
        error = math.sqrt((moment(sigma, 2 * order) - moment(sigma, order) ** 2) / DRAWS)
        assert abs(np.mean(draws**order) - moment(sigma, order)) < 5 * error
    kurtosis = moment(sigma, 4) / moment(sigma, 2) ** 2
    assert np.mean(draws**4) / np.mean(draws**2) ** 2 == pytest.approx(kurtosis, rel=0.15)


def test_variance_is_at_most_that_of_the_continuous_gaussian() -> None:
    """Var ≤ σ² (the paper's corollary 9), strictly where σ is small."""
    assert moment(0.4, 2) < 0.4**2
    assert moment(3.0, 2) <= 9.0 + 1e-9


def test_draws_are_independent_of_one_another() -> None:
    """Neighbouring draws are uncorrelated, and two batches differ."""
    draws = sample_many(50, 4000).astype(np.float64)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 5 / math.sqrt(4000)
    assert not np.array_equal(sample_many(50, 30), sample_many(50, 30))


@pytest.mark.parametrize(("sigma", "count"), [(1, 1), (20, 1000), (5000, 1 << 20)])
def test_the_tail_bound_holds_with_the_promised_probability(sigma: int, count: int) -> None:
    """The union of the sub-Gaussian tails beyond the bound is 2^-40 at most, and not much less."""
    bound = tail_bound(sigma, count)
    logarithm = math.log2(2 * count) - bound**2 / (2 * sigma**2) / math.log(2)
    assert logarithm <= -40
    below = math.log2(2 * count) - (bound - 2) ** 2 / (2 * sigma**2) / math.log(2)
    assert below > -40 or sigma == 1

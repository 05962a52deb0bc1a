"""The discrete Gaussian sampler against its own definition, coded independently."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from federation.privacy.discrete_gaussian import (
    LARGEST_SIGMA,
    discrete_gaussian_vector,
    sample,
    tail_bound,
)

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
    assert_follows(np.array([sample(sigma) for _ in range(DRAWS)]), sigma)


@pytest.mark.parametrize("sigma", [1, 2, 9, 250, 40_000])
def test_whole_vectors_follow_the_definition_too(sigma: int) -> None:
    """The same test on ten times the draws."""
    assert_follows(discrete_gaussian_vector(sigma, 10 * DRAWS), sigma)


def assert_follows(draws: npt.NDArray[np.int64], sigma: Fraction | int) -> None:
    """Chi-square of draws over equally likely cells does not contradict the definition."""
    support, mass = probabilities(float(sigma))
    # cells of about a twentieth each; a cell boundary falls between two integers
    cell_of = np.floor(np.cumsum(mass) * 20).clip(0, 19).astype(int)
    expected = np.bincount(cell_of, weights=mass, minlength=20) * len(draws)
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
    draws = discrete_gaussian_vector(sigma, DRAWS).astype(np.float64)
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
    draws = discrete_gaussian_vector(50, 4000).astype(np.float64)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 5 / math.sqrt(4000)
    assert not np.array_equal(discrete_gaussian_vector(50, 30), discrete_gaussian_vector(50, 30))


@pytest.mark.parametrize(("sigma", "count"), [(1, 1), (20, 1000), (5000, 1 << 20)])
def test_the_tail_bound_holds_with_the_promised_probability(sigma: int, count: int) -> None:
    """The union of the sub-Gaussian tails beyond the bound is 2^-40 at most, and not much less."""
    bound = tail_bound(sigma, count)
    logarithm = math.log2(2 * count) - bound**2 / (2 * sigma**2) / math.log(2)
    assert logarithm <= -40
    below = math.log2(2 * count) - (bound - 2) ** 2 / (2 * sigma**2) / math.log(2)
    assert below > -40 or sigma == 1


def test_the_largest_sigma_does_not_overflow() -> None:
    """Spread, sign and tails at the upper end, where squares come close to 2^63."""
    draws = discrete_gaussian_vector(LARGEST_SIGMA, DRAWS).astype(np.float64) / LARGEST_SIGMA
    assert abs(draws.mean()) < 5 / math.sqrt(DRAWS)
    assert abs(draws.var() - 1) < 5 * math.sqrt(2 / DRAWS)
    assert stats.kstest(draws, "norm").pvalue > 1e-7


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_vector_has_the_length_asked_for(count: int) -> None:
    """None, one, a few."""
    assert discrete_gaussian_vector(3, count).shape == (count,)


@pytest.mark.parametrize("sigma", [0, -1, 2.5, LARGEST_SIGMA + 1])
def test_a_sigma_that_integers_cannot_serve_is_refused(sigma: float) -> None:
    """Whole numbers from 1 to 2^24."""
    with pytest.raises(ValueError, match="σ must be a whole number"):
        discrete_gaussian_vector(sigma, 1)  # type: ignore[arg-type]

"""zCDP against formulas coded independently, and against the exact Gaussian mechanism."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from federation.privacy.zcdp import epsilon_of, gaussian_rho, rho_for

RHOS = st.floats(1e-4, 20.0)
DELTAS = st.sampled_from([1e-10, 1e-7, 1e-5, 1e-3, 0.05])


def delta_of(rho: float, epsilon: float) -> float:
    """min over α of exp((α-1)(αρ-ε))/(α-1)·(1-1/α)^α, on a dense grid.

    The direction δ(ε) of the same proposition, as it is printed there.
    """
    excess = np.exp(np.linspace(-12, 12, 200_001))
    alpha = 1 + excess
    logarithms = excess * (alpha * rho - epsilon) - np.log(excess) + alpha * np.log1p(-1 / alpha)
    return float(np.exp(logarithms.min()))


def exact_gaussian_epsilon(rho: float, delta: float) -> float:
    """ε of the continuous Gaussian mechanism with this ρ, analytically (Balle and Wang 2018)."""
    ratio = math.sqrt(2 * rho)  # sensitivity over σ

    def excess(epsilon: float) -> float:
        low = special.ndtr(ratio / 2 - epsilon / ratio)
        log_high = epsilon + special.log_ndtr(-ratio / 2 - epsilon / ratio)
        return float(low - math.exp(log_high)) - delta

    if excess(0.0) <= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, 500.0, xtol=1e-12))


@pytest.mark.parametrize("delta", [1e-9, 1e-5, 1e-2])
@pytest.mark.parametrize("rho", [1e-3, 0.05, 0.5, 3.0, 12.0])
def test_epsilon_inverts_the_printed_formula(rho: float, delta: float) -> None:
    """δ of the ε that was found is δ again, by the other direction of the formula on a grid."""
    assert delta_of(rho, epsilon_of(rho, delta)) == pytest.approx(delta, rel=2e-3)


@given(RHOS, DELTAS)
def test_epsilon_bounds_the_exact_gaussian_mechanism_from_above(rho: float, delta: float) -> None:
    """Never below the exact ε, whatever ρ and δ."""
    assert epsilon_of(rho, delta) >= exact_gaussian_epsilon(rho, delta) - 1e-9


@pytest.mark.parametrize("delta", [1e-7, 1e-5])
@pytest.mark.parametrize("epsilon", [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 20.0])
def test_epsilon_is_within_15_percent_of_the_exact_one(epsilon: float, delta: float) -> None:
    """Over the range that anybody trains with."""
    rho = rho_for(epsilon, delta)
    assert epsilon <= 1.15 * exact_gaussian_epsilon(rho, delta)


@given(st.floats(1e-3, 100.0), DELTAS)
def test_epsilon_to_rho_and_back(epsilon: float, delta: float) -> None:
    """rho_for gives the largest ρ that keeps ε: never over it, and nothing left on the table."""
    rho = rho_for(epsilon, delta)
    assert epsilon_of(rho, delta) <= epsilon
    if rho > 1e-9:  # below, the delta alone covers it
        assert epsilon_of(rho * 1.001 + 1e-12, delta) >= epsilon * (1 - 1e-4)


@given(RHOS, st.floats(1.01, 3.0), DELTAS)
def test_more_rho_or_less_delta_is_more_epsilon(rho: float, factor: float, delta: float) -> None:
    """Monotone both ways."""
    assert epsilon_of(rho * factor, delta) > epsilon_of(rho, delta) - 1e-6
    assert epsilon_of(rho, delta / factor) >= epsilon_of(rho, delta) - 1e-6


def test_no_rho_costs_nothing_and_infinite_rho_has_no_epsilon() -> None:
    """ρ = 0 is ε = 0; ρ = ∞ is ε = ∞."""
    assert epsilon_of(0.0, 1e-5) == 0.0
    assert math.isinf(epsilon_of(math.inf, 1e-5))


def test_two_half_budgets_cost_what_one_mechanism_of_joint_sensitivity_costs() -> None:
    """Two releases at σ are worth one release at σ/√2."""
    assert 2 * gaussian_rho(1.0, 4.0) == pytest.approx(gaussian_rho(1.0, 4.0 / math.sqrt(2)))


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_out_of_range_is_refused(delta: float) -> None:
    """δ must be a probability that is neither 0 nor 1."""
    with pytest.raises(ValueError, match="δ must lie between 0 and 1"):
        epsilon_of(0.1, delta)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 101.0, math.nan])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    """ε must lie in (0, 100]."""
    with pytest.raises(ValueError, match="ε must lie in"):
        rho_for(epsilon, 1e-5)


@pytest.mark.parametrize(("sensitivity", "sigma"), [(1.0, 0.0), (1.0, -2.0), (-1.0, 1.0)])
def test_a_mechanism_without_noise_is_refused(sensitivity: float, sigma: float) -> None:
    """σ must be positive and the sensitivity not negative."""
    with pytest.raises(ValueError, match="σ must be positive"):
        gaussian_rho(sensitivity, sigma)

"""Noise for a promised ε: never too little, hardly too much."""

from __future__ import annotations

import math

import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.privacy.accountants import ACCOUNTANTS, RdpAccountant
from federation.privacy.calibration import (
    check_target,
    noise_multiplier_for,
    release_noise_for_clients,
)
from federation.privacy.events import DistributedGaussian, SampledGaussian

DELTA = 1e-5


@pytest.mark.parametrize("accountant", ["rdp", "prv", "best"])
@pytest.mark.parametrize(
    ("epsilon", "rate", "steps"), [(3.0, 512 / 24_000, 470), (1.0, 0.05, 300), (8.0, 1.0, 10)]
)
def test_epsilon_to_noise_and_back(
    epsilon: float, rate: float, steps: int, accountant: str
) -> None:
    """The noise keeps ε, by our accountant and by dp-accounting; a little less would not."""
    noise = noise_multiplier_for(epsilon, DELTA, rate, steps, accountant)
    judge = ACCOUNTANTS[accountant]
    assert judge.epsilon([SampledGaussian(noise, rate, steps)], DELTA) <= epsilon
    assert judge.epsilon([SampledGaussian(noise / 1.004, rate, steps)], DELTA) > epsilon
    sampled = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise))
    assert PLDAccountant().compose(sampled, steps).get_epsilon(DELTA) <= epsilon


def test_the_known_figures_of_ten_epochs() -> None:
    """ε = 3 at δ = 1e-5 for 586 batches of 512 out of 30,000: 0.979 by RDP, 0.924 by PRV."""
    rate = 512 / 30_000
    assert noise_multiplier_for(3.0, DELTA, rate, 586, "rdp") == pytest.approx(0.979, abs=2e-3)
    assert noise_multiplier_for(3.0, DELTA, rate, 586, "prv") == pytest.approx(0.924, abs=2e-3)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.3, 10.0), st.floats(0.005, 0.3), st.integers(1, 400))
def test_noise_falls_with_epsilon_and_rises_with_steps(
    epsilon: float, rate: float, steps: int
) -> None:
    """Monotone within the 0.1 % of the search."""
    noise = noise_multiplier_for(epsilon, DELTA, rate, steps, "rdp")
    assert noise_multiplier_for(epsilon * 1.2, DELTA, rate, steps, "rdp") <= noise * 1.001
    assert noise_multiplier_for(epsilon, DELTA, rate, steps * 2, "rdp") >= noise / 1.001


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.5, 20.0),
    st.integers(1, 100),
    st.integers(1, 20),
    st.floats(1.0, 1e5),
    st.integers(1, 100_000),
)
def test_the_clients_noise_keeps_epsilon_and_one_unit_less_does_not(
    epsilon: float, rounds: int, honest: int, clip_norm: float, dimension: int
) -> None:
    """The smallest whole σ."""
    sigma = release_noise_for_clients(epsilon, DELTA, rounds, honest, clip_norm, dimension)

    def spent(sigma: float) -> float:
        event = DistributedGaussian(clip_norm, sigma, honest, dimension)
        return RdpAccountant().epsilon([event] * rounds, DELTA)

    assert spent(float(sigma)) <= epsilon
    assert sigma == 1 or spent(float(sigma - 1)) > epsilon


def test_honest_contributors_share_the_noise() -> None:
    """Four times as many need half of the σ each."""
    alone = release_noise_for_clients(3.0, DELTA, 10, 2, 1e5, 1000)
    shared = release_noise_for_clients(3.0, DELTA, 10, 8, 1e5, 1000)
    assert shared == pytest.approx(alone / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("epsilon", "delta", "count", "sentence"),
    [
        (0.0, DELTA, 100, "ε is 0; a positive number is right"),
        (-1.0, DELTA, 100, "ε is -1; a positive number is right"),
        (math.nan, DELTA, 100, "ε is nan; a positive number is right"),
        (math.inf, DELTA, 100, "ε is inf; a positive number is right"),
        (1.0, 0.0, 100, "δ is 0; a positive number is right"),
        (1.0, math.nan, 100, "δ is nan; a positive number is right"),
        (1.0, 0.01, 100, "δ is 0.01 for 100 records; less than 1/100 = 0.01 is right"),
        (1.0, 1e-3, 6000, "δ is 0.001 for 6,000 records; less than 1/6,000 = 0.00017 is right"),
    ],
)
def test_a_target_that_promises_nothing_is_refused(
    epsilon: float, delta: float, count: int, sentence: str
) -> None:
    """ε and δ must be positive, δ below one over the records."""
    with pytest.raises(InputError, match=f"^{sentence}$"):
        check_target(epsilon, delta, count)
    check_target(1.0, DELTA, 6000)
    with pytest.raises(InputError, match="^δ is 0.09 for 12 banks; less than 1/12 = 0.083 is"):
        check_target(1.0, 0.09, 12, "banks")


def test_a_target_that_no_noise_reaches_is_refused() -> None:
    """The numbers are named."""
    with pytest.raises(InputError, match=r"no noise keeps ε = 0.0001 .* over 100000000 steps"):
        noise_multiplier_for(1e-4, 1e-9, 1.0, 100_000_000)
    with pytest.raises(InputError, match="no noise share up to"):
        release_noise_for_clients(0.01, DELTA, 1000, 1, 1e6, 10)
    with pytest.raises(ValueError, match="rounds must be 1 at least"):
        release_noise_for_clients(1.0, DELTA, 0, 1, 1e6, 10)

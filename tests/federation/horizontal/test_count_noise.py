"""Noise on a bank's own counts."""

from __future__ import annotations

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st

from federation.horizontal.count_noise import SHARE, CountNoise
from federation.privacy.zcdp import gaussian_rho, rho_for


@given(st.floats(0.1, 20), st.sampled_from([1e-5, 1e-6, 1e-8]))
def test_the_share_is_kept(epsilon: float, delta: float) -> None:
    """A histogram never takes more than its share of the run's ρ."""
    noise = CountNoise.for_share(epsilon, delta)
    assert gaussian_rho(1.0, noise.sigma) <= SHARE * rho_for(epsilon, delta) * (1 + 1e-12)


def test_an_independent_accountant_agrees_that_it_costs_little() -> None:
    """By dp-accounting, the histogram's ε is below a fifth of the run's."""
    noise = CountNoise.for_share(3.0, 1e-5)
    accountant = PLDAccountant()
    accountant.compose(GaussianDpEvent(float(noise.sigma)))
    assert accountant.get_epsilon(1e-5) < 0.6


def test_sums_of_noisy_counts_are_the_counts_but_for_the_noise() -> None:
    """The shift that keeps counts positive comes off again; what stays has the noise's variance."""
    noise = CountNoise(20)
    counts = np.arange(4000, dtype=np.int64) % 7
    sums = sum(noise.encode(counts).astype(object) for _ in range(3))
    rest = noise.decode(np.array(sums, dtype=np.uint64), 3) - 3 * counts
    assert abs(float(rest.mean())) < 5 * 20 * np.sqrt(3 / 4000)
    assert float(rest.var()) == pytest.approx(3 * 20**2, rel=0.15)

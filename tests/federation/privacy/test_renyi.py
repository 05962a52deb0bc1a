"""Rényi curves against multiprecision integration, Opacus and dp-accounting; events' own checks."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import pytest
from dp_accounting.rdp.rdp_privacy_accountant import _compute_rdp_poisson_subsampled_gaussian
from hypothesis import given
from hypothesis import strategies as st
from opacus.accountants.analysis.rdp import compute_rdp

from federation.privacy.events import (
    DistributedGaussian,
    Event,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
    event_from_json,
    event_to_json,
    merged,
)
from federation.privacy.renyi import divergence

EVENTS = st.one_of(
    st.builds(SampledGaussian, st.floats(0.4, 20), st.floats(1e-4, 1.0), st.integers(1, 500)),
    st.builds(GaussianRelease, st.floats(0, 5)),
    st.builds(
        DistributedGaussian,
        st.floats(1, 1e4),
        st.floats(0.5, 1e5),
        st.integers(1, 30),
        st.integers(1, 10**6),
    ),
    st.builds(RandomisedResponse, st.floats(0.01, 20)),
    st.just(Exact()),
)


@pytest.mark.parametrize("alpha", [1.05, 1.7, 6.5, 20])
@pytest.mark.parametrize(("noise", "rate"), [(0.5, 0.01), (1.0, 0.02), (1.1, 0.5), (25.0, 0.9)])
def test_the_sampled_gaussian_against_multiprecision(
    noise: float, rate: float, alpha: float
) -> None:
    """The defining integral with 25 digits."""
    with mpmath.workdps(25):
        sigma, q = mpmath.mpf(noise), mpmath.mpf(rate)

        def integrand(z: mpmath.mpf) -> mpmath.mpf:
            mixture = 1 - q + q * mpmath.exp((2 * z - 1) / (2 * sigma**2))
            return mpmath.npdf(z, 0, sigma) * mixture ** mpmath.mpf(alpha)

        low, high = -14 * noise, alpha + 14 * noise
        pieces = max(8, math.ceil((high - low) / (3 * noise)))
        points = [low + (high - low) * index / pieces for index in range(pieces + 1)]
        true = float(mpmath.log(mpmath.quad(integrand, points)) / (alpha - 1))
    event = SampledGaussian(noise, rate, 1)
    assert divergence(event, alpha - 1) == pytest.approx(true, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("alpha", [2, 3, 8, 31, 64])
@pytest.mark.parametrize(("noise", "rate"), [(0.7, 0.004), (1.0, 0.02), (2.5, 0.2), (3.0, 1.0)])
def test_the_sampled_gaussian_against_opacus_and_dp_accounting(
    noise: float, rate: float, alpha: int
) -> None:
    """Both sum a series where we integrate."""
    ours = divergence(SampledGaussian(noise, rate, 40), alpha - 1)
    opacus = compute_rdp(q=rate, noise_multiplier=noise, steps=40, orders=[alpha])
    google = _compute_rdp_poisson_subsampled_gaussian(rate, noise, [alpha]) * 40
    assert ours == pytest.approx(float(opacus[0]), rel=1e-8)
    assert ours == pytest.approx(float(google[0]), rel=1e-8)


@given(EVENTS, st.floats(0.01, 100), st.floats(1.01, 5))
def test_curves_rise_with_the_order_and_are_not_negative(
    event: Event, excess: float, factor: float
) -> None:
    """As every Rényi divergence does; the infinite order is the largest."""
    lower, higher = divergence(event, excess), divergence(event, excess * factor)
    assert 0 <= lower <= higher * (1 + 1e-9) + 1e-11
    assert higher <= divergence(event, math.inf) * (1 + 1e-9)


@given(st.floats(0.01, 20))
def test_randomised_response_runs_from_its_divergence_to_its_pure_epsilon(epsilon: float) -> None:
    """Order 1 is the Kullback-Leibler divergence ε·tanh(ε/2), order ∞ is ε."""
    event = RandomisedResponse(epsilon)
    assert divergence(event, 1e-6) == pytest.approx(epsilon * math.tanh(epsilon / 2), rel=1e-3)
    assert divergence(event, math.inf) == epsilon


@given(st.floats(0.5, 3.0), st.integers(1, 10), st.integers(1, 1000), st.floats(0.01, 50))
def test_noise_shares_are_never_better_than_one_gaussian(
    sigma: float, honest: int, dimension: int, excess: float
) -> None:
    """The correction only adds; with one contributor there is none."""
    event = DistributedGaussian(5.0, sigma, honest, dimension)
    plain = GaussianRelease(25.0 / (2 * honest * sigma**2))
    assert divergence(event, excess) >= divergence(plain, excess) * (1 - 1e-12)
    alone = replace(event, honest_contributors=1)
    assert alone.correction == 0
    one = GaussianRelease(25.0 / (2 * sigma**2))
    assert divergence(alone, excess) == pytest.approx(divergence(one, excess))


@given(EVENTS)
def test_an_event_survives_json(event: Event) -> None:
    """To the last bit."""
    assert event_from_json(event_to_json(event), "here") == event


@given(st.lists(EVENTS, max_size=12), st.randoms())
def test_merging_keeps_every_event_and_forgets_the_order(events: list[Event], random) -> None:  # type: ignore[no-untyped-def]
    """The same counts in the same order from any order; no step is lost."""
    counts = merged(events)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert list(merged(shuffled).items()) == list(counts.items())
    steps = sum(event.steps for event in events if isinstance(event, SampledGaussian))
    others = sum(not isinstance(event, SampledGaussian) for event in events)
    assert sum(counts.values()) == steps + others


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SampledGaussian(0.0, 0.1, 1), "noise_multiplier must be positive"),
        (lambda: SampledGaussian(math.inf, 0.1, 1), "noise_multiplier must be positive"),
        (lambda: SampledGaussian(1.0, 0.0, 1), "sampling_rate must lie in"),
        (lambda: SampledGaussian(1.0, 1.1, 1), "sampling_rate must lie in"),
        (lambda: SampledGaussian(1.0, 0.1, 0), "steps must be a whole number"),
        (lambda: SampledGaussian(1.0, 0.1, 2.5), "steps must be a whole number"),  # type: ignore[arg-type]
        (lambda: GaussianRelease(-0.1), "rho must be finite and not negative"),
        (lambda: GaussianRelease(math.inf), "rho must be finite and not negative"),
        (lambda: RandomisedResponse(0.0), "epsilon must be positive"),
        (lambda: DistributedGaussian(1.0, 0.4, 2, 1), "sigma must be 0.5 at least"),
        (lambda: DistributedGaussian(0.0, 1.0, 2, 1), "clip_norm must be positive"),
        (lambda: DistributedGaussian(1.0, 1.0, 0, 1), "honest_contributors must be a whole"),
        (lambda: DistributedGaussian(1.0, 1.0, 1, 0), "dimension must be a whole number"),
    ],
)
def test_a_mechanism_that_cannot_be_is_refused(make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    """Parameters out of range never become an event."""
    with pytest.raises(ValueError, match=sentence):
        make()

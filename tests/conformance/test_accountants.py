"""Every accountant through one suite, judged by dp-accounting, which shares no code with ours.

Google's accountants compute the same figures their own way: Rényi curves at fixed orders, and
privacy loss distributions (PLD), of which one rounding gives an upper and the other a lower bound.
"""

from __future__ import annotations

import logging
import math
import random
from functools import cache

import pytest
from dp_accounting import NeighboringRelation, dp_event
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant as GoogleRdp
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.privacy.accountants import (
    ACCOUNTANTS,
    Accountant,
    RdpAccountant,
    UnsupportedHistory,
)
from federation.privacy.events import (
    DistributedGaussian,
    Event,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
)

DELTA = 1e-5
Steps = tuple[tuple[float, float, int], ...]

# σ, q and steps as four banks of 6,000 records each train, and further out on either side.
TRAININGS: list[Steps] = [
    ((1.0, 0.02, 1000),),
    ((0.92, 512 / 24_000, 470),),
    ((2.0, 0.05, 800),),
    ((5.0, 0.1, 400),),
    ((0.6, 0.004, 250),),
    ((3.0, 1.0, 5),),
    ((0.8, 0.01, 500), (2.0, 0.05, 300)),
    ((1.2, 0.02, 300), (1.0, 0.04, 100), (4.0, 0.2, 50)),
]


def events_of(steps: Steps) -> list[Event]:
    """Our events."""
    return [SampledGaussian(noise, rate, count) for noise, rate, count in steps]


@cache
def google_rdp(steps: Steps, delta: float = DELTA) -> float:
    """ε of dp-accounting's RDP accountant."""
    logging.disable(logging.WARNING)  # it tells of the orders that it leaves out
    accountant = GoogleRdp()
    for noise, rate, count in steps:
        sampled = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise))
        accountant.compose(sampled, count)
    epsilon = float(accountant.get_epsilon(delta))
    logging.disable(logging.NOTSET)
    return epsilon


@cache
def google_pld(steps: Steps, upper: bool, delta: float = DELTA) -> float:
    """An upper or a lower bound of the true ε, both directions of neighbours covered."""
    # The upper bound hardly depends on the width of its steps, the lower one does.
    width = 5e-4 if upper else 1e-4
    first, *rest = (
        privacy_loss_distribution.from_gaussian_mechanism(
            noise,
            sampling_prob=rate,
            pessimistic_estimate=upper,
            value_discretization_interval=width,
        ).self_compose(count)
        for noise, rate, count in steps
    )
    for other in rest:
        first = first.compose(other)
    return float(first.get_epsilon_for_delta(delta))


# How far PRV's own error may move an ε; RDP has none.
SLACK = {"rdp": 1e-9, "prv": 0.012, "best": 0.012}

each = pytest.mark.parametrize("accountant", ACCOUNTANTS.values(), ids=list(ACCOUNTANTS))


@each
@pytest.mark.parametrize("steps", TRAININGS)
def test_dp_sgd_is_bounded_from_above_and_tightly(accountant: Accountant, steps: Steps) -> None:
    """Never below the true ε, never above what dp-accounting vouches for."""
    epsilon = accountant.epsilon(events_of(steps), DELTA)
    rdp, pld = google_rdp(steps), google_pld(steps, upper=True)
    ceiling = {"rdp": rdp, "prv": pld, "best": min(rdp, pld)}[accountant.name]
    assert google_pld(steps, upper=False) <= epsilon <= ceiling + SLACK[accountant.name]


@each
@pytest.mark.parametrize("delta", [1e-8, 1e-3])
def test_other_deltas_too(accountant: Accountant, delta: float) -> None:
    """From far below one over the records to far above."""
    steps = TRAININGS[0]
    epsilon = accountant.epsilon(events_of(steps), delta)
    assert google_pld(steps, False, delta) <= epsilon <= google_rdp(steps, delta) + 1e-9


@each
def test_nothing_costs_nothing_and_exact_costs_everything(accountant: Accountant) -> None:
    """ε of no event is 0; one exact release leaves no ε."""
    assert accountant.epsilon([], DELTA) == 0.0
    assert math.isinf(accountant.epsilon([SampledGaussian(1.0, 0.01, 10), Exact()], DELTA))


@each
@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_out_of_range_is_refused(accountant: Accountant, delta: float) -> None:
    """δ must be a probability that is neither 0 nor 1."""
    with pytest.raises(ValueError, match="δ must lie between 0 and 1"):
        accountant.epsilon([SampledGaussian(1.0, 0.01, 10)], delta)


@each
@settings(max_examples=6, deadline=None)
@given(rounds=st.lists(st.integers(1, 30), min_size=1, max_size=12), order=st.randoms())
def test_rounds_compose_to_one_history_exactly(
    accountant: Accountant, rounds: list[int], order: random.Random
) -> None:
    """N rounds of any lengths, in any order, are the one history of all steps to the last bit."""
    other = SampledGaussian(1.5, 0.02, 40)
    portions: list[Event] = [SampledGaussian(2.0, 0.05, count) for count in rounds] + [other]
    order.shuffle(portions)
    whole = [other, SampledGaussian(2.0, 0.05, sum(rounds))]
    assert accountant.epsilon(portions, DELTA) == accountant.epsilon(whole, DELTA)


@each
@settings(max_examples=5, deadline=None)
@given(
    noise=st.sampled_from([0.9, 1.3, 2.5, 6.0]),
    rate=st.sampled_from([0.005, 0.02, 0.1]),
    steps=st.sampled_from([10, 100, 400]),
    delta=st.sampled_from([1e-7, 1e-5, 1e-3]),
)
def test_more_steps_less_noise_or_less_delta_cost_more(
    accountant: Accountant, noise: float, rate: float, steps: int, delta: float
) -> None:
    """Monotone in each parameter."""
    base = accountant.epsilon([SampledGaussian(noise, rate, steps)], delta)
    for worse, at in (
        (SampledGaussian(noise / 1.5, rate, steps), delta),
        (SampledGaussian(noise, rate * 2, steps), delta),
        (SampledGaussian(noise, rate, steps * 2), delta),
        (SampledGaussian(noise, rate, steps), delta / 10),
    ):
        assert accountant.epsilon([worse], at) >= base - SLACK[accountant.name]


def test_what_prv_does_not_serve_it_refuses_and_best_takes_from_rdp() -> None:
    """Other mechanisms and tiny δ: the error names the accountant to use instead."""
    steps = SampledGaussian(1.0, 0.01, 10)
    rdp, prv, best = (ACCOUNTANTS[name] for name in ("rdp", "prv", "best"))
    for history, delta in (
        ([steps, GaussianRelease(0.1)], DELTA),
        ([RandomisedResponse(1.0)], DELTA),
        ([DistributedGaussian(10.0, 20.0, 3, 5)], DELTA),
        ([steps], 1e-12),
    ):
        with pytest.raises(UnsupportedHistory, match="use the RDP accountant"):
            prv.epsilon(history, delta)
        assert best.epsilon(history, delta) == rdp.epsilon(history, delta)


@pytest.mark.parametrize("times", [1, 3, 40])
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_randomised_response_against_dp_accounting(epsilon: float, times: int) -> None:
    """Between the true ε (PLD) and dp-accounting's RDP and the plain sum of pure ε."""
    ours = RdpAccountant().epsilon([RandomisedResponse(epsilon)] * times, DELTA)
    noise = 2 / (1 + math.exp(epsilon))  # with this probability a label is drawn afresh
    event = dp_event.RandomizedResponseDpEvent(noise, 2)
    pld = PLDAccountant(NeighboringRelation.REPLACE_ONE).compose(event, times)
    assert pld.get_epsilon(DELTA) - 1e-3 <= ours
    rdp = GoogleRdp(neighboring_relation=NeighboringRelation.REPLACE_ONE).compose(event, times)
    assert ours <= min(rdp.get_epsilon(DELTA), epsilon * times) + 1e-9


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize(("sigma", "sensitivity"), [(1.5, 1), (10.0, 3), (40.0, 60)])
def test_the_discrete_gaussian_against_dp_accounting(
    sigma: float, sensitivity: int, times: int
) -> None:
    """Above the mechanism's true ε (PLD), and what dp-accounting makes of the same ρ."""
    rho = sensitivity**2 / (2 * sigma**2)
    ours = RdpAccountant().epsilon([GaussianRelease(rho)] * times, DELTA)
    one = privacy_loss_distribution.from_discrete_gaussian_mechanism(sigma, sensitivity)
    true = one.self_compose(times).get_epsilon_for_delta(DELTA)
    assert true - 1e-3 <= ours <= 1.3 * true
    rdp = GoogleRdp().compose(dp_event.ZCDpEvent(rho), times)
    assert ours <= rdp.get_epsilon(DELTA) + 1e-9


@pytest.mark.parametrize("times", [1, 8])
@pytest.mark.parametrize(("sigma", "honest"), [(2.0, 2), (30.0, 3), (500.0, 9)])
def test_many_noise_shares_are_worth_one_gaussian(sigma: float, honest: int, times: int) -> None:
    """The correction is nothing to speak of from σ = 2 on: dp-accounting's plain Gaussian."""
    event = DistributedGaussian(sigma, sigma, honest, 10_000)
    ours = RdpAccountant().epsilon([event] * times, DELTA)
    plain = dp_event.GaussianDpEvent(math.sqrt(honest))
    assert ours == pytest.approx(GoogleRdp().compose(plain, times).get_epsilon(DELTA), rel=2e-3)
    assert ours >= PLDAccountant().compose(plain, times).get_epsilon(DELTA) - 1e-3


@pytest.mark.parametrize("honest", [1, 2, 3, 6])
@pytest.mark.parametrize("sigma", [0.5, 0.6, 0.8, 1.5])
def test_noise_shares_of_small_sigma_against_their_own_distribution(
    sigma: float, honest: int
) -> None:
    """The sum's probabilities by convolution, into dp-accounting's PLD: never above our ε."""
    reach = math.ceil(14 * sigma)
    share = {x: math.exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)}
    mass = math.fsum(share.values())
    total = {0: 1.0}
    for _ in range(honest):
        wider: dict[int, float] = {}
        for x, p in total.items():
            for y, weight in share.items():
                wider[x + y] = wider.get(x + y, 0.0) + p * weight / mass
        total = wider
    logs = {x: math.log(p) for x, p in total.items() if p > 1e-200}
    moved = {x + 1: logarithm for x, logarithm in logs.items()}
    true = privacy_loss_distribution.from_two_probability_mass_functions(
        logs, moved, value_discretization_interval=5e-4
    )
    for times in (1, 5):
        event = DistributedGaussian(1.0, sigma, honest, 1)
        ours = RdpAccountant().epsilon([event] * times, DELTA)
        assert ours >= true.self_compose(times).get_epsilon_for_delta(DELTA) - 1e-3


def test_labels_released_by_two_mechanisms_compose() -> None:
    """Noisy sums and flipped labels together, against the composed PLD."""
    history = [GaussianRelease(0.02)] * 3 + [RandomisedResponse(1.5)]
    gaussian = privacy_loss_distribution.from_gaussian_mechanism(1 / math.sqrt(0.04))
    noise = 2 / (1 + math.exp(1.5))
    flipped = privacy_loss_distribution.from_randomized_response(
        noise, 2, neighboring_relation=NeighboringRelation.REPLACE_ONE
    )
    true = gaussian.self_compose(3).compose(flipped).get_epsilon_for_delta(DELTA)
    ours = RdpAccountant().epsilon(history, DELTA)
    assert true <= ours <= 1.25 * true

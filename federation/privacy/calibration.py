"""How much noise a promised ε needs: DP-SGD's noise multiplier, and the clients' noise shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from federation.errors import InputError
from federation.privacy.accountants import ACCOUNTANTS, RdpAccountant, accountant_named
from federation.privacy.events import DistributedGaussian, Event, SampledGaussian

_SMALLEST_MULTIPLIER, _LARGEST_MULTIPLIER = 0.05, 1e4
_LARGEST_SIGMA = 1 << 24


def check_target(epsilon: float, delta: float, count: int, units: str = "records") -> None:
    """Refuse an ε or a δ that promises nothing.

    Args:
        epsilon: positive.
        delta: positive, and below 1/count: at 1/count, publishing one of the units would pass.
        count: how many units of privacy the data holds.
        units: what they are, in words.

    Raises:
        InputError: names the value and what would be right.
    """
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InputError(f"ε is {epsilon:g}; a positive number is right")
    if not (math.isfinite(delta) and delta > 0):
        raise InputError(f"δ is {delta:g}; a positive number is right")
    if count < 1 or delta >= 1 / count:
        raise InputError(
            f"δ is {delta:g} for {count:,} {units}; less than 1/{count:,} = "
            f"{1 / max(count, 1):.2g} is right"
        )


def noise_multiplier_for(
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: str = "best",
    beside: Sequence[Event] = (),
) -> float:
    """The noise multiplier with which so many steps of DP-SGD keep ε at δ.

    Within 0.1 % of the smallest; the ε that the same accountant reports for it is never above
    `epsilon`.

    Args:
        epsilon: for all steps together, positive.
        delta: between 0 and 1.
        sampling_rate: of Poisson sampling, in (0, 1].
        steps: at least one.
        accountant: "rdp", "prv" or "best".
        beside: other events of the same run that ε must cover too.

    Raises:
        InputError: there is no such accountant, or no noise multiplier up to 10,000 is enough.
        UnsupportedHistory: the accountant has no bound for it.
    """
    check_target(epsilon, delta, 1)
    judge = accountant_named(accountant)

    def spent(noise: float, by: str) -> float:
        event = SampledGaussian(noise, sampling_rate, steps)
        return ACCOUNTANTS[by].epsilon((event, *beside), delta)

    # RDP needs a little more noise and is quick: from there the tighter one goes down.
    upper = _smallest_enough(lambda noise: spent(noise, "rdp") <= epsilon)
    if upper is None:
        raise InputError(
            f"no noise keeps ε = {epsilon:g} at δ = {delta:g} over {steps} steps at sampling rate "
            f"{sampling_rate:g}; fewer steps or a larger ε would"
        )
    if judge.name == "rdp" or spent(upper, judge.name) > epsilon:
        return upper
    lower, ratio = upper, 0.9
    while lower > _SMALLEST_MULTIPLIER and spent(lower * ratio, judge.name) <= epsilon:
        lower *= ratio
    return _bisect(lambda noise: spent(noise, judge.name) <= epsilon, lower * ratio, lower)


def release_noise_for_clients(
    epsilon: float,
    delta: float,
    rounds: int,
    honest_contributors: int,
    clip_norm: float,
    dimension: int,
) -> int:
    """σ of every contributor's noise share that keeps client-level ε at δ over all rounds.

    Args:
        epsilon: for all rounds together, positive.
        delta: between 0 and 1.
        rounds: secure sums that will be opened.
        honest_contributors: fewest shares that an attacker does not know. A bank knows its own:
            n - c - d, with n contributors of whom c pool what they know and d may drop out.
        clip_norm: largest L2 norm of a contributor's integer vector, after rounding.
        dimension: of the vector.

    Returns:
        The smallest whole σ, in the vector's integer units.

    Raises:
        InputError: ε or δ is not positive, or no σ up to 2^24 is enough.
    """
    check_target(epsilon, delta, 1)

    def enough(sigma: int) -> bool:
        event = DistributedGaussian(clip_norm, float(sigma), honest_contributors, dimension)
        return RdpAccountant().epsilon((event,) * rounds, delta) <= epsilon

    if rounds < 1:
        raise ValueError(f"rounds must be 1 at least, not {rounds}")
    high = 1
    while not enough(high):
        high *= 2
        if high > _LARGEST_SIGMA:
            raise InputError(
                f"no noise share up to σ = {_LARGEST_SIGMA:,} keeps client-level ε = {epsilon:g} "
                f"at δ = {delta:g} over {rounds} rounds; fewer rounds, coarser steps of the "
                "updates or a larger ε would"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _smallest_enough(enough: Callable[[float], bool]) -> float | None:
    high = 1.0
    while not enough(high):
        high *= 2
        if high > _LARGEST_MULTIPLIER:
            return None
    while high > _SMALLEST_MULTIPLIER and enough(high / 2):
        high /= 2
    return _bisect(enough, high / 2, high)


def _bisect(enough: Callable[[float], bool], low: float, high: float) -> float:
    """Within 0.1 % above the least value that is enough; `high` is."""
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high

"""The accountant: what a history of label releases is worth as (ε, δ).

Releases are immutable events; the accountant composes them as zero-concentrated differential
privacy (Bun & Steinke 2016): the (multivariate) discrete Gaussian with standard deviation σ on
integers of L2 sensitivity Δ₂ is ρ-zCDP with ρ = Δ₂²/(2σ²) (Canonne, Kamath, Steinke 2020, theorem 4
and its multivariate form), ρ adds up, adaptively too. An exact release has no bound: ρ = ∞.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelRelease:
    """One release of sums over labels.

    Attributes:
        rho: its zCDP parameter; math.inf where the sums were exact.
        run: the run it belongs to.
        what: in words, what was released and to whom.
    """

    rho: float
    run: str
    what: str


def gaussian_rho(l2_sensitivity: float, sigma: float) -> float:
    """ρ of one release by the (discrete) Gaussian mechanism."""
    if sigma <= 0 or l2_sensitivity < 0:
        raise ValueError(f"σ must be positive and the sensitivity not negative: {sigma}")
    return l2_sensitivity**2 / (2 * sigma**2)


def compose(releases: Iterable[LabelRelease]) -> float:
    """ρ of all releases together."""
    return math.fsum(release.rho for release in releases)


def epsilon_of(rho: float, delta: float) -> float:
    """The smallest ε with (ε, δ)-DP that ρ-zCDP implies by the Rényi conversion.

    Proposition 12 of Canonne, Kamath, Steinke 2020: for every α > 1,
    ε = α·ρ + log((α-1)/α) - (log δ + log α)/(α-1), minimised over α.
    """
    if not 0 < delta < 1:
        raise ValueError(f"δ must lie between 0 and 1, not {delta}")
    if rho == 0:
        return 0.0
    if math.isinf(rho):
        return math.inf

    def bound(log_excess: float) -> float:
        excess = math.exp(log_excess)  # α - 1
        alpha = 1 + excess
        return alpha * rho + math.log(excess / alpha) - (math.log(delta) + math.log(alpha)) / excess

    centre = 0.5 * math.log(math.log(1 / delta) / rho)
    return max(0.0, _smallest(bound, centre - 6, centre + 6))


def _smallest(function: Callable[[float], float], low: float, high: float) -> float:
    """The smallest value of a function with one valley (golden section, Kiefer 1953).

    Every value is a valid ε, so a search that stops early is only a little pessimistic.
    """
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-7:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return min(at_left, at_right)


def rho_for(epsilon: float, delta: float) -> float:
    """The largest ρ whose ε at δ does not exceed `epsilon` (bisection)."""
    if not 0 < epsilon <= 100:
        raise ValueError(f"ε must lie in (0, 100], not {epsilon}")
    low, high = 0.0, epsilon + 1.0
    while epsilon_of(high, delta) < epsilon:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if epsilon_of(middle, delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low

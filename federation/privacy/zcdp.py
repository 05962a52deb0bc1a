"""Zero-concentrated differential privacy: ρ of a noisy sum, and what it is worth as (ε, δ).

Bun & Steinke 2016: the (multivariate) discrete Gaussian with standard deviation σ on integers of
L2 sensitivity Δ₂ is ρ-zCDP with ρ = Δ₂²/(2σ²) (Canonne, Kamath, Steinke 2020, theorem 4 and its
multivariate form), and ρ adds up, adaptively too.
"""

from __future__ import annotations

import math

from federation.privacy.renyi import check_delta, epsilon_at, smallest


def gaussian_rho(l2_sensitivity: float, sigma: float) -> float:
    """ρ of one release by the (discrete) Gaussian mechanism."""
    if sigma <= 0 or l2_sensitivity < 0:
        raise ValueError(f"σ must be positive and the sensitivity not negative: {sigma}")
    return l2_sensitivity**2 / (2 * sigma**2)


def epsilon_of(rho: float, delta: float) -> float:
    """The smallest ε with (ε, δ)-DP that ρ-zCDP implies by the Rényi conversion.

    Proposition 12 of Canonne, Kamath, Steinke 2020: for every α > 1,
    ε = α·ρ + log((α-1)/α) - (log δ + log α)/(α-1), minimised over α.
    """
    check_delta(delta)
    if rho == 0:
        return 0.0
    if math.isinf(rho):
        return math.inf

    def bound(log_excess: float) -> float:
        excess = math.exp(log_excess)
        return epsilon_at(excess, (1 + excess) * rho, delta)

    centre = 0.5 * math.log(math.log(1 / delta) / rho)
    return max(0.0, smallest(bound, centre - 6, centre + 6))


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

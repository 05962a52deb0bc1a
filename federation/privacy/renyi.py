"""Rényi differential privacy: the curve of every mechanism, and the conversion to (ε, δ).

Mironov 2017: a mechanism's divergence of order α > 1 adds up over a history, adaptively too. An
order is passed as its excess α - 1, so that orders close to 1 keep their digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from federation.privacy.events import (
    DistributedGaussian,
    Event,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
)

# An order that needs a longer sum than this is left out, which can only make ε larger.
_MOST_POINTS = 20_000


def check_delta(delta: float) -> None:
    """Refuse a δ that is no probability strictly between 0 and 1."""
    if not 0 < delta < 1:
        raise ValueError(f"δ must lie between 0 and 1, not {delta}")


def epsilon_at(excess: float, divergence: float, delta: float) -> float:
    """ε that a Rényi divergence of order α = 1 + excess implies at δ.

    Proposition 12 of Canonne, Kamath, Steinke 2020 (also Balle et al. 2020):
    ε = divergence + log((α-1)/α) - (log δ + log α)/(α-1).
    """
    log_alpha = math.log1p(excess)
    return divergence + math.log(excess) - log_alpha - (math.log(delta) + log_alpha) / excess


def smallest(function: Callable[[float], float], low: float, high: float) -> float:
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


def divergence(event: Event, excess: float) -> float:
    """The Rényi divergence of one event (one step of DP-SGD times its steps) at α = 1 + excess.

    excess may be math.inf: the divergence of infinite order is the pure ε.
    """
    alpha = 1 + excess
    match event:
        case SampledGaussian(noise_multiplier, sampling_rate, steps):
            return steps * _sampled_gaussian(noise_multiplier, sampling_rate, excess)
        case GaussianRelease(rho):
            return alpha * rho if rho else 0.0
        case DistributedGaussian():
            return _distributed_gaussian(event, alpha)
        case RandomisedResponse(epsilon):
            return _randomised_response(epsilon, excess)
        case Exact():
            return math.inf


def _randomised_response(epsilon: float, excess: float) -> float:
    """Mironov 2017, proposition 5; the larger and the smaller probability are e^ε apart."""
    if math.isinf(excess):
        return epsilon
    log_kept = -math.log1p(math.exp(-epsilon))
    log_flipped = log_kept - epsilon
    # p^α (1-p)^(1-α) = p·e^(ε(α-1)), and the mirror image
    total = np.logaddexp(log_kept + epsilon * excess, log_flipped - epsilon * excess)
    return min(epsilon, max(0.0, float(total) / excess))


def _distributed_gaussian(event: DistributedGaussian, alpha: float) -> float:
    """Proposition 14 of Kairouz, Liu, Steinke 2021, with L1 sensitivity at its largest, √d·Δ₂."""
    scale = event.clip_norm / (math.sqrt(event.honest_contributors) * event.sigma)
    tau = event.correction
    return min(
        alpha / 2 * scale**2 + tau * event.dimension,
        alpha / 2 * (scale + tau * math.sqrt(event.dimension)) ** 2,
    )


@lru_cache(maxsize=1 << 16)
def _sampled_gaussian(noise: float, rate: float, excess: float) -> float:
    """One step: log E[((1-q) + q·exp((2z-1)/(2σ²)))^α]/(α-1), z normal with standard deviation σ.

    Mironov, Talwar, Zhang 2019, section 3.3 (the removal of a record is the larger direction). The
    integrand is analytic within π·σ² of the real line, so the trapezoidal rule has errors of order
    exp(-2π·πσ²/h): none above rounding at these steps h (Trefethen & Weideman 2014).
    """
    alpha = 1 + excess
    if rate == 1:
        return alpha / (2 * noise**2)
    step = min(noise, noise**2) / 3
    low, high = -11 * noise, alpha + 11 * noise
    if not (high - low) / step < _MOST_POINTS:
        return math.inf
    z = low + step * np.arange(math.ceil((high - low) / step) + 1)
    mixture = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * z - 1) / (2 * noise**2))
    exponents = alpha * mixture - z**2 / (2 * noise**2)
    peak = float(exponents.max())
    total = math.fsum(np.exp(exponents - peak)) * step / (noise * math.sqrt(2 * math.pi))
    return max(0.0, (math.log(total) + peak) / excess)

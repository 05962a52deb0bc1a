"""Accountants: the ε of a whole history of events at a δ, by two independent ways.

RDP adds Rényi curves and serves every mechanism. PRV composes privacy loss distributions
numerically (Gopi, Lee, Wutschitz 2021, in Opacus): tighter, and for DP-SGD alone. Both give bounds
from above; the smaller of two bounds is a bound.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import numpy as np

from federation.errors import InputError
from federation.privacy.events import Event, Exact, SampledGaussian, merged
from federation.privacy.renyi import check_delta, divergence, epsilon_at, smallest

# Orders minus one; ratio 1.18 between neighbours, and the best one is refined between them.
_EXCESSES = tuple(float(excess) for excess in np.geomspace(1e-4, 1e5, 126))
_PRV_ERROR = 0.005
# Below it the rounding of the fast Fourier transform is no longer small beside δ.
_PRV_SMALLEST_DELTA = 1e-9


class UnsupportedHistory(ValueError):
    """This accountant has no bound for such a history or δ; another one has."""


class Accountant(Protocol):
    """Turns a history into ε."""

    @property
    def name(self) -> str:
        """What settings call it."""

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """An upper bound of ε at δ; math.inf where no ε bounds the history, 0 if it is empty.

        Raises:
            ValueError: δ is not between 0 and 1.
            UnsupportedHistory: use another accountant.
        """


class RdpAccountant:
    """Rényi curves, added and converted at the best order."""

    name = "rdp"

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """See Accountant."""
        check_delta(delta)
        history = merged(events)
        if not history:
            return 0.0

        def total(excess: float) -> float:
            return math.fsum(times * divergence(event, excess) for event, times in history.items())

        def bound(log_excess: float) -> float:
            excess = math.exp(log_excess)
            return epsilon_at(excess, total(excess), delta)

        if any(isinstance(event, Exact) for event in history):
            return math.inf
        values = [epsilon_at(excess, total(excess), delta) for excess in _EXCESSES]
        best = int(np.argmin(values))
        low, high = max(best - 1, 0), min(best + 1, len(values) - 1)
        refined = smallest(bound, math.log(_EXCESSES[low]), math.log(_EXCESSES[high]))
        # The infinite order adds pure ε up, and needs no δ.
        return max(0.0, min(refined, values[best], total(math.inf)))


class PrvAccountant:
    """Privacy loss distributions of DP-SGD, composed by Opacus; the upper end of its error."""

    name = "prv"

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """See Accountant."""
        check_delta(delta)
        history = merged(events)
        if not history:
            return 0.0
        if any(isinstance(event, Exact) for event in history):
            return math.inf
        steps = []
        for event, times in history.items():
            if not isinstance(event, SampledGaussian):
                raise UnsupportedHistory(
                    "the PRV accountant serves DP-SGD alone; use the RDP accountant for a history "
                    f"with {event.words(times)}"
                )
            steps.append((event.noise_multiplier, event.sampling_rate, times))
        if delta < _PRV_SMALLEST_DELTA:
            raise UnsupportedHistory(
                f"the PRV accountant serves δ from {_PRV_SMALLEST_DELTA:g} on, not {delta:g}; use "
                "the RDP accountant"
            )
        return _prv_epsilon(tuple(steps), delta)


class BestAccountant:
    """The smaller of the two bounds."""

    name = "best"

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """See Accountant."""
        history = tuple(events)
        bound = RdpAccountant().epsilon(history, delta)
        try:
            return min(bound, PrvAccountant().epsilon(history, delta))
        except UnsupportedHistory:
            return bound


ACCOUNTANTS: dict[str, Accountant] = {
    accountant.name: accountant
    for accountant in (RdpAccountant(), PrvAccountant(), BestAccountant())
}


def accountant_named(name: str) -> Accountant:
    """The accountant that settings call so.

    Raises:
        InputError: there is none.
    """
    if name not in ACCOUNTANTS:
        raise InputError(f"accountant is '{name}'; one of {', '.join(ACCOUNTANTS)} is right")
    return ACCOUNTANTS[name]


@lru_cache(maxsize=1024)
def _prv_epsilon(steps: tuple[tuple[float, float, int], ...], delta: float) -> float:
    try:
        # Here and not above: it imports torch, which a run without DP-SGD does not need.
        from opacus.accountants import PRVAccountant
    except ImportError as error:
        raise InputError("the ε of DP-SGD needs Opacus: pip install 'veilscore[neural]'") from error
    opacus = PRVAccountant()
    opacus.history = list(steps)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of its own first guess by RDP
            epsilon = float(opacus.get_epsilon(delta, eps_error=_PRV_ERROR))
    except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
        raise UnsupportedHistory(
            f"the PRV accountant can't compose this history ({error}); use the RDP accountant"
        ) from error
    if not math.isfinite(epsilon):
        raise UnsupportedHistory("the PRV accountant found no finite ε; use the RDP accountant")
    return max(0.0, epsilon)

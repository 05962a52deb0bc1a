"""Lessees, and how some of them slide: the machines stand more and more before a firm defaults.

A latent risk drives whether a lessee defaults in the year after the run, how well used its machines
are, and how often things go wrong with them. None of these tells the outcome alone, so that a model
has something to learn and something to miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from iot.units import LesseeId
from simulations.fleet.segments import Floats

_INTERCEPT: Final = -2.2
_RISK_WEIGHT: Final = 1.2
_LEAST_USE: Final = 0.05


@dataclass(frozen=True)
class Lessee:
    """One small firm.

    Attributes:
        risk: latent, standard normal over all lessees.
        defaulted: within a year after the run; the label of a training run.
        use: share of weekdays on which its machines work while all is well.
        decline: by how much that falls, as a share, until the end of the run.
        decline_days: how long before the end of the run it begins to fall.
    """

    id: LesseeId
    risk: float
    defaulted: bool
    use: float
    decline: float
    decline_days: float

    def use_on(self, days: Floats, run_days: int) -> Floats:
        """Share of machines that work, for days of the run; shape as `days`."""
        fallen = np.clip((days - run_days + self.decline_days) / self.decline_days, 0.0, 1.0)
        return np.maximum(_LEAST_USE, self.use * (1.0 - self.decline * fallen))

    @property
    def trouble(self) -> float:
        """How much more often than usual things go wrong with its machines; 1.0 on average."""
        return float(np.exp(0.35 * self.risk - 0.06))


def draw_lessees(rng: np.random.Generator, count: int) -> tuple[Lessee, ...]:
    """Draw `count` lessees."""
    risk = rng.standard_normal(count)
    defaulted = rng.random(count) < 1.0 / (1.0 + np.exp(-(_INTERCEPT + _RISK_WEIGHT * risk)))
    use = np.clip(0.86 - 0.03 * risk + rng.normal(0.0, 0.06, count), 0.4, 0.98)
    ordinary = rng.exponential(0.12, count)
    sliding = defaulted * rng.uniform(0.0, 0.55, count)
    decline = np.clip(ordinary + sliding, 0.0, 0.9)
    decline_days = rng.uniform(45.0, 150.0, count)
    return tuple(
        Lessee(
            LesseeId(f"lessee-{number:05d}"),
            float(risk[number]),
            bool(defaulted[number]),
            float(use[number]),
            float(decline[number]),
            float(decline_days[number]),
        )
        for number in range(count)
    )

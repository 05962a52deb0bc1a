"""What is in a machine's tank: burnt, leaked, stolen, and filled up again before it is empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from iot.units import MINUTE
from simulations.fleet.segments import Floats, Segments

_REFUEL_MILLIS: Final = 4.0 * MINUTE
_RESERVE: Final = 0.06
"""Share of the tank that no segment of work may begin to draw on."""

_LEFT_BY_THIEVES: Final = 0.1


@dataclass(frozen=True)
class Siphoning:
    """Somebody draws off up to `litres`, from `start` to `end`, while the machine stands."""

    start: float
    end: float
    litres: float


@dataclass(frozen=True)
class Tank:
    """Litres put in (and drawn off) over time, beside what is drained by running.

    Attributes:
        first: litres at the run's start.
        at, litres: knots of the sum put in since then; shape (knots,), at least one.
        siphoned: litres of each siphoning, as far as there was anything to take.
    """

    first: float
    at: Floats
    litres: Floats
    siphoned: tuple[float, ...]

    def put_in(self, at: Floats) -> Floats:
        return np.interp(at, self.at, self.litres)


def keep_filled(
    rng: np.random.Generator,
    tank_l: float,
    segments: Segments,
    drained: Floats,
    siphonings: tuple[Siphoning, ...],
) -> Tank:
    """Go through a machine's segments and fill up where it is due.

    Args:
        tank_l: litres that the tank holds.
        drained: litres that each segment takes from the tank; shape (segments,).
        siphonings: in order of time, each between two segments.
    """
    level = first = float(rng.uniform(0.5, 1.0)) * tank_l
    threshold = float(rng.uniform(0.18, 0.40)) * tank_l
    reserve = _RESERVE * tank_l
    at, change = [segments.start[0] - 1.0] if len(segments) else [0.0], [0.0]
    siphoned: list[float] = []
    fills = iter(rng.uniform(0.85, 1.0, len(segments) + 1))
    waiting = list(reversed(siphonings))

    def put(start: float, span: float, litres: float) -> None:
        begin = max(start, at[-1] + 1.0)
        at.extend((begin, begin + span))
        change.extend((0.0, litres))

    for start, end, litres in zip(
        segments.start.tolist(), segments.end.tolist(), drained.tolist(), strict=True
    ):
        while waiting and waiting[-1].start < start:
            theft = waiting.pop()
            taken = max(0.0, min(theft.litres, level - _LEFT_BY_THIEVES * tank_l))
            siphoned.append(taken)
            if taken:
                put(theft.start, theft.end - theft.start, -taken)
                level -= taken
        if level - litres < reserve:
            filled = next(fills) * tank_l - level
            put(start, _REFUEL_MILLIS, filled)
            level += filled
        level -= litres
        if litres and level < threshold:
            filled = next(fills) * tank_l - level
            put(end, _REFUEL_MILLIS, filled)
            level += filled
    siphoned.extend(0.0 for _ in waiting)
    return Tank(first, np.array(at), np.cumsum(np.array(change)), tuple(siphoned))

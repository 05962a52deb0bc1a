"""When things happen to a machine: events on days of their own, with a quiet day on either side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulations.fleet.plan import Plan
from simulations.fleet.population import Machine
from simulations.fleet.segments import Flags
from simulations.fleet.truth import Happening

_MONTH_DAYS: Final = 30
_FIRST_DAY: Final = 2
_TRIES: Final = 12

_DAYS: Final[Mapping[Happening, tuple[int, int]]] = {
    Happening.THEFT_TOWED: (2, 5),
    Happening.THEFT_DRIVEN: (2, 5),
    Happening.EXCURSION: (2, 4),
    Happening.TRANSPORT: (2, 2),
    Happening.SIPHONING: (2, 2),
    Happening.FUEL_LEAK: (4, 10),
    Happening.FUEL_DRIFT: (6, 15),
    Happening.OFF_HOURS_USE: (2, 2),
    Happening.ENGINE_IDLING: (1, 2),
    Happening.IDLE: (2, 6),
    Happening.SILENT: (1, 4),
    Happening.TAMPER: (1, 1),
    Happening.FROZEN_HOURS: (2, 2),
    Happening.METER_JUMP: (1, 1),
    Happening.DEVICE_REPLACED: (1, 1),
    Happening.GPS_SPOOF: (1, 1),
    Happening.FAULT: (1, 3),
}
"""Least and most days that an event of a kind takes, its way back included."""

_NEEDS_A_TANK: Final = frozenset({Happening.SIPHONING, Happening.FUEL_LEAK, Happening.FUEL_DRIFT})
_NEEDS_A_NIGHT: Final = frozenset({Happening.OFF_HOURS_USE, Happening.THEFT_DRIVEN})


@dataclass(frozen=True)
class Event:
    """Something that is to happen in the local days from `day` on, `days` of them."""

    kind: Happening
    day: int
    days: int


def draw_events(rng: np.random.Generator, machine: Machine, plan: Plan) -> tuple[Event, ...]:
    """Draw a machine's events, in order of their days; one that finds no room is left out."""
    taken = np.zeros(plan.days, dtype=np.bool_)
    kinds: list[Happening] = []
    for kind in Happening:
        expected = plan.rates.get(kind, 0.0) * plan.days / _MONTH_DAYS * machine.lessee.trouble
        count = int(rng.poisson(expected)) if expected > 0 else 0
        if kind in _DAYS and _possible(kind, machine):
            kinds += [kind] * count
    events: list[Event] = []
    # In any order, so that where room is short no kind is always the one left out.
    for place in rng.permutation(len(kinds)).tolist():
        least, most = _DAYS[kinds[place]]
        days = int(rng.integers(least, most + 1))
        day = _free_day(rng, taken, days)
        if day is not None:
            taken[day : day + days] = True
            events.append(Event(kinds[place], day, days))
    return tuple(sorted(events, key=lambda event: event.day))


def _possible(kind: Happening, machine: Machine) -> bool:
    if kind in _NEEDS_A_TANK:
        return machine.kind.model.tank_l is not None
    return kind not in _NEEDS_A_NIGHT or machine.shift_hours < 24


def _free_day(rng: np.random.Generator, taken: Flags, days: int) -> int | None:
    last = taken.size - days - 2
    if last < _FIRST_DAY:
        return None
    for day in rng.integers(_FIRST_DAY, last + 1, _TRIES):
        if not taken[day - 1 : day + days + 1].any():
            return int(day)
    return None

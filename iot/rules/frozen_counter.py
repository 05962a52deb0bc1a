"""Frozen counter: the machine plainly runs, and its hour meter stands.

Rent goes by that meter. Proof of running is the engine's own status for a good while, and fuel
burnt or a way driven meanwhile: a status alone may be stuck itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR

_MOST_COUNTED: Final = HOUR // 4
"""Of one step: an engine on at both ends of a longer one may have been off between."""


@dataclass(frozen=True)
class FrozenCounterSettings:
    """Thresholds.

    Attributes:
        open_hours: the engine ran so long without a tick of the meter, which ticks in tenths.
        open_l, open_km: and burnt so much, or drove so far.
        clear_hours: gained by the meter end it.
    """

    open_hours: float = 0.5
    open_l: float = 2.0
    open_km: float = 1.0
    clear_hours: float = 0.3


class FrozenCounterMemory(msgspec.Struct, gc=False):
    """hours: of the meter at its last move; ran (ms of engine), fuel_l, km: since then."""

    hours: float | None = None
    ran: int = 0
    fuel_l: float = 0.0
    km: float = 0.0
    up: bool = False


class FrozenCounter(Untimed):
    """Evidence of running since the meter moved last."""

    name = "frozen_counter"
    memory = FrozenCounterMemory

    __slots__ = ("_open", "_settings")

    def __init__(self, settings: FrozenCounterSettings) -> None:
        self._settings = settings
        self._open = int(settings.open_hours * HOUR)

    def observe(self, memory: FrozenCounterMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        hours = now.operating_hours
        if hours is None:
            return None
        if hours != memory.hours:
            return self._moved(memory, step, hours)
        if not now.engine_on or memory.up:
            return None
        before = step.before
        if before is None or not before.engine_on:
            return None
        elapsed = step.elapsed
        memory.ran += elapsed if elapsed < _MOST_COUNTED else _MOST_COUNTED
        fuel = step.fuel_l
        if fuel:
            memory.fuel_l += fuel
        km = step.distance_km
        if km:
            memory.km += km
        if memory.ran < self._open:
            return None
        return self._judge(memory, step)

    def _judge(self, memory: FrozenCounterMemory, step: Step) -> Verdict | None:
        settings = self._settings
        if memory.fuel_l < settings.open_l and memory.km < settings.open_km:
            return None
        memory.up = True
        ran = memory.ran / HOUR
        reason = (
            f"The engine ran {ran:.1f} h, burnt {memory.fuel_l:.0f} L and drove "
            f"{memory.km:.0f} km while the hour meter stood."
        )
        return Verdict(
            self.name, True, step.now.at, Severity.REVIEW, ran, settings.open_hours, "h", reason
        )

    def _moved(self, memory: FrozenCounterMemory, step: Step, hours: float) -> Verdict | None:
        stood = memory.hours
        memory.ran = 0
        memory.fuel_l = memory.km = 0.0
        if not memory.up or stood is None or hours < stood:
            memory.hours = hours
            return None
        clear = self._settings.clear_hours
        gained = hours - stood
        if gained < clear:
            return None
        memory.hours = hours
        memory.up = False
        reason = f"The hour meter runs again and gained {gained:.1f} h."
        return Verdict(self.name, False, step.now.at, Severity.REVIEW, gained, clear, "h", reason)

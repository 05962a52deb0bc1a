"""Impossible hours: the meter gains more than the clock.

A cumulative sum of gain less time, never below zero (Page 1954): a jump shows at once, a meter that
runs too fast within hours, and the ticks of an honest meter never add up. A device's clock that is
set back makes time look shorter than it was; then the time of arrival is the better witness, so
the longer of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR


@dataclass(frozen=True)
class ImpossibleHoursSettings:
    """Thresholds.

    Attributes:
        open_hours: gained beyond the clock.
        clear_hours: so long without any excess ends it.
    """

    open_hours: float = 0.5
    clear_hours: float = 6.0


class ImpossibleHoursMemory(msgspec.Struct, gc=False):
    """excess: hours beyond the clock; hours, at, received: of the last reading with hours; quiet:
    milliseconds without excess while up."""

    excess: float = 0.0
    hours: float | None = None
    at: int = 0
    received: int = 0
    quiet: int = 0
    up: bool = False


class ImpossibleHours(Untimed):
    """Hours gained beyond the clock's, summed."""

    name = "impossible_hours"
    memory = ImpossibleHoursMemory

    __slots__ = ("_clear", "_open", "_settings")

    def __init__(self, settings: ImpossibleHoursSettings) -> None:
        self._settings = settings
        self._open = settings.open_hours
        self._clear = int(settings.clear_hours * HOUR)

    def observe(self, memory: ImpossibleHoursMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        hours = now.operating_hours
        if hours is None:
            return None
        last = memory.hours
        at = now.at
        received = now.received
        passed = at - memory.at
        arrived = received - memory.received
        memory.hours = hours
        memory.at = at
        memory.received = received
        if last is None or hours < last:
            return None
        if arrived > passed:
            passed = arrived
        if passed < 0:
            passed = 0
        excess = memory.excess + (hours - last) - passed / HOUR
        if excess <= 0.0:
            memory.excess = 0.0
            return self._quiet(memory, step, passed) if memory.up else None
        memory.excess = excess
        return None if excess < self._open else self._raise(memory, step, excess)

    def _raise(self, memory: ImpossibleHoursMemory, step: Step, excess: float) -> Verdict | None:
        # From here it counts anew, so that the end shows whatever the size of the jump.
        memory.excess = 0.0
        memory.quiet = 0
        if memory.up:
            return None
        memory.up = True
        reason = f"The hour meter gained {excess:.1f} h more than the clock."
        return Verdict(
            self.name, True, step.now.at, Severity.REVIEW, excess, self._open, "h", reason
        )

    def _quiet(self, memory: ImpossibleHoursMemory, step: Step, passed: int) -> Verdict | None:
        memory.quiet += passed
        if memory.quiet < self._clear:
            return None
        memory.up = False
        quiet = memory.quiet / HOUR
        clear = self._settings.clear_hours
        reason = f"The hour meter kept within the clock for {quiet:.0f} h."
        return Verdict(self.name, False, step.now.at, Severity.REVIEW, quiet, clear, "h", reason)

"""Hours backwards: the operating hours fell.

A device that was replaced begins near zero, and all of its counters do: worth a note. Hours that
fall to anything else were turned back: worth a review, since rent goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR


@dataclass(frozen=True)
class HoursBackwardsSettings:
    """Thresholds.

    Attributes:
        open_hours: a fall of so much; below it is the rounding of a meter.
        replaced_hours: a meter that begins below this is a new device's.
        clear_hours: so long without another fall ends it.
    """

    open_hours: float = 0.2
    replaced_hours: float = 10.0
    clear_hours: float = 6.0


class HoursBackwardsMemory(msgspec.Struct, gc=False):
    """hours: last seen; quiet: milliseconds since they fell."""

    hours: float | None = None
    quiet: int = 0
    up: int = 0


class HoursBackwards(Untimed):
    """The reading against the last one that there was, also across readings without hours."""

    name = "hours_backwards"
    memory = HoursBackwardsMemory

    __slots__ = ("_clear", "_open", "_settings")

    def __init__(self, settings: HoursBackwardsSettings) -> None:
        self._settings = settings
        self._open = settings.open_hours
        self._clear = int(settings.clear_hours * HOUR)

    def observe(self, memory: HoursBackwardsMemory, step: Step, scene: Scene) -> Verdict | None:
        hours = step.now.operating_hours
        last = memory.hours
        if hours is not None:
            memory.hours = hours
            if last is not None and last - hours >= self._open:
                return self._fell(memory, step, last, hours)
        if memory.up:
            return self._quiet(memory, step)
        return None

    def _fell(
        self, memory: HoursBackwardsMemory, step: Step, last: float, hours: float
    ) -> Verdict | None:
        memory.quiet = 0
        replaced = hours < self._settings.replaced_hours
        severity = Severity.INFO if replaced else Severity.REVIEW
        if severity <= memory.up:
            return None
        memory.up = severity
        fall = last - hours
        reason = f"The hour meter fell by {fall:.1f} h" + (
            " to a new beginning; the device seems to be replaced." if replaced else "."
        )
        return Verdict(self.name, True, step.now.at, severity, fall, self._open, "h", reason)

    def _quiet(self, memory: HoursBackwardsMemory, step: Step) -> Verdict | None:
        memory.quiet += step.elapsed
        if memory.quiet < self._clear:
            return None
        severity = Severity(memory.up)
        memory.up = 0
        quiet = memory.quiet / HOUR
        reason = f"The hour meter did not fall again for {quiet:.0f} h."
        clear = self._settings.clear_hours
        return Verdict(self.name, False, step.now.at, severity, quiet, clear, "h", reason)

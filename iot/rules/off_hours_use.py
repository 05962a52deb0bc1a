"""Off-hours use: the machine runs when its lease expects no work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from iot.fleet.fleet import Lease
from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR, MINUTE

_DAY_MINUTES: Final = 1_440
_MOST_COUNTED: Final = 15 * MINUTE
"""Without an hour meter, an engine seen on at both ends ran between them if they are so near."""


@dataclass(frozen=True)
class OffHoursUseSettings:
    """Thresholds.

    Attributes:
        grace_minutes: before and after the work hours that count as work; clocks differ too.
        open_hours: of running in one stretch off hours.
    """

    grace_minutes: float = 15.0
    open_hours: float = 0.25


class OffHoursUseMemory(msgspec.Struct, gc=False):
    """hours: run since work hours ended last; off: whether the sample before was off hours."""

    hours: float = 0.0
    off: bool = False
    up: bool = False


class OffHoursUse(Untimed):
    """Running time between the end of work hours and their next begin, which ends it."""

    name = "off_hours_use"
    memory = OffHoursUseMemory

    __slots__ = ("_grace", "_open")

    def __init__(self, settings: OffHoursUseSettings) -> None:
        self._grace = int(settings.grace_minutes)
        self._open = settings.open_hours

    def observe(self, memory: OffHoursUseMemory, step: Step, scene: Scene) -> Verdict | None:
        lease = scene.lease
        if lease is None:
            return self._work_hours(memory, step) if memory.off else None
        begin = lease.work_from
        length = (lease.work_to - begin) % 24
        if not length:  # round the clock
            return self._work_hours(memory, step) if memory.off else None
        minute = step.now.at // MINUTE + lease.utc_offset_minutes - begin * 60 + self._grace
        if minute % _DAY_MINUTES < length * 60 + 2 * self._grace:
            return self._work_hours(memory, step) if memory.off else None
        return self._off_hours(memory, step, lease, length)

    def _off_hours(
        self, memory: OffHoursUseMemory, step: Step, lease: Lease, length: int
    ) -> Verdict | None:
        was_off = memory.off
        memory.off = True
        # Off hours at both ends, and no whole working day between: all of it was off hours.
        if not was_off or step.elapsed >= length * HOUR or step.reset or step.before is None:
            return None
        hours = step.hours
        if hours is None:
            metered = step.now.operating_hours is not None
            ran = step.now.engine_on and step.before.engine_on
            if metered or not ran or step.elapsed > _MOST_COUNTED:
                return None
            hours = step.elapsed / HOUR
        if hours <= 0.0:
            return None
        memory.hours += hours
        if memory.up or memory.hours < self._open:
            return None
        memory.up = True
        reason = (
            f"The machine ran {memory.hours:.1f} h outside its work hours, "
            f"{lease.work_from} to {lease.work_to} o'clock."
        )
        return Verdict(
            self.name,
            True,
            step.now.at,
            Severity.CONTACT,
            memory.hours,
            self._open,
            "h",
            reason,
        )

    def _work_hours(self, memory: OffHoursUseMemory, step: Step) -> Verdict | None:
        hours = memory.hours
        memory.off = False
        memory.hours = 0.0
        if not memory.up:
            return None
        memory.up = False
        reason = f"Work hours began; off hours the machine had run {hours:.1f} h."
        return Verdict(
            self.name, False, step.now.at, Severity.CONTACT, hours, self._open, "h", reason
        )

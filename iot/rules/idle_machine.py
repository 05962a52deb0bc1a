"""Idle machine: leased, heard of, and without work for more than a day.

Work is operating hours less idle hours. Both meters tick in tenths of an hour, not at the same
moment, so their difference jumps to and fro while an engine only idles; what counts as work is a
new highest value, since to and fro makes no new ones.

The counters are running totals, so they tell of work that was done while nobody listened. A silent
machine is therefore not called idle by the clock alone: the timer needs a reading shortly before;
otherwise the next reading decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.codec.sample import Sample
from iot.rules.rule import Scene, Severity, Verdict
from iot.state.step import Step
from iot.units import HOUR, MINUTE, Millis

_TICK_HOURS = 0.01
"""A gain below this is a rounding error of two floats."""


@dataclass(frozen=True)
class IdleMachineSettings:
    """Thresholds.

    Attributes:
        open_hours: without work for so long is idle.
        review_hours: and for so long is worth a review of the limit.
        heard_minutes: the timer believes a counter that was read so shortly before.
        clear_work_hours: so much new work ends it; being moved about the yard does not.
    """

    open_hours: float = 24.0
    review_hours: float = 72.0
    heard_minutes: float = 60.0
    clear_work_hours: float = 0.1


class IdleMachineMemory(msgspec.Struct, gc=False):
    """work: highest work hours so far; at: when they rose last; counted: last reading of them."""

    work: float | None = None
    with_idle: bool = False
    at: int = 0
    counted: int = 0
    up: int = 0


class IdleMachine:
    """Timer on event time: due so long after the last work."""

    name = "idle_machine"
    memory = IdleMachineMemory

    __slots__ = ("_clear", "_heard", "_open", "_open_hours", "_review", "_review_hours")

    def __init__(self, settings: IdleMachineSettings) -> None:
        self._open = int(settings.open_hours * HOUR)
        self._review = int(settings.review_hours * HOUR)
        self._heard = int(settings.heard_minutes * MINUTE)
        self._clear = settings.clear_work_hours
        self._open_hours = settings.open_hours
        self._review_hours = settings.review_hours

    def observe(self, memory: IdleMachineMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        work = now.operating_hours
        if work is None:
            return None
        idle = now.idle_hours
        if idle is not None:
            work -= idle
        elif memory.with_idle:
            return None
        at = now.at
        highest = memory.work
        if highest is None or scene.lease is None or memory.with_idle != (idle is not None):
            return self._begin(memory, step, scene, work)
        if step.reset or step.impossible or work < highest - 1.0:
            # A new epoch: it says nothing of work between, so the time of the last work stays.
            memory.work = work
            memory.counted = at
            return None
        gained = work - highest
        if memory.up:
            if gained >= self._clear:
                return self._clear_up(memory, work, at, gained)
        elif gained > _TICK_HOURS:
            memory.work = work
            memory.at = at
            memory.counted = at
            return None
        if at > memory.counted:
            memory.counted = at
        if at - memory.at < self._open:
            return None
        review = at - memory.at >= self._review
        return self._raise(memory, Severity.REVIEW if review else Severity.CONTACT)

    def due(self, memory: IdleMachineMemory) -> Millis | None:
        if memory.work is None or memory.up >= Severity.REVIEW:
            return None
        due = memory.at + (self._review if memory.up else self._open)
        # With the last reading too old for the timer, the next one decides.
        return Millis(due) if memory.counted >= due - self._heard else None

    def expire(
        self, memory: IdleMachineMemory, now: Millis, last: Sample, scene: Scene
    ) -> Verdict | None:
        if scene.lease is None:
            memory.work = None
            return None
        due = self.due(memory)
        if due is None or now < due:
            return None
        review = memory.at + self._review
        if now >= review and memory.counted >= review - self._heard:
            return self._raise(memory, Severity.REVIEW)
        return self._raise(memory, Severity.CONTACT)

    def _begin(
        self, memory: IdleMachineMemory, step: Step, scene: Scene, work: float
    ) -> Verdict | None:
        at = step.now.at
        fresh = memory.work is None or scene.lease is None
        memory.work = work
        memory.with_idle = step.now.idle_hours is not None
        memory.counted = at
        if fresh:
            memory.at = at
        if memory.up and scene.lease is None:
            return self._over(memory, at, 0.0, "The machine is let to nobody any more.")
        return None

    def _raise(self, memory: IdleMachineMemory, severity: Severity) -> Verdict | None:
        if severity <= memory.up:
            return None
        memory.up = severity
        # The moment and the hours are those of the threshold, whoever noticed: timer or reading.
        hours = self._review_hours if severity is Severity.REVIEW else self._open_hours
        at = memory.at + (self._review if severity is Severity.REVIEW else self._open)
        reason = f"The machine was heard, but gained no work hours for {hours:g} h."
        return Verdict(self.name, True, Millis(at), severity, hours, hours, "h", reason)

    def _clear_up(
        self, memory: IdleMachineMemory, work: float, at: Millis, gained: float
    ) -> Verdict:
        memory.work = work
        memory.at = at
        memory.counted = at
        return self._over(memory, at, gained, f"The machine worked again, {gained:.1f} h.")

    def _over(self, memory: IdleMachineMemory, at: Millis, value: float, reason: str) -> Verdict:
        severity = Severity(memory.up)
        memory.up = 0
        return Verdict(self.name, False, at, severity, value, self._clear, "h", reason)

"""Silent device: nothing was received from it for hours.

The only rule that goes by when samples arrived, since it asks whether the device speaks, not what
it says: a burst of old readings is a sign of life.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.codec.sample import Sample
from iot.rules.rule import Scene, Severity, Verdict
from iot.state.step import Step
from iot.units import HOUR, Millis


@dataclass(frozen=True)
class SilentDeviceSettings:
    """Thresholds.

    Attributes:
        open_hours: nothing received for so long; above the heartbeat of a parked machine.
        review_hours: and for so long is worth a review: a device may have been removed.
    """

    open_hours: float = 6.0
    review_hours: float = 48.0


class SilentDeviceMemory(msgspec.Struct, gc=False):
    """heard: when the last sample was received; None before the first."""

    heard: int | None = None
    up: int = 0


class SilentDevice:
    """Timer on received time; the first sample ends it."""

    name = "silent_device"
    memory = SilentDeviceMemory

    __slots__ = ("_open", "_open_hours", "_review", "_review_hours")

    def __init__(self, settings: SilentDeviceSettings) -> None:
        self._open = int(settings.open_hours * HOUR)
        self._review = int(settings.review_hours * HOUR)
        self._open_hours = settings.open_hours
        self._review_hours = settings.review_hours

    def observe(self, memory: SilentDeviceMemory, step: Step, scene: Scene) -> Verdict | None:
        received = step.now.received
        heard = memory.heard
        if heard is None or received > heard:
            memory.heard = received
        if not memory.up:
            return None
        severity = Severity(memory.up)
        memory.up = 0
        hours = (received - heard) / HOUR if heard is not None else 0.0
        reason = f"The device was heard again after {hours:.1f} h."
        return Verdict(self.name, False, received, severity, hours, self._open_hours, "h", reason)

    def due(self, memory: SilentDeviceMemory) -> Millis | None:
        if memory.heard is None or memory.up >= Severity.REVIEW:
            return None
        return Millis(memory.heard + (self._review if memory.up else self._open))

    def expire(
        self, memory: SilentDeviceMemory, now: Millis, last: Sample, scene: Scene
    ) -> Verdict | None:
        heard = memory.heard
        due = self.due(memory)
        if heard is None or due is None or now < due:
            return None
        review = now >= heard + self._review
        severity = Severity.REVIEW if review else Severity.CONTACT
        memory.up = severity
        # The moment is that of the threshold, however late the timer ran.
        hours = self._review_hours if review else self._open_hours
        at = Millis(heard + (self._review if review else self._open))
        reason = f"Nothing was received from the device for {hours:g} h."
        return Verdict(self.name, True, at, severity, hours, hours, "h", reason)

"""Moved with the engine off: the machine is carried or towed away.

Where it was switched off is the anchor. Fixes of a machine that stands scatter by metres, now and
then by a hundred; so it takes three in a row beyond both accuracies and a margin. Any hour or litre
on the counters since then means that it drove by itself between two readings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec

from iot.geofence.distance import METRES_A_DEGREE, metres_between
from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import MINUTE

_BURNT_L: Final = 0.3
"""Fuel counters tick in halves at most; anything from here on is a burning engine."""


@dataclass(frozen=True)
class MovedEngineOffSettings:
    """Thresholds.

    Attributes:
        open_m: beyond both fixes' accuracies.
        open_fixes: so many in a row.
        accuracy_m: of a fix that does not say.
        anchor_m: a fix of a larger radius is no anchor: all others would look far away from it.
        immobilise_m: so far away somebody is making off with it.
        clear_m, clear_minutes: within so little for so long it stands again.
    """

    open_m: float = 150.0
    open_fixes: int = 3
    accuracy_m: float = 25.0
    anchor_m: float = 40.0
    immobilise_m: float = 2_000.0
    clear_m: float = 100.0
    clear_minutes: float = 30.0


class MovedEngineOffMemory(msgspec.Struct, gc=False):
    """The anchor (position, accuracy, degrees of longitude to metres, counters), and where it
    stands since when while up. Kept with the lessor, as samples are."""

    anchored: bool = False
    latitude: float = 0.0
    longitude: float = 0.0
    accuracy_m: float = 0.0
    metres_east: float = 0.0
    hours: float | None = None
    fuel_l: float | None = None
    fixes: int = 0
    up: int = 0
    stands_latitude: float = 0.0
    stands_longitude: float = 0.0
    stands: int = 0


class MovedEngineOff(Untimed):
    """Distance from where the engine was switched off."""

    name = "moved_engine_off"
    memory = MovedEngineOffMemory

    __slots__ = ("_clear", "_near", "_settings")

    def __init__(self, settings: MovedEngineOffSettings) -> None:
        self._settings = settings
        self._near = settings.open_m**2
        self._clear = int(settings.clear_minutes * MINUTE)

    def observe(self, memory: MovedEngineOffMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        if now.engine_on is not False:
            if memory.anchored:
                memory.anchored = False
                if memory.up:
                    return self._over(memory, step, "The engine was seen on.")
            return None
        latitude = now.latitude
        longitude = now.longitude
        if latitude is None or longitude is None:
            return None
        if not memory.anchored:
            radius = now.accuracy_m
            if radius is None or radius <= self._settings.anchor_m:
                self._anchor(memory, step, latitude, longitude)
            return None
        if not memory.up:
            # Flat is near enough to tell that it stands, which it nearly always does.
            north = (latitude - memory.latitude) * METRES_A_DEGREE
            east = (longitude - memory.longitude) * memory.metres_east
            if north * north + east * east < self._near:
                if memory.fixes:
                    memory.fixes = 0
                return None
        return self._far(memory, step, latitude, longitude)

    def _far(
        self, memory: MovedEngineOffMemory, step: Step, latitude: float, longitude: float
    ) -> Verdict | None:
        settings = self._settings
        now = step.now
        drove = (
            now.operating_hours is not None
            and memory.hours is not None
            and now.operating_hours != memory.hours
        ) or (
            now.fuel_used_l is not None
            and memory.fuel_l is not None
            and abs(now.fuel_used_l - memory.fuel_l) >= _BURNT_L
        )
        if drove and not memory.up:
            self._anchor(memory, step, latitude, longitude)
            return None
        metres = metres_between(latitude, longitude, memory.latitude, memory.longitude)
        accuracy = now.accuracy_m if now.accuracy_m is not None else settings.accuracy_m
        limit = settings.open_m + accuracy + memory.accuracy_m
        if memory.up and (over := self._stands(memory, step, latitude, longitude)):
            return over
        memory.fixes = memory.fixes + 1 if metres > limit else 0
        if memory.fixes < settings.open_fixes:
            return None
        severity = Severity.IMMOBILISE if metres > settings.immobilise_m else Severity.REVIEW
        if severity <= memory.up:
            return None
        if not memory.up:
            memory.stands = 0
            memory.stands_latitude, memory.stands_longitude = latitude, longitude
        memory.up = severity
        value = float(round(metres))
        reason = f"The machine was moved {value:.0f} m with its engine off."
        return Verdict(self.name, True, now.at, severity, value, limit, "m", reason)

    def _stands(
        self, memory: MovedEngineOffMemory, step: Step, latitude: float, longitude: float
    ) -> Verdict | None:
        moved = metres_between(latitude, longitude, memory.stands_latitude, memory.stands_longitude)
        if moved > self._settings.clear_m:
            memory.stands = 0
            memory.stands_latitude, memory.stands_longitude = latitude, longitude
            return None
        memory.stands += step.elapsed
        if memory.stands < self._clear:
            return None
        self._anchor(memory, step, latitude, longitude)
        return self._over(memory, step, "The machine stands again.")

    def _anchor(
        self, memory: MovedEngineOffMemory, step: Step, latitude: float, longitude: float
    ) -> None:
        now = step.now
        memory.anchored = True
        memory.latitude = latitude
        memory.longitude = longitude
        memory.accuracy_m = (
            now.accuracy_m if now.accuracy_m is not None else self._settings.accuracy_m
        )
        memory.metres_east = METRES_A_DEGREE * math.cos(math.radians(latitude))
        memory.hours = now.operating_hours
        memory.fuel_l = now.fuel_used_l
        memory.fixes = 0

    def _over(self, memory: MovedEngineOffMemory, step: Step, reason: str) -> Verdict:
        severity = Severity(memory.up)
        memory.up = memory.fixes = 0
        minutes = memory.stands / MINUTE
        clear = self._settings.clear_minutes
        return Verdict(self.name, False, step.now.at, severity, minutes, clear, "min", reason)

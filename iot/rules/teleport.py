"""Teleport: two fixes farther apart than the machine can have come in the time between.

A forged or broken receiver. A machine that works drives at its own top speed; one that is off may
ride on a lorry. Time is the longer of event time and arrival: a clock set back shortens the one, a
burst of spooled readings the other. Where both say that no time passed, nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from iot.codec.sample import Sample
from iot.geofence.distance import metres_between
from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR, MINUTE, SECOND

_NEAR_DEGREES: Final = 0.003
"""Within this both ways two fixes are less than 475 m apart anywhere on the globe."""

_LEAST_MILLIS: Final = SECOND

_RUNS_ON: Final = 15 * MINUTE
"""An engine on at both ends of a longer time may have been off, and on a lorry, between."""


@dataclass(frozen=True)
class TeleportSettings:
    """Thresholds.

    Attributes:
        open_m: beyond both fixes' accuracies and the way that it may have driven; from 475 on.
        top_speed_times: a model's top speed is a figure for the flat.
        lorry_kmh: the most that a machine makes on a lorry.
        accuracy_m: of a fix that does not say.
        clear_fixes: so many in a row that fit end it.
    """

    open_m: float = 500.0
    top_speed_times: float = 2.0
    lorry_kmh: float = 130.0
    accuracy_m: float = 25.0
    clear_fixes: int = 10


class TeleportMemory(msgspec.Struct, gc=False):
    """The last fix, where a reading without one came after it; good: fixes that fit while up."""

    waits: bool = False
    latitude: float = 0.0
    longitude: float = 0.0
    accuracy_m: float = 0.0
    at: int = 0
    received: int = 0
    running: bool = False
    good: int = 0
    up: bool = False


class Teleport(Untimed):
    """Way between two fixes against what the machine can drive, or be driven."""

    name = "teleport"
    memory = TeleportMemory

    __slots__ = ("_settings",)

    def __init__(self, settings: TeleportSettings) -> None:
        self._settings = settings

    def observe(self, memory: TeleportMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        before = step.before
        latitude = now.latitude
        longitude = now.longitude
        if latitude is None or longitude is None:
            if before is not None and before.latitude is not None:
                self._keep(memory, before)
            return None
        if before is None:
            return None
        last_latitude = before.latitude
        last_longitude = before.longitude
        if last_latitude is not None and last_longitude is not None:
            if (
                -_NEAR_DEGREES < latitude - last_latitude < _NEAR_DEGREES
                and -_NEAR_DEGREES < longitude - last_longitude < _NEAR_DEGREES
            ):
                return self._fits(memory, step) if memory.up else None
            self._keep(memory, before)
        elif not memory.waits:
            return None
        memory.waits = False
        return self._compare(memory, step, scene, latitude, longitude)

    def _compare(
        self, memory: TeleportMemory, step: Step, scene: Scene, latitude: float, longitude: float
    ) -> Verdict | None:
        settings = self._settings
        now = step.now
        passed = max(now.at - memory.at, now.received - memory.received)
        if passed < _LEAST_MILLIS:
            return None
        metres = metres_between(latitude, longitude, memory.latitude, memory.longitude)
        accuracy = now.accuracy_m if now.accuracy_m is not None else settings.accuracy_m
        most_kmh = settings.top_speed_times * scene.model.top_speed_kmh
        if not (memory.running and now.engine_on and passed <= _RUNS_ON):
            most_kmh = max(most_kmh, settings.lorry_kmh)
        way = metres - accuracy - memory.accuracy_m - settings.open_m
        kmh = way / 1_000 * HOUR / passed
        if kmh <= most_kmh:
            return self._fits(memory, step) if memory.up else None
        memory.good = 0
        if memory.up:
            return None
        memory.up = True
        reason = f"The machine seems to have moved at {kmh:.0f} km/h; its position can't be true."
        return Verdict(self.name, True, now.at, Severity.REVIEW, kmh, most_kmh, "km/h", reason)

    def _keep(self, memory: TeleportMemory, fix: Sample) -> None:
        if fix.latitude is None or fix.longitude is None:
            return
        accuracy = fix.accuracy_m
        memory.waits = True
        memory.latitude = fix.latitude
        memory.longitude = fix.longitude
        memory.accuracy_m = accuracy if accuracy is not None else self._settings.accuracy_m
        memory.at = fix.at
        memory.received = fix.received
        memory.running = bool(fix.engine_on)

    def _fits(self, memory: TeleportMemory, step: Step) -> Verdict | None:
        memory.good += 1
        clear = self._settings.clear_fixes
        if memory.good < clear:
            return None
        memory.up = False
        good = memory.good
        memory.good = 0
        reason = f"The last {good} positions fit the machine's speed."
        return Verdict(
            self.name,
            False,
            step.now.at,
            Severity.REVIEW,
            float(good),
            float(clear),
            "fixes",
            reason,
        )

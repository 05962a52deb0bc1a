"""What changed between two samples of a machine: counters' gains, epochs, time passed."""

from __future__ import annotations

from typing import Final

import msgspec

from iot.codec.sample import Sample
from iot.units import HOUR

ROUNDING_HOURS: Final = 0.11
"""Hour meters tick in tenths: a gain may exceed the clock by one tick."""


class Step(msgspec.Struct, gc=False):
    """From one sample of a machine to its next, in the device's own order (boot, seq).

    Attributes:
        before: the sample before; None at a device's first.
        now: this sample.
        elapsed: milliseconds of event time between them, 0 where the clock ran backwards.
        hours, idle, fuel_l, distance_km: gained; None where either sample lacks the counter, at a
            new epoch, or where the gain can't be (`impossible`).
        reset: a counter fell: a new epoch begins here (device replaced or reset).
        impossible: operating hours rose by more than the clock.
    """

    before: Sample | None
    now: Sample
    elapsed: int
    hours: float | None
    idle: float | None
    fuel_l: float | None
    distance_km: float | None
    reset: bool
    impossible: bool


def step_between(before: Sample | None, now: Sample) -> Step:
    """Compare two samples; a counter that fell opens a new epoch for all of them."""
    if before is None:
        return Step(None, now, 0, None, None, None, None, False, False)
    elapsed = now.at - before.at
    if elapsed < 0:
        elapsed = 0
    hours = idle = fuel = distance = None
    reset = impossible = False
    if now.operating_hours is not None and before.operating_hours is not None:
        hours = now.operating_hours - before.operating_hours
        reset = hours < 0
        impossible = hours > elapsed / HOUR + ROUNDING_HOURS
    if now.idle_hours is not None and before.idle_hours is not None:
        idle = now.idle_hours - before.idle_hours
        reset = reset or idle < 0
    if now.fuel_used_l is not None and before.fuel_used_l is not None:
        fuel = now.fuel_used_l - before.fuel_used_l
        reset = reset or fuel < 0
    if now.distance_km is not None and before.distance_km is not None:
        distance = now.distance_km - before.distance_km
        reset = reset or distance < 0
    if reset:
        return Step(before, now, elapsed, None, None, None, None, True, False)
    if impossible:
        return Step(before, now, elapsed, None, None, fuel, distance, False, True)
    return Step(before, now, elapsed, hours, idle, fuel, distance, False, False)

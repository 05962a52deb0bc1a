"""One machine's day: the row that features and reports are computed from, and how it is folded.

`fold_days` is the definition. `iot.archive.stepping` computes the same in DuckDB, for all machines
at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from iot.codec.sample import Sample
from iot.state.step import Step, step_between
from iot.units import DAY, HOUR, MINUTE, DeviceId, Millis

LOOK_BACK_DAYS: Final = 31
"""A step over more days than these is none: what was gained in it is of no day that we know."""

READINGS: Final = 5
"""Readings of which each sample should have all: operating hours, idle hours, fuel, fix, engine."""

CELLS_A_DEGREE: Final = 100
"""Sites are told apart by cells of a hundredth of a degree, about 1.1 km from south to north."""

CELLS_A_ROW: Final = 36_001
"""Cells from west to east."""


@dataclass
class MachineDay:
    """What a machine did on one day (UTC). A gain belongs to the day of the step's later sample.

    None is unknown: no step of the day had both readings. Gains follow `iot.state.step`: a counter
    that falls begins a new epoch, hours that can't be are left out.

    Attributes:
        day: days since 1970.
        samples: how many.
        first_at, last_at: the first and last event time.
        known_at: the latest event or arrival time of any sample that counts here, the last one of
            an earlier day among them. Before it this row was another.
        operating_hours, idle_hours: gained, h.
        work_hours: operating less idle hours, never below 0 a step; known where both are.
        fuel_l: litres burnt; distance_km: driven.
        fuelled_hours, fuelled_l: hours and litres of the steps of which both are known.
        engine_on_minutes: time of steps of an hour at most that began with the engine on.
        coverage_minutes: 60 for every hour of the clock with a sample.
        resets, impossible: steps that began an epoch, or whose hours exceeded the clock.
        tampers: how often the case or cable was opened.
        fault_codes: different codes.
        readings: how many of `READINGS` the samples had, together.
        work_by_hour: work hours by the hour of the day (UTC), 0 to 23.
        site_hours: hours of the clock by cell; an hour counts for one, that of the least number.
    """

    device: DeviceId
    day: int
    samples: int = 0
    first_at: int = 0
    last_at: int = 0
    known_at: int = 0
    operating_hours: float | None = None
    idle_hours: float | None = None
    work_hours: float | None = None
    fuel_l: float | None = None
    distance_km: float | None = None
    fuelled_hours: float | None = None
    fuelled_l: float | None = None
    engine_on_minutes: float = 0.0
    coverage_minutes: int = 0
    resets: int = 0
    impossible: int = 0
    tampers: int = 0
    fault_codes: int = 0
    readings: int = 0
    work_by_hour: dict[int, float] = field(default_factory=dict)
    site_hours: dict[int, int] = field(default_factory=dict)


def day_of(at: int) -> int:
    """The day (UTC) of a time, in days since 1970."""
    return at // DAY


def cell_of(latitude: float, longitude: float) -> int:
    """The number of a position's cell."""
    row = int((latitude + 90.0) * CELLS_A_DEGREE)
    return row * CELLS_A_ROW + int((longitude + 180.0) * CELLS_A_DEGREE)


def fold_days(samples: Iterable[Sample]) -> list[MachineDay]:
    """Fold samples of any machines, in any order, into their days; ordered by machine and day."""
    days: dict[tuple[DeviceId, int], _Tally] = {}
    before: Sample | None = None
    for now in sorted(samples, key=lambda one: (one.device, one.boot, one.seq)):
        if before is not None and (
            before.device != now.device or now.at - before.at > LOOK_BACK_DAYS * DAY
        ):
            before = None
        key = (now.device, day_of(now.at))
        days.setdefault(key, _Tally(MachineDay(*key))).add(step_between(before, now))
        before = now
    return [days[key].finished() for key in sorted(days)]


class _Tally:
    """A day that is not over."""

    def __init__(self, row: MachineDay) -> None:
        self._row = row
        self._cells: dict[int, int] = {}
        self._hours: set[int] = set()
        self._codes: set[str] = set()

    def add(self, step: Step) -> None:
        row, now, before = self._row, step.now, step.before
        row.first_at = now.at if row.samples == 0 else min(row.first_at, now.at)
        row.last_at = max(row.last_at, now.at)
        row.known_at = max(row.known_at, _known(now), _known(before) if before else 0)
        row.samples += 1
        row.resets += step.reset
        row.impossible += step.impossible
        row.tampers += now.tampered and not (before and before.tampered)
        row.readings += _readings(now)
        self._codes.update(now.faults)
        hour = now.at // HOUR
        self._hours.add(hour)
        if now.latitude is not None and now.longitude is not None:
            cell = cell_of(now.latitude, now.longitude)
            self._cells[hour] = min(cell, self._cells.get(hour, cell))
        if before and before.engine_on and step.elapsed <= HOUR:
            row.engine_on_minutes += step.elapsed / MINUTE
        self._gain(step, hour % 24)

    def _gain(self, step: Step, hour: int) -> None:
        row = self._row
        row.operating_hours = _plus(row.operating_hours, step.hours)
        row.idle_hours = _plus(row.idle_hours, step.idle)
        row.fuel_l = _plus(row.fuel_l, step.fuel_l)
        row.distance_km = _plus(row.distance_km, step.distance_km)
        if step.hours is not None and step.fuel_l is not None:
            row.fuelled_hours = _plus(row.fuelled_hours, step.hours)
            row.fuelled_l = _plus(row.fuelled_l, step.fuel_l)
        if step.hours is not None and step.idle is not None:
            work = max(0.0, step.hours - step.idle)
            row.work_hours = _plus(row.work_hours, work)
            row.work_by_hour[hour] = row.work_by_hour.get(hour, 0.0) + work

    def finished(self) -> MachineDay:
        row = self._row
        row.coverage_minutes = 60 * len(self._hours)
        row.fault_codes = len(self._codes)
        for cell in sorted(self._cells.values()):
            row.site_hours[cell] = row.site_hours.get(cell, 0) + 1
        return row


def _known(sample: Sample) -> Millis:
    return max(sample.at, sample.received)


def _readings(sample: Sample) -> int:
    return READINGS - [
        sample.operating_hours,
        sample.idle_hours,
        sample.fuel_used_l,
        sample.latitude,
        sample.engine_on,
    ].count(None)


def _plus(total: float | None, gain: float | None) -> float | None:
    return total if gain is None else gain + (total or 0.0)

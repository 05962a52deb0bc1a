"""Events made real: first in the calendar of a machine, then in its life, and noted as truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from iot.units import HOUR, MINUTE, Millis
from simulations.fleet.duty import Calendar, drive_time
from simulations.fleet.population import Machine
from simulations.fleet.schedule import Event
from simulations.fleet.segments import Doing, Segments, joined, one_segment
from simulations.fleet.tank import Siphoning
from simulations.fleet.truth import Happening, Truth

_THEFTS: Final = (Happening.THEFT_TOWED, Happening.THEFT_DRIVEN)
_LONGEST_DRIVE: Final = 2.5 * HOUR
_WANDERS_M: Final = 65.0
_CODES: Final = ("SPN100.FMI1", "SPN110.FMI0", "SPN94.FMI18", "SPN168.FMI4", "SPN3251.FMI2")


@dataclass
class Incidents:
    """What events do beside adding segments, and what is true of them. Times are milliseconds.

    Attributes:
        unmetered: spans in which the hour meters stand.
        thirst: spans in which the engine burns more, with the factor.
        leaks: spans in which the tank loses more than is burnt, with the share.
        jumps: moments at which the hour meter gains hours, with the hours.
        replaced: moments at which the device is replaced.
        spoofed: spans with a false position, with metres east and north.
        tampered, dark: spans in which the case is open; in which the device has no power.
        unheard: spans without a network; what was sent in them arrives after.
        faults: spans with codes.
    """

    segments: Segments
    truths: list[Truth] = field(default_factory=list)
    siphonings: list[Siphoning] = field(default_factory=list)
    unmetered: list[tuple[float, float]] = field(default_factory=list)
    thirst: list[tuple[float, float, float]] = field(default_factory=list)
    leaks: list[tuple[float, float, float]] = field(default_factory=list)
    jumps: list[tuple[float, float]] = field(default_factory=list)
    replaced: list[float] = field(default_factory=list)
    spoofed: list[tuple[float, float, float, float]] = field(default_factory=list)
    tampered: list[tuple[float, float]] = field(default_factory=list)
    dark: list[tuple[float, float]] = field(default_factory=list)
    unheard: list[tuple[float, float]] = field(default_factory=list)
    faults: list[tuple[float, float, tuple[str, ...]]] = field(default_factory=list)


def plan_days(
    rng: np.random.Generator, machine: Machine, calendar: Calendar, event: Event
) -> tuple[float, float] | None:
    """Make room for an event in the calendar.

    Returns:
        The place (x, y) that an excursion goes to; None for all other events.
    """
    first, after = event.day, event.day + event.days
    kind = event.kind
    if kind in (*_THEFTS, Happening.TRANSPORT, Happening.SIPHONING, Happening.OFF_HOURS_USE):
        calendar.worked[first] = True
        calendar.worked[first + 1 : after] = False
    elif kind is Happening.IDLE:
        calendar.worked[first:after] = False
    elif kind in (Happening.FUEL_LEAK, Happening.FUEL_DRIFT):
        calendar.worked[first:after] |= rng.random(event.days) < 0.8
    elif kind in (Happening.FROZEN_HOURS, Happening.ENGINE_IDLING):
        calendar.worked[first:after] = True
        calendar.full[first:after] = kind is Happening.FROZEN_HOURS
        calendar.idling[first:after] = kind is Happening.ENGINE_IDLING
    elif kind is Happening.EXCURSION:
        metres = _drawn(rng, 90.0, 3_000.0)
        bearing = float(rng.uniform(0, 2 * math.pi))
        # The spot about which it wanders stays outside by so much.
        x, y = machine.district.outside(bearing, metres + _WANDERS_M)
        far = np.array([math.hypot(x - calendar.x[first], y - calendar.y[first])])
        if drive_time(machine, far)[0] > _LONGEST_DRIVE:
            return None
        calendar.worked[first:after] = True
        calendar.full[first:after] = True
        calendar.x[first : after - 1], calendar.y[first : after - 1] = x, y
        # The machine comes back to a site that it can reach as well as it reached this one.
        calendar.x[after - 1], calendar.y[after - 1] = calendar.x[first - 1], calendar.y[first - 1]
        return x, y
    return None


class Happenings:
    """Carries out the events of one machine, in order of time."""

    def __init__(
        self,
        rng: np.random.Generator,
        machine: Machine,
        calendar: Calendar,
        incidents: Incidents,
    ) -> None:
        self._rng, self._machine, self._calendar = rng, machine, calendar
        self._incidents = incidents
        self._carry_out: dict[Happening, Callable[[Event], None]] = {
            Happening.THEFT_TOWED: self._taken_away,
            Happening.THEFT_DRIVEN: self._taken_away,
            Happening.TRANSPORT: self._taken_away,
            Happening.SIPHONING: self._siphoning,
            Happening.FUEL_LEAK: self._leak,
            Happening.FUEL_DRIFT: self._drift,
            Happening.OFF_HOURS_USE: self._off_hours_use,
            Happening.ENGINE_IDLING: self._engine_idling,
            Happening.SILENT: self._silent,
            Happening.TAMPER: self._tamper,
            Happening.FROZEN_HOURS: self._frozen,
            Happening.METER_JUMP: self._meter_jump,
            Happening.DEVICE_REPLACED: self._replaced,
            Happening.GPS_SPOOF: self._spoof,
            Happening.FAULT: self._fault,
        }

    def carry_out(self, event: Event, place: tuple[float, float] | None) -> None:
        """Change the machine's life by an event; `place` is what `plan_days` gave."""
        if event.kind is Happening.EXCURSION:
            if place is not None:
                self._excursion(event, place)
        elif event.kind in self._carry_out:
            # Idle days need nothing more than the calendar; gaps in the work are truth anyway.
            self._carry_out[event.kind](event)

    def _note(self, kind: Happening, start: float, end: float, size: float) -> None:
        self._incidents.truths.append(
            Truth(self._machine.device, kind, Millis(int(start)), Millis(int(end)), size)
        )

    def _night(self, day: int) -> tuple[float, float]:
        """When nobody works after a day's shift; of a machine that works round the clock, the
        next day, which is then free."""
        machine, midnight = self._machine, self._calendar.midnight[day]
        if machine.shift_hours == 24:
            return midnight + 24.5 * HOUR, midnight + 30.0 * HOUR
        begin = midnight + (machine.work_from + machine.shift_hours + 1.0) * HOUR
        return begin, midnight + (24.0 + machine.work_from - 1.0) * HOUR

    def _add(self, segment: Segments) -> None:
        self._incidents.segments = joined(self._incidents.segments, segment).settled()

    def _taken_away(self, event: Event) -> None:
        rng, district = self._rng, self._machine.district
        begin, _ = self._night(event.day)
        start = begin + rng.uniform(0.5, 2.0) * HOUR
        home = self._incidents.segments.position_at(start)
        bearing = float(rng.uniform(0, 2 * math.pi))
        kmh = float(rng.uniform(30.0, 65.0))
        doing, load = Doing.CARRIED, 0.0
        if event.kind is Happening.TRANSPORT:
            metres = 0.6 * district.inner_m
            place = (metres * math.sin(bearing), metres * math.cos(bearing))
        elif event.kind is Happening.THEFT_TOWED:
            metres = _drawn(rng, 150.0, 60_000.0)
            place = district.outside(bearing, metres)
        else:
            metres = _drawn(rng, 150.0, 4_000.0)
            place = district.outside(bearing, metres)
            doing, load = Doing.DRIVING, 1.0
            kmh = 0.8 * self._machine.kind.model.top_speed_kmh
        way = math.hypot(place[0] - home[0], place[1] - home[1])
        arrived = start + way / kmh * (HOUR / 1_000)
        back = self._calendar.midnight[event.day + event.days - 1]
        back += (self._machine.work_from + rng.uniform(4.0, 7.0)) % 24 * HOUR
        back = max(back, arrived + 1.0 * HOUR)
        lorry_kmh = float(rng.uniform(30.0, 60.0))
        home_again = back + way / lorry_kmh * (HOUR / 1_000)
        self._add(one_segment(start, arrived, doing, place, load))
        self._add(one_segment(back, home_again, Doing.CARRIED, home, 0.0))
        self._note(event.kind, start, home_again, metres)
        if doing is Doing.DRIVING:
            self._note(Happening.OFF_HOURS_USE, start, arrived, (arrived - start) / HOUR)

    def _excursion(self, event: Event, place: tuple[float, float]) -> None:
        segments, midnight = self._incidents.segments, self._calendar.midnight
        shift = self._machine.work_from * float(HOUR)
        there = segments.within(midnight[event.day] + shift, midnight[event.day] + shift + HOUR * 4)
        last = midnight[event.day + event.days - 1] + shift
        back = segments.within(last, last + HOUR * 4)
        metres = self._machine.district.metres_outside(*place) - _WANDERS_M
        self._note(event.kind, segments.start[there[0]], segments.end[back[0]], metres)

    def _siphoning(self, event: Event) -> None:
        begin, end = self._night(event.day)
        start = begin + self._rng.uniform(0.5, 0.7) * (end - begin - HOUR)
        span = self._rng.uniform(5.0, 20.0) * MINUTE
        litres = _drawn(self._rng, 5.0, 160.0)
        # How much there was to take, and with it the truth, is known once the tank is.
        self._incidents.siphonings.append(Siphoning(start, start + span, litres))

    def _leak(self, event: Event) -> None:
        start, end = self._span_of(event)
        share = _drawn(self._rng, 0.04, 0.60)
        self._incidents.leaks.append((start, end, share))
        self._note(event.kind, start, end, 100 * share)

    def _drift(self, event: Event) -> None:
        start, end = self._span_of(event)
        share = _drawn(self._rng, 0.05, 0.70)
        self._incidents.thirst.append((start, end, 1.0 + share))
        self._note(event.kind, start, end, 100 * share)

    def _off_hours_use(self, event: Event) -> None:
        begin, end = self._night(event.day)
        hours = min(_drawn(self._rng, 0.15, 6.0), (end - begin) / HOUR - 0.5)
        start = begin + self._rng.uniform(0.0, (end - begin) / HOUR - hours) * HOUR
        self._add(one_segment(start, start + hours * HOUR, Doing.WORKING))
        self._note(event.kind, start, start + hours * HOUR, hours)

    def _engine_idling(self, event: Event) -> None:
        segments = self._incidents.segments
        for day in range(event.day, event.day + event.days):
            begin = self._calendar.midnight[day] + self._machine.work_from * float(HOUR)
            which = segments.within(begin, begin + self._machine.shift_hours * HOUR)
            idle = which[segments.doing[which] == Doing.IDLING]
            hours = float((segments.end[idle] - segments.start[idle]).sum()) / HOUR
            self._note(event.kind, segments.start[which[0]], segments.end[which[-1]], hours)

    def _silent(self, event: Event) -> None:
        rng = self._rng
        hours = _drawn(rng, 1.0, 24.0 * event.days - 1.0)
        start, end = self._some_of(event, hours)
        (self._incidents.dark if rng.random() < 0.5 else self._incidents.unheard).append(
            (start, end)
        )
        self._note(event.kind, start, end, hours)

    def _tamper(self, event: Event) -> None:
        hours = _drawn(self._rng, 0.2, 3.0)
        start, end = self._some_of(event, hours)
        self._incidents.tampered.append((start, end))
        self._note(event.kind, start, end, hours)

    def _frozen(self, event: Event) -> None:
        segments, begin = self._incidents.segments, self._calendar.midnight[event.day]
        begin += self._machine.work_from * float(HOUR)
        which = segments.within(begin, begin + 24.0 * HOUR * event.days)
        runs = which[segments.doing[which] != Doing.CARRIED]
        first = int(self._rng.integers(0, max(1, runs.size // 3)))
        hours = np.cumsum(segments.end[runs[first:]] - segments.start[runs[first:]]) / HOUR
        wanted = _drawn(self._rng, 0.4, 14.0)
        last = min(int(np.searchsorted(hours, wanted)), hours.size - 1)
        start, end = segments.start[runs[first]], segments.end[runs[first + last]]
        self._incidents.unmetered.append((start, end))
        self._note(event.kind, start, end, float(hours[last]))

    def _meter_jump(self, event: Event) -> None:
        start, end = self._some_of(event, 1.0)
        hours = round(_drawn(self._rng, 1.0, 80.0), 1)
        self._incidents.jumps.append((start, hours))
        self._note(event.kind, start, end, hours)

    def _replaced(self, event: Event) -> None:
        start, _ = self._some_of(event, 1.0)
        # By how many hours the meter falls, and with it the truth, is known once it has run.
        self._incidents.replaced.append(start)

    def _spoof(self, event: Event) -> None:
        start, end = self._some_of(event, _drawn(self._rng, 0.5, 6.0))
        metres, bearing = _drawn(self._rng, 20_000.0, 300_000.0), self._rng.uniform(0, 6.28)
        east, north = metres * math.sin(bearing), metres * math.cos(bearing)
        self._incidents.spoofed.append((start, end, east, north))
        self._note(event.kind, start, end, metres / 1_000)

    def _fault(self, event: Event) -> None:
        hours = _drawn(self._rng, 0.5, 24.0 * event.days - 1.0)
        start, end = self._some_of(event, hours)
        codes = self._rng.permutation(_CODES)[: int(self._rng.integers(1, len(_CODES)))]
        self._incidents.faults.append((start, end, tuple(sorted(str(code) for code in codes))))
        self._note(event.kind, start, end, float(codes.size))

    def _span_of(self, event: Event) -> tuple[float, float]:
        midnight = self._calendar.midnight
        return float(midnight[event.day]), float(midnight[event.day + event.days])

    def _some_of(self, event: Event, hours: float) -> tuple[float, float]:
        """So many hours somewhere in an event's days."""
        begin, end = self._span_of(event)
        start = begin + self._rng.random() * max(0.0, end - begin - hours * HOUR)
        return start, start + hours * HOUR


def _drawn(rng: np.random.Generator, least: float, most: float) -> float:
    """A size between two, small ones as often as ones ten times as big."""
    return float(np.exp(rng.uniform(math.log(least), math.log(most))))

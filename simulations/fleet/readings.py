"""What a machine's device says, one day at a time: readings with their noise, and when they arrive.

A day is drawn in arrays. The noise has a generator of its own for every machine and day, so that
days come out the same whichever machines are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import Final

import numpy as np

from iot.codec.sample import Sample
from iot.units import DAY, SECOND
from simulations.fleet.machine_run import MachineRun
from simulations.fleet.segments import Doing, Flags, Floats, Integers

_TANK_STEP: Final = 0.4  # percent; SAE J1939, fuel level
_FUEL_STEP: Final = 0.5  # litres; SAE J1939, total fuel used
_WAY_STEP: Final = 0.1  # kilometres
_TILT_PERCENT: Final = 0.4
_STILL_PERCENT: Final = 0.2
_MOST_SKEW: Final = 240.0 * SECOND
_SIGMAS: Final = 2.0
"""A fix's accuracy is so many standard deviations of each of its coordinates."""


@dataclass(frozen=True)
class Day:
    """One day's readings of one device, in its order.

    Attributes:
        samples: the readings, `received` at their first arrival.
        received: the same moments; shape (readings,).
        again: when each arrives a second time, -1 for never; shape (readings,).
    """

    samples: list[Sample]
    received: Integers
    again: Integers


class Readings:
    """A device that reports day after day; `boot` and `seq` go on from one day to the next."""

    def __init__(self, run: MachineRun) -> None:
        self._run = run
        self._day = 0
        self._boot = run.device.first_boot
        self._seq = 0
        self._tilt = np.random.default_rng([run.plan.seed, 3, run.machine.number]).normal(
            0.0, _TILT_PERCENT, len(run.segments) + 1
        )

    def next_day(self) -> Day:
        """The readings of the next day of the run, by true time."""
        run, plan = self._run, self._run.plan
        rng = np.random.default_rng([plan.seed, 2, run.machine.number, self._day])
        at, doing, segment = self._moments(rng)
        self._day += 1
        count = at.size
        boot, seq = self._count_messages(at)
        wrong = run.device.skew + run.device.drift * (at - self._booted(at))
        clock = at + np.clip(wrong, -_MOST_SKEW, _MOST_SKEW)
        received, again = self._arrivals(rng, at)
        operating, idle, fuel, way = self._meters(at)
        latitude, longitude, accuracy, missing = self._fixes(rng, at)
        columns: list[list[object]] = [
            boot.tolist(),
            seq.tolist(),
            clock.astype(np.int64).tolist(),
            received.tolist(),
            operating.tolist(),
            idle.tolist(),
            fuel.tolist() if run.tank is not None else [None] * count,
            self._tank(rng, at, doing, segment),
            _without(latitude, missing),
            _without(longitude, missing),
            _without(accuracy, missing),
            ((doing != Doing.PARKED) & (doing != Doing.CARRIED)).tolist(),
            way.tolist(),
            self._faults(at),
            self._tampered(at),
        ]
        samples = list(map(Sample, repeat(run.machine.device, count), *columns))
        return Day(samples, received, again)

    def _moments(self, rng: np.random.Generator) -> tuple[Floats, Integers, Integers]:
        """When the device reports, what the machine does then, and in or after which segment."""
        run, plan = self._run, self._run.plan
        step = plan.interval_s * SECOND
        # Reports are numbered through the run, since an interval need not divide a day.
        first, last = (-(-day * DAY // step) for day in (self._day, self._day + 1))
        number = np.arange(first, last)
        at = plan.start + number * float(step) + run.device.phase % step
        at += rng.uniform(-0.02, 0.02, at.size) * step
        keep = at < plan.end
        for start, end in run.device.dark:
            keep &= (at < start) | (at >= end)
        segment = np.searchsorted(run.segments.start, at, side="right")
        inside = segment > 0
        before = np.maximum(segment - 1, 0)
        if len(run.segments):
            inside &= at < run.segments.end[before]
            doing = np.where(inside, run.segments.doing[before], Doing.PARKED)
        else:
            doing = np.zeros(at.size, dtype=np.int64)
        if plan.parked_every > 1:
            keep &= (doing != Doing.PARKED) | (number % plan.parked_every == 0)
        return np.floor(at[keep]), doing[keep], segment[keep]

    def _booted(self, at: Floats) -> Floats:
        """When the device started last, or the run did."""
        boots = np.insert(self._run.device.boots, 0, float(self._run.plan.start))
        started: Floats = boots[np.searchsorted(boots, at, side="right").clip(1) - 1]
        return started

    def _count_messages(self, at: Floats) -> tuple[Integers, Integers]:
        device = self._run.device
        boot = device.first_boot + np.searchsorted(device.boots, at, side="right")
        place = np.arange(at.size)
        begins = np.ones(at.size, dtype=np.bool_)
        begins[1:] = boot[1:] != boot[:-1]
        seq = place - np.maximum.accumulate(np.where(begins, place, 0)) + 1
        if at.size:
            if boot[0] == self._boot:
                seq[boot == self._boot] += self._seq
            self._boot, self._seq = int(boot[-1]), int(seq[-1])
        return boot, seq

    def _arrivals(self, rng: np.random.Generator, at: Floats) -> tuple[Integers, Integers]:
        plan, count = self._run.plan, at.size
        delay = 700.0 * np.exp(rng.normal(0.0, 0.5, count))
        late = rng.random(count) < plan.late_share
        delay += np.where(late, rng.uniform(5.0, 300.0, count) * SECOND, 0.0)
        received = at + delay
        burst = rng.uniform(5.0, 90.0, count) * SECOND
        unheard = self._run.device.unheard
        if len(unheard):
            span = np.searchsorted(unheard[:, 0], at, side="right") - 1
            over = unheard[np.maximum(span, 0), 1]
            hidden = (span >= 0) & (at < over)
            received = np.where(hidden, over + burst, received)
        twice = rng.random(count) < plan.duplicate_share
        again = np.where(twice, received + 1.0 + rng.exponential(20.0, count) * SECOND, -1.0)
        return received.astype(np.int64), again.astype(np.int64)

    def _meters(self, at: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        run, counters = self._run, self._run.counters
        epoch = np.searchsorted(run.epochs.since, at, side="right") - 1
        totals = (
            (counters.operating_hours, run.plan.hour_tick),
            (counters.idle_hours, run.plan.hour_tick),
            (counters.fuel_l, _FUEL_STEP),
            (counters.distance_km, _WAY_STEP),
        )
        first, second, third, fourth = (
            _ticks(_between(at, counters.at, total) + run.epochs.shown[epoch, column], tick)
            for column, (total, tick) in enumerate(totals)
        )
        return first, second, third, fourth

    def _tank(
        self, rng: np.random.Generator, at: Floats, doing: Integers, segment: Integers
    ) -> list[object]:
        run = self._run
        noise = rng.standard_normal(at.size)
        tank_l = run.machine.kind.model.tank_l
        if run.tank is None or tank_l is None:
            return [None] * at.size
        level = run.tank.first + run.tank.put_in(at)
        level -= _between(at, run.counters.at, run.counters.drained_l)
        percent = level / tank_l * 100
        moving = doing != Doing.PARKED
        # Parked, the machine leans one way until it is moved again; at work the fuel sloshes.
        percent += np.where(moving, 0.0, self._tilt[segment])
        percent += noise * np.where(moving, run.machine.kind.slosh_percent, _STILL_PERCENT)
        shown: list[object] = np.round(
            np.clip(np.round(percent / _TANK_STEP) * _TANK_STEP, 0.0, 100.0), 1
        ).tolist()
        return shown

    def _fixes(self, rng: np.random.Generator, at: Floats) -> tuple[Floats, Floats, Floats, Flags]:
        run, plan, count = self._run, self._run.plan, at.size
        x = _between(at, run.counters.at, run.counters.x, before=True)
        y = _between(at, run.counters.at, run.counters.y, before=True)
        accuracy = rng.uniform(5.0, 15.0, count)
        bad = rng.random(count) < plan.bad_fix_share
        accuracy = np.where(bad, rng.uniform(60.0, 500.0, count), accuracy)
        error = np.clip(rng.standard_normal((2, count)), -3.0, 3.0) * accuracy / _SIGMAS
        for start, end, east, north in run.incidents.spoofed:
            false = (at >= start) & (at < end)
            x, y = np.where(false, x + east, x), np.where(false, y + north, y)
        latitude, longitude = run.machine.district.degrees(x + error[0], y + error[1])
        missing = rng.random(count) < plan.no_fix_share
        return np.round(latitude, 6), np.round(longitude, 6), np.round(accuracy, 1), missing

    def _faults(self, at: Floats) -> list[object]:
        faults: list[object] = [()] * at.size
        for start, end, codes in self._run.incidents.faults:
            first, last = np.searchsorted(at, (start, end))
            faults[first:last] = [codes] * int(last - first)
        return faults

    def _tampered(self, at: Floats) -> list[object]:
        tampered: list[object] = [False] * at.size
        for start, end in self._run.incidents.tampered:
            first, last = np.searchsorted(at, (start, end))
            tampered[first:last] = [True] * int(last - first)
        return tampered


def _between(at: Floats, knots: Floats, values: Floats, before: bool = False) -> Floats:
    if not knots.size:
        return np.zeros(at.size)
    return np.interp(at, knots, values, left=float(values[0]) if before else 0.0)


def _ticks(values: Floats, tick: float) -> Floats:
    """Whole ticks that a meter has passed, in decimals that look as a meter's do."""
    return np.round(np.floor(values / tick + 1e-6) * tick, 3)


def _without(values: Floats, missing: Flags) -> list[object]:
    cells: list[object] = values.tolist()
    for place in np.flatnonzero(missing).tolist():
        cells[place] = None
    return cells

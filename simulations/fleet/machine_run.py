"""One machine through a whole run: its life, its counters, its device, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iot.units import HOUR, MINUTE, SECOND, Millis
from simulations.fleet.duty import Calendar, live
from simulations.fleet.idle_gaps import idle_gaps
from simulations.fleet.incidents import Happenings, Incidents, plan_days
from simulations.fleet.plan import Plan
from simulations.fleet.population import Machine
from simulations.fleet.schedule import draw_events
from simulations.fleet.segments import (
    Doing,
    Floats,
    Integers,
    Segments,
    knots,
    running_total,
)
from simulations.fleet.tank import Tank, keep_filled
from simulations.fleet.truth import Happening, Truth

_LEAST_SIPHONED_L = 3.0


@dataclass(frozen=True)
class Counters:
    """Running totals at the knots of a life; each has the shape (2 * segments,).

    Attributes:
        at: the knots, milliseconds.
        drained_l: taken from the tank by running, leaks included.
        x, y: metres from the zone's centre.
    """

    at: Floats
    operating_hours: Floats
    idle_hours: Floats
    fuel_l: Floats
    drained_l: Floats
    distance_km: Floats
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Epochs:
    """What a meter showed beyond what was gained since the run's start; one row an epoch.

    Attributes:
        since: from when on a row holds; shape (epochs,), the first before the run.
        shown: operating hours, idle hours, litres, kilometres; shape (epochs, 4).
    """

    since: Floats
    shown: Floats


@dataclass(frozen=True)
class Device:
    """The telemetry device of the machine.

    Attributes:
        phase: of its reports, milliseconds.
        boots: moments at which it starts anew.
        first_boot: its boot number at the run's start.
        skew, drift: of its clock: milliseconds after a boot, and per millisecond since.
        unheard: spans without a network, one row each of start and end; shape (spans, 2).
        dark: spans without power; shape (spans, 2).
    """

    phase: float
    boots: Floats
    first_boot: int
    skew: float
    drift: float
    unheard: Floats
    dark: Floats


@dataclass(frozen=True)
class MachineRun:
    """All that is drawn of a machine but the noise of its readings."""

    machine: Machine
    plan: Plan
    segments: Segments
    counters: Counters
    epochs: Epochs
    tank: Tank | None
    device: Device
    incidents: Incidents
    truths: tuple[Truth, ...]


def run_machine(machine: Machine, plan: Plan) -> MachineRun:
    """Live a machine's life; the same machine and plan give the same life."""
    rng = np.random.default_rng([plan.seed, 1, machine.number])
    calendar = Calendar(rng, machine, plan)
    events = draw_events(rng, machine, plan)
    places = [plan_days(rng, machine, calendar, event) for event in events]
    incidents = Incidents(live(rng, machine, calendar))
    happenings = Happenings(rng, machine, calendar, incidents)
    for event, place in zip(events, places, strict=True):
        # Without a day of work there is no machine that anything could happen to.
        if len(incidents.segments):
            happenings.carry_out(event, place)
    segments = incidents.segments
    metered = _metered(segments, incidents)
    counters, drained = _count(machine, segments, metered, incidents)
    tank = None
    if machine.kind.model.tank_l is not None:
        siphonings = tuple(incidents.siphonings)
        tank = keep_filled(rng, machine.kind.model.tank_l, segments, drained, siphonings)
    epochs, falls = _epochs(rng, machine, counters, incidents)
    truths = [*incidents.truths, *falls]
    if tank is not None:
        for theft, litres in zip(incidents.siphonings, tank.siphoned, strict=True):
            if litres >= _LEAST_SIPHONED_L:
                start, end = Millis(int(theft.start)), Millis(int(theft.end))
                truths.append(Truth(machine.device, Happening.SIPHONING, start, end, litres))
    truths += idle_gaps(machine.device, segments, metered, plan)
    truths.sort(key=lambda truth: (truth.start, truth.kind))
    device = _device(rng, plan, incidents)
    return MachineRun(
        machine, plan, segments, counters, epochs, tank, device, incidents, tuple(truths)
    )


def _metered(segments: Segments, incidents: Incidents) -> Integers:
    metered = np.ones(len(segments), dtype=np.int64)
    for start, end in incidents.unmetered:
        metered[segments.within(start, end)] = 0
    return metered


def _count(
    machine: Machine, segments: Segments, metered: Integers, incidents: Incidents
) -> tuple[Counters, Floats]:
    hours = (segments.end - segments.start) / HOUR
    running = segments.doing != Doing.CARRIED
    idling = segments.doing == Doing.IDLING
    kind = machine.kind
    burn = np.array([0.0, 1.0, kind.idle_burn, 0.7, 0.0])[segments.doing] * segments.load
    burnt = burn * hours * (kind.model.litres_per_hour or 0.0)
    for start, end, factor in incidents.thirst:
        burnt[segments.within(start, end)] *= factor
    drained = burnt.copy()
    for start, end, share in incidents.leaks:
        drained[segments.within(start, end)] *= 1.0 + share
    before_x, before_y = np.roll(segments.x, 1), np.roll(segments.y, 1)
    before_x[:1], before_y[:1] = segments.x[:1], segments.y[:1]
    driven = np.hypot(segments.x - before_x, segments.y - before_y) / 1_000
    km = np.where(segments.doing == Doing.DRIVING, driven, 0.0)
    km = np.where(segments.doing == Doing.WORKING, hours * kind.crawl_kmh, km)
    counters = Counters(
        knots(segments.start, segments.end),
        running_total(hours * running * metered),
        running_total(hours * idling * metered),
        running_total(burnt),
        running_total(drained),
        running_total(km),
        np.stack((before_x, segments.x), axis=1).ravel(),
        np.stack((before_y, segments.y), axis=1).ravel(),
    )
    return counters, drained


def _epochs(
    rng: np.random.Generator, machine: Machine, counters: Counters, incidents: Incidents
) -> tuple[Epochs, list[Truth]]:
    hours = float(rng.uniform(200.0, 8_000.0))
    per_hour = machine.kind.model.litres_per_hour or 0.0
    shown = np.array(
        [
            hours,
            hours * float(rng.uniform(0.12, 0.3)),
            hours * 0.8 * per_hour,
            hours * machine.kind.crawl_kmh,
        ]
    )
    since, rows = [0.0], [shown]
    truths: list[Truth] = []
    totals = (
        counters.operating_hours,
        counters.idle_hours,
        counters.fuel_l,
        counters.distance_km,
    )
    changes: list[tuple[float, float | None]] = [*incidents.jumps]
    changes += [(at, None) for at in incidents.replaced]
    for at, gained in sorted(changes, key=lambda change: change[0]):
        if gained is not None:
            shown = shown + np.array([gained, 0.0, 0.0, 0.0])
        else:
            now = np.array([float(np.interp(at, counters.at, total)) for total in totals])
            fallen = float((shown + now)[0])
            shown = -now
            start, end = Millis(int(at)), Millis(int(at + HOUR))
            truths.append(
                Truth(machine.device, Happening.DEVICE_REPLACED, start, end, round(fallen, 1))
            )
        since.append(at)
        rows.append(shown)
    return Epochs(np.array(since), np.stack(rows)), truths


def _device(rng: np.random.Generator, plan: Plan, incidents: Incidents) -> Device:
    span = float(plan.end - plan.start)
    reboots = plan.start + span * rng.random(rng.poisson(plan.reboots_a_month * plan.days / 30))
    boots = np.sort(
        np.array([*reboots.tolist(), *incidents.replaced, *(end for _, end in incidents.dark)])
    )
    skewed = rng.random() < plan.skewed_share
    skew = float(rng.uniform(-120.0, 120.0) if skewed else rng.uniform(-2.0, 2.0)) * SECOND
    drift = float(rng.uniform(-2e-5, 2e-5)) if skewed else 0.0
    return Device(
        float(rng.uniform(0.0, plan.interval_s * SECOND)),
        boots,
        int(rng.integers(1, 40)),
        skew,
        drift,
        _unheard(rng, plan, incidents),
        _rows(incidents.dark),
    )


def _unheard(rng: np.random.Generator, plan: Plan, incidents: Incidents) -> Floats:
    """Long outages and short dead zones, which keep an hour's distance from long silence."""
    span = float(plan.end - plan.start)
    count = int(rng.poisson(plan.dead_zones_a_day * plan.days))
    starts = np.sort(plan.start + span * rng.random(count))
    lengths = np.exp(rng.uniform(np.log(5.0), np.log(120.0), count)) * MINUTE
    spans = list(incidents.unheard)
    taken = [*incidents.unheard, *incidents.dark]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        end = start + length
        if all(end + HOUR < other or other_end + HOUR < start for other, other_end in taken):
            spans.append((start, end))
            taken.append((start, end))
    return _rows(sorted(spans))


def _rows(spans: list[tuple[float, float]]) -> Floats:
    return np.array(sorted(spans), dtype=np.float64).reshape(-1, 2)

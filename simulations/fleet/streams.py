"""Readings of a whole fleet: in each device's order, or as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from iot.codec.sample import Sample
from iot.units import DAY
from simulations.fleet.machine_run import MachineRun, run_machine
from simulations.fleet.plan import Plan
from simulations.fleet.population import Machine, Population
from simulations.fleet.readings import Readings
from simulations.fleet.truth import Truth


def run_fleet(population: Population, plan: Plan) -> tuple[MachineRun, ...]:
    """Every machine's life; some 100 kB a machine and month."""
    return tuple(run_machine(machine, plan) for machine in population.machines)


def device_stream(run: MachineRun) -> Iterator[Sample]:
    """A device's readings in its own order (boot, seq), each once, as they arrive first."""
    readings = Readings(run)
    for _ in range(run.plan.days):
        yield from readings.next_day().samples


def fleet_stream(machines: Iterable[Machine], plan: Plan) -> Iterator[Sample]:
    """Device after device, each in its own order; holds one machine at a time."""
    for machine in machines:
        yield from device_stream(run_machine(machine, plan))


def truths(runs: Iterable[MachineRun]) -> tuple[Truth, ...]:
    """What happened, machine after machine."""
    return tuple(truth for run in runs for truth in run.truths)


def arrival_stream(runs: Iterable[MachineRun]) -> Iterator[Sample]:
    """All devices' readings in order of arrival: late, out of order, in bursts, some twice.

    Holds a day of the fleet at a time, and what is still on its way.
    """
    devices = [(run.plan, Readings(run)) for run in runs]
    if not devices:
        return
    plan = devices[0][0]
    waiting: list[Sample] = []
    times = np.empty(0, dtype=np.int64)
    for day in range(plan.days):
        arrived = [times]
        for _, readings in devices:
            drawn = readings.next_day()
            twice = np.flatnonzero(drawn.again >= 0)
            again = drawn.again[twice]
            waiting += drawn.samples
            waiting += [
                msgspec.structs.replace(drawn.samples[place], received=at)
                for place, at in zip(twice.tolist(), again.tolist(), strict=True)
            ]
            arrived += [drawn.received, again]
        times = np.concatenate(arrived)
        order = np.argsort(times, kind="stable")
        # Nothing that is sent tomorrow arrives before midnight, but for its report's jitter.
        border = plan.start + (day + 1) * DAY - plan.interval_s * 1_000
        due = order if day == plan.days - 1 else order[: np.searchsorted(times[order], border)]
        yield from (waiting[place] for place in due.tolist())
        rest = np.sort(order[due.size :])
        waiting = [waiting[place] for place in rest.tolist()]
        times = times[rest]

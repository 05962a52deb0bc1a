"""The monitor: every machine's order and rules, folded over samples; timers kept beside.

Verdicts hang on the samples in their devices' own order and on the times that timers are run at,
on nothing else. What it holds can be stored at any moment and loaded again (`iot.monitor.kept`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from iot.codec.sample import Sample
from iot.fleet.fleet import Fleet, Lease
from iot.monitor.kept import into, to_bytes
from iot.monitor.machine import NEVER, Machine
from iot.rules.rule import Rule, Scene, Verdict
from iot.rules.untimed import Untimed
from iot.state.order import Arrival, Order
from iot.state.step import step_between
from iot.units import DeviceId, Millis

Metres = npt.NDArray[np.float64]


class Fences(Protocol):
    """How far outside their zones fixes are, many at once."""

    def outside_m(
        self,
        leases: Sequence[Lease | None],
        ats: Sequence[Millis],
        latitudes: Metres,
        longitudes: Metres,
    ) -> Metres:
        """Metres outside, 0 inside, NaN without a zone or a fix; one an entry."""


class Found(NamedTuple):
    """A verdict on a device, under the lease that held (None between leases)."""

    device: DeviceId
    lease: Lease | None
    verdict: Verdict


class Monitor:
    """Folds samples and the passing of time.

    Args:
        fleet: every device that may speak.
        rules: in an order that stays the same; their memories are kept in it.
        fences: of the fleet's zones; None: no machine is ever outside.
    """

    def __init__(self, fleet: Fleet, rules: Sequence[Rule], fences: Fences | None) -> None:
        self._fleet = fleet
        self._rules = tuple(rules)
        self._fences = fences
        self._observers = [(number, rule.observe) for number, rule in enumerate(self._rules)]
        self._timed = [
            (number, rule)
            for number, rule in enumerate(self._rules)
            if not isinstance(rule, Untimed)
        ]
        self.machines: dict[DeviceId, Machine] = {}
        for number, device in enumerate(fleet.devices, 1):
            self.machines[device] = self._new(device, number)
        self._timers: list[tuple[Millis, int, DeviceId]] = []
        self.advanced: list[Machine] = []

    def take(self, samples: Iterable[Sample]) -> tuple[list[Arrival], list[Found]]:
        """Take samples in, in the order in which they came.

        Returns:
            what each sample is by its key, and what the rules found.
        """
        arrivals: list[Arrival] = []
        ready: list[tuple[Machine, Sample]] = []
        machines = self.machines
        for sample in samples:
            machine = machines[sample.device]
            order = machine.order
            arrival = order.take(sample)
            arrivals.append(arrival)
            machine.changed = True
            if arrival == Arrival.IN_ORDER:
                ready.append((machine, sample))
            if order.held:
                ready += [(machine, one) for one in order.ready(sample.received)]
                self._schedule(machine)
        return arrivals, self._fold(ready)

    def advance(self, now: Millis) -> list[Found]:
        """Run every timer that is due by `now`: waits that end, and rules' own."""
        found: list[Found] = []
        self.advanced = []
        timers = self._timers
        while timers and timers[0][0] <= now:
            due, _, device = heapq.heappop(timers)
            machine = self.machines[device]
            if machine.due != due:
                continue  # Another time was set since.
            machine.due = NEVER
            machine.changed = True
            self.advanced.append(machine)
            found += self._fold([(machine, sample) for sample in machine.order.ready(now)])
            found += self._expire(machine, now)
            self._schedule(machine)
        return found

    def next_due(self) -> Millis | None:
        """When `advance` has something to do if nothing comes before."""
        return self._timers[0][0] if self._timers else None

    def restore(self, device: DeviceId, state: bytes) -> None:
        """Put what was kept of a machine back.

        Raises:
            KeptInvalid: it can't be read.
        """
        machine = self.machines[device]
        into(machine, state, self._rules)
        self._schedule(machine)

    def changed(self, *, by_time_only: bool = False) -> list[tuple[DeviceId, bytes]]:
        """What is to be kept of each machine that changed since it was asked for last.

        Args:
            by_time_only: of those that the last `advance` changed: what the clock did can't be
                found again from samples.
        """
        states = []
        for machine in self.advanced if by_time_only else self.machines.values():
            if machine.changed:
                machine.changed = False
                states.append((machine.device, to_bytes(machine, self._rules)))
        return states

    def _new(self, device: DeviceId, number: int) -> Machine:
        memories = [rule.memory() for rule in self._rules]
        return Machine(device, number, self._fleet.model_of(device), Order(), memories)

    def _fold(self, ready: list[tuple[Machine, Sample]]) -> list[Found]:
        if not ready:
            return []
        leases = [self._lease_of(machine, sample.at) for machine, sample in ready]
        outside = self._outside(leases, [sample for _, sample in ready])
        found: list[Found] = []
        observers = self._observers
        for (machine, sample), lease, metres in zip(ready, leases, outside, strict=True):
            if lease is not machine.lease:
                self._change_lease(machine, lease)
            step = step_between(machine.last, sample)
            machine.last = sample
            # NaN, the only number that is not itself, is no fix or no zone.
            scene = Scene(lease, machine.model, metres if metres == metres else None)
            memories = machine.memories
            for number, observe in observers:
                verdict = observe(memories[number], step, scene)
                if verdict is not None:
                    found.append(Found(machine.device, lease, verdict))
        for machine in {id(machine): machine for machine, _ in ready}.values():
            self._schedule(machine)
        return found

    def _outside(self, leases: Sequence[Lease | None], samples: Sequence[Sample]) -> list[float]:
        nan = float("nan")
        if self._fences is None:
            return [nan] * len(samples)
        ats = [sample.at for sample in samples]
        latitudes = np.array([nan if one.latitude is None else one.latitude for one in samples])
        longitudes = np.array([nan if one.longitude is None else one.longitude for one in samples])
        metres: list[float] = self._fences.outside_m(leases, ats, latitudes, longitudes).tolist()
        return metres

    def _expire(self, machine: Machine, now: Millis) -> list[Found]:
        found: list[Found] = []
        if machine.last is None:
            return found
        scene = Scene(machine.lease, machine.model, None)
        for number, rule in self._timed:
            memory = machine.memories[number]
            due = rule.due(memory)
            if due is not None and due <= now:
                verdict = rule.expire(memory, now, machine.last, scene)
                if verdict is not None:
                    found.append(Found(machine.device, machine.lease, verdict))
        return found

    def _schedule(self, machine: Machine) -> None:
        """Set the timer of a machine to what is due first. A later time is not put into the heap:
        the timer that runs too early finds nothing due and sets itself anew."""
        due = machine.order.due() or NEVER
        memories = machine.memories
        for number, rule in self._timed:
            wanted = rule.due(memories[number])
            if wanted is not None and wanted < due:
                due = wanted
        if due < machine.due:
            machine.due = due
            heapq.heappush(self._timers, (due, machine.number, machine.device))

    def _lease_of(self, machine: Machine, at: Millis) -> Lease | None:
        """The lease at a time; what was found is kept for as long as it holds."""
        if machine.known_from <= at < machine.known_until:
            return machine.known_lease
        lease = self._fleet.lease_at(machine.device, at)
        machine.known_lease = lease
        if lease is None:
            machine.known_from = machine.known_until = at
        else:
            machine.known_from = lease.start
            machine.known_until = NEVER if lease.end is None else lease.end
        return lease

    def _change_lease(self, machine: Machine, lease: Lease | None) -> None:
        """What the rules remember belongs to a lease: with the next they begin anew."""
        if machine.lease_id != (None if lease is None else lease.id):
            machine.memories = [rule.memory() for rule in self._rules]
            machine.lease_id = None if lease is None else lease.id
        machine.lease = lease

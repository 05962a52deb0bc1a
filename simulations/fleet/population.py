"""Who leases what: lessees, machines, leases and zones drawn from a seed, and the fleet file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from iot.fleet.fleet import Fleet, Lease, Zone
from iot.fleet.writing import write_fleet
from iot.units import DAY, DeviceId, LeaseId, LesseeId, Millis
from simulations.fleet.catalogue import KINDS, Kind
from simulations.fleet.districts import District, draw_districts
from simulations.fleet.lessees import Lessee, draw_lessees
from simulations.fleet.plan import MONDAY, PlanInvalid

_SHIFTS: Final = ((7, 18), (6, 20), (8, 17), (20, 5), (0, 24))
_SHIFT_SHARES: Final = (0.45, 0.20, 0.20, 0.05, 0.10)
_MOST_DISTRICTS: Final = 200
_MACHINES_A_LESSEE: Final = 4
_LONG_AGO_DAYS: Final = 1_000
LESSEES_FILE: Final = "lessees.csv"


@dataclass(frozen=True)
class Machine:
    """One leased machine.

    Attributes:
        number: counts from 0; with the seed it decides the machine's whole life.
        work_from, work_to: hours of the local day, as its lease has them.
        utc_offset_minutes: of the local day.
    """

    number: int
    device: DeviceId
    kind: Kind
    lessee: Lessee
    district: District
    work_from: int
    work_to: int
    utc_offset_minutes: int

    @property
    def shift_hours(self) -> int:
        return (self.work_to - self.work_from) % 24 or 24


@dataclass(frozen=True)
class Population:
    """A lessor's fleet, and what its register does not say: the lessees' risk."""

    fleet: Fleet
    machines: tuple[Machine, ...]
    lessees: tuple[Lessee, ...]


def draw_population(
    seed: int, machines: int, lessees: int | None = None, start: Millis = MONDAY
) -> Population:
    """Draw a population.

    Args:
        seed: of everything.
        machines: how many; each has one device and one open lease, some an ended one before.
        lessees: how many; None: one for every four machines. Each has one machine at least.
        start: of the simulation; leases began before it.

    Raises:
        PlanInvalid: there are fewer machines than lessees, or none.
    """
    count = max(1, machines // _MACHINES_A_LESSEE) if lessees is None else lessees
    if not 1 <= count <= machines:
        raise PlanInvalid(
            f"There are {machines} machines for {count} lessees; each lessee needs at least one."
        )
    rng = np.random.default_rng([seed, 0])
    firms = draw_lessees(rng, count)
    districts = draw_districts(rng, min(_MOST_DISTRICTS, max(1, count // 3)))
    drawn = _draw_machines(rng, machines, firms, districts)
    leases = {
        machine.device: _draw_leases(rng, machine, start, firms[machine.number % count].id)
        for machine in drawn
    }
    fleet = Fleet(
        {kind.model.id: kind.model for kind in KINDS},
        {machine.device: machine.kind.model.id for machine in drawn},
        leases,
        {district.zone: _versions(rng, district, start) for district in districts},
    )
    return Population(fleet, drawn, firms)


def write_population(population: Population, folder: Path) -> Path:
    """Write the fleet file, and beside it what only the simulation knows of the lessees.

    Returns:
        The path of the fleet file.

    Raises:
        FleetInvalid: the folder can't be written.
    """
    fleet_file = write_fleet(population.fleet, folder)
    with (folder / LESSEES_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("lessee", "risk", "default"))
        writer.writerows(
            (firm.id, repr(round(firm.risk, 6)), int(firm.defaulted)) for firm in population.lessees
        )
    return fleet_file


def _draw_machines(
    rng: np.random.Generator,
    count: int,
    firms: tuple[Lessee, ...],
    districts: tuple[District, ...],
) -> tuple[Machine, ...]:
    shares = np.array([kind.share for kind in KINDS])
    kinds = rng.choice(len(KINDS), count, p=shares / shares.sum())
    # All machines of a lessee work in its district and by its shift.
    homes = rng.integers(len(districts), size=len(firms))
    shifts = rng.choice(len(_SHIFTS), len(firms), p=_SHIFT_SHARES)
    machines = []
    for number in range(count):
        firm = number % len(firms)
        work_from, work_to = _SHIFTS[shifts[firm]]
        machines.append(
            Machine(
                number,
                DeviceId(f"device-{number:05d}"),
                KINDS[kinds[number]],
                firms[firm],
                districts[homes[firm]],
                work_from,
                work_to,
                60,
            )
        )
    return tuple(machines)


def _draw_leases(
    rng: np.random.Generator, machine: Machine, start: Millis, lessee: LesseeId
) -> tuple[Lease, ...]:
    begun = start - int(rng.integers(10, 600)) * DAY
    has_ended_one = rng.random() < 0.2
    terms = (
        machine.district.zone,
        machine.kind.rate_card,
        machine.work_from,
        machine.work_to,
        machine.utc_offset_minutes,
    )
    name, device = f"lease-{machine.number:05d}", machine.device
    lease = Lease(LeaseId(f"{name}-2"), device, lessee, Millis(begun), None, *terms)
    if not has_ended_one:
        return (lease,)
    earlier_start, earlier_end = Millis(begun - 200 * DAY), Millis(begun - 7 * DAY)
    return (Lease(LeaseId(f"{name}-1"), device, lessee, earlier_start, earlier_end, *terms), lease)


def _versions(rng: np.random.Generator, district: District, start: Millis) -> tuple[Zone, ...]:
    """One version, or two, of which the first and smaller one is over before the run."""
    first = Millis(start - _LONG_AGO_DAYS * DAY)
    ring = district.ring()
    if rng.random() >= 0.1:
        return (Zone(district.zone, 1, first, (ring,)),)
    smaller = tuple(
        (
            round(district.longitude + 0.8 * (x - district.longitude), 6),
            round(district.latitude + 0.8 * (y - district.latitude), 6),
        )
        for x, y in ring
    )
    second = Millis(start - 30 * DAY)
    return (
        Zone(district.zone, 1, first, (smaller,)),
        Zone(district.zone, 2, second, (ring,)),
    )

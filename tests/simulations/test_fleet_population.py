"""The simulated fleet's register and lessees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iot.fleet.reading import read_fleet
from iot.geofence.region import region_of
from simulations.fleet.lessees import draw_lessees
from simulations.fleet.plan import MONDAY, Plan, PlanInvalid
from simulations.fleet.population import draw_population, write_population


def test_the_register_is_read_as_it_was_written(tmp_path: Path) -> None:
    population = draw_population(3, 60)
    assert read_fleet(write_population(population, tmp_path)) == population.fleet
    lines = (tmp_path / "lessees.csv").read_text().splitlines()
    assert lines[0] == "lessee,risk,default"
    assert len(lines) == 1 + len(population.lessees) == 16


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_population(draw_population(seed, 20), tmp_path / folder)
    for file in ("fleet.toml", "leases.csv", "lessees.csv"):
        first, same, other = ((tmp_path / folder / file).read_bytes() for folder in "abc")
        assert first == same != other


def test_every_machine_is_let_when_the_simulation_begins() -> None:
    population = draw_population(4, 200)
    for machine in population.machines:
        lease = population.fleet.lease_at(machine.device, MONDAY)
        assert lease is not None
        assert (lease.lessee, lease.zone) == (machine.lessee.id, machine.district.zone)
        assert (lease.work_from, lease.work_to) == (machine.work_from, machine.work_to)
    assert any(len(leases) == 2 for leases in population.fleet.leases.values())
    assert {len(versions) for versions in population.fleet.zones.values()} == {1, 2}


def test_places_outside_a_zone_are_as_far_away_as_was_asked() -> None:
    for machine in draw_population(5, 12).machines:
        district = machine.district
        assert len(district.ring()) == 41
        region_of(draw_population(5, 12).fleet.zones[district.zone][-1])
        for bearing, metres in ((0.3, 80.0), (2.0, 900.0), (4.4, 20_000.0)):
            x, y = district.outside(bearing, metres)
            assert district.metres_outside(x, y) == pytest.approx(metres, abs=0.01)
        assert district.metres_outside(0.7 * district.inner_m, -0.7 * district.inner_m) == 0.0


def test_risk_shows_in_defaults_and_defaults_in_falling_use() -> None:
    firms = draw_lessees(np.random.default_rng(1), 4_000)
    risk = np.array([firm.risk for firm in firms])
    defaulted = np.array([firm.defaulted for firm in firms])
    assert 0.08 < defaulted.mean() < 0.25
    assert risk[defaulted].mean() > risk[~defaulted].mean() + 0.5
    days = np.array([0.0, 89.0])
    use = np.array([firm.use_on(days, 90) for firm in firms])
    fall = 1 - use[:, 1] / use[:, 0]
    assert fall[defaulted].mean() > fall[~defaulted].mean() + 0.1
    # They overlap: no threshold on the fall alone tells them apart.
    assert (fall[~defaulted] > np.median(fall[defaulted])).any()
    assert (fall[defaulted] < np.median(fall[~defaulted])).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"days": 0}, "'days' are 0"),
        ({"interval_s": 5}, "'interval_s' is 5"),
        ({"interval_s": 601}, "'interval_s' is 601"),
        ({"interval_s": 60, "parked_interval_s": 90}, "multiple of 'interval_s'"),
        ({"start": MONDAY + 1}, "midnight"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(PlanInvalid, match=said):
        Plan(**wrong)  # type: ignore[arg-type]


def test_more_lessees_than_machines_are_refused() -> None:
    with pytest.raises(PlanInvalid, match="each lessee needs at least one"):
        draw_population(1, 3, lessees=4)

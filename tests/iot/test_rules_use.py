"""Fuel, tank, hours and engine: incidents that must be found, and their harmless likes."""

from __future__ import annotations

import pytest

from iot.codec.sample import Sample
from iot.fleet.fleet import Model
from iot.rules.engine_idling import EngineIdling, EngineIdlingSettings
from iot.rules.frozen_counter import FrozenCounter, FrozenCounterSettings
from iot.rules.fuel_against_hours import FuelAgainstHours, FuelAgainstHoursSettings
from iot.rules.hours_backwards import HoursBackwards, HoursBackwardsSettings
from iot.rules.impossible_hours import ImpossibleHours, ImpossibleHoursSettings
from iot.rules.off_hours_use import OffHoursUse, OffHoursUseSettings
from iot.rules.rule import Severity, Verdict
from iot.rules.tank_balance import TankBalance, TankBalanceSettings
from iot.units import DAY, HOUR, ModelId
from tests.iot.machine_days import (
    START,
    Edit,
    duty,
    edited,
    hours_in,
    parked,
    readings,
    watch,
    with_fields,
)

FUEL = FuelAgainstHours(FuelAgainstHoursSettings())
TANK = TankBalance(TankBalanceSettings())
FROZEN = FrozenCounter(FrozenCounterSettings())
BACKWARDS = HoursBackwards(HoursBackwardsSettings())
IMPOSSIBLE = ImpossibleHours(ImpossibleHoursSettings())
IDLING = EngineIdling(EngineIdlingSettings())
OFF_HOURS = OffHoursUse(OffHoursUseSettings())


def hours_at(verdict: Verdict) -> float:
    return (verdict.at - START) / HOUR


def siphoned(litres: float, hour: float, tank_l: float = 400.0) -> Edit:
    def change(sample: Sample) -> Sample:
        percent = sample.fuel_remaining_percent or 0.0
        lost = 100.0 * litres / tank_l if hours_in(sample) >= hour else 0.0
        return with_fields(sample, fuel_remaining_percent=max(0.0, percent - lost))

    return change


@pytest.mark.parametrize("factor", [0.4, 0.6, 1.5, 2.0])
def test_another_burn_per_hour_is_found_and_its_end(factor: float) -> None:
    samples = readings(16, burn=lambda day: 15.0 * (factor if 8 <= day < 11 else 1.0))
    raised, cleared = watch(FUEL, samples)
    assert raised.raised
    assert START + 8 * DAY < raised.at < START + 9 * DAY
    assert not cleared.raised
    assert START + 11 * DAY < cleared.at < START + 12.5 * DAY


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wear", [0.8, 1.25])
def test_a_worn_machine_is_its_own_yardstick(wear: float, seed: int) -> None:
    assert watch(FUEL, readings(12, seed=seed, burn=lambda day: 15.0 * wear)) == []


def test_without_a_makers_figure_it_learns_first() -> None:
    model = Model(ModelId("NEW"), 400.0, None, 6.0)
    samples = readings(12, burn=lambda day: 22.0 if day < 8 else 40.0)
    (raised,) = watch(FUEL, samples, model=model)
    assert START + 8 * DAY < raised.at < START + 9 * DAY


def test_hours_without_fuel_are_found_even_before_anything_is_learnt() -> None:
    model = Model(ModelId("NEW"), 400.0, None, 6.0)
    still = edited(readings(2), lambda one: with_fields(one, fuel_used_l=70_000.0))
    (raised,) = watch(FUEL, still, model=model)
    assert raised.raised
    assert raised.value == 0.0
    electric = Model(ModelId("VOLT"), None, None, 6.0)
    assert watch(FUEL, still, model=electric) == []


def test_fuel_without_hours_is_found_with_the_engine_off_only() -> None:
    def drained(sample: Sample) -> Sample:
        gone = max(0.0, hours_in(sample) - 30) * 10
        return with_fields(sample, fuel_used_l=(sample.fuel_used_l or 0) + gone)

    samples = edited(readings(2, day=parked), drained)
    (raised,) = watch(FUEL, samples)
    assert raised.unit == "L"
    running = edited(samples, lambda one: with_fields(one, engine_on=True))
    assert watch(FUEL, running) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("litres", [15.0, 40.0, 150.0])
def test_siphoning_is_found_once_within_hours(litres: float, seed: int) -> None:
    samples = edited(readings(3, seed=seed), siphoned(litres, 26.0))
    verdicts = watch(TANK, samples)
    first, last = verdicts[0], verdicts[-1]
    assert START + 26 * HOUR < first.at < START + 30 * HOUR
    assert sum(not one.raised for one in verdicts) == 1
    assert not last.raised
    raised = [one for one in verdicts if one.raised]
    assert raised[-1].value == pytest.approx(litres, rel=0.35)
    assert raised[-1].severity is (Severity.REVIEW if litres > 100 else Severity.CONTACT)


@pytest.mark.parametrize("seed", range(5))
def test_refuels_and_work_and_slosh_are_no_siphoning(seed: int) -> None:
    assert watch(TANK, readings(12, seed=seed, noise_percent=2.0)) == []
    rising = edited(readings(3, seed=seed, day=parked), siphoned(-30.0, 26.0))
    assert watch(TANK, rising) == []


def test_fuel_that_goes_while_nobody_listens_is_found_too() -> None:
    def lost(sample: Sample) -> Sample | None:
        return None if 20 < hours_in(sample) < 30 else sample

    samples = edited(edited(readings(3, day=parked), siphoned(40.0, 25.0)), lost)
    (raised, _) = watch(TANK, samples)
    assert START + 30 * HOUR < raised.at < START + 32 * HOUR


def test_a_meter_that_stands_while_the_engine_burns_is_found() -> None:
    held = 5_009.0

    def stands(sample: Sample) -> Sample:
        lost = hours_in(sample) >= 24 + 9
        hours = sample.operating_hours or 0.0
        if lost and hours_in(sample) < 48 + 9:
            return with_fields(sample, operating_hours=held)
        return with_fields(sample, operating_hours=hours - 10.0) if lost else sample

    raised, cleared = watch(FROZEN, edited(readings(3), stands))
    assert START + 33 * HOUR < raised.at < START + 34.5 * HOUR
    assert not cleared.raised
    assert START + 57 * HOUR <= cleared.at < START + 59 * HOUR


def test_an_engine_status_alone_is_no_proof_of_running() -> None:
    stuck = edited(readings(2, day=parked), lambda one: with_fields(one, engine_on=True))
    assert watch(FROZEN, stuck) == []


@pytest.mark.parametrize(("fall", "severity"), [(50.0, Severity.REVIEW), (5_003.0, Severity.INFO)])
def test_hours_that_fall_are_told_from_a_new_device(fall: float, severity: Severity) -> None:
    def back(sample: Sample) -> Sample:
        hours = sample.operating_hours or 0.0
        return with_fields(sample, operating_hours=hours - (fall if hours_in(sample) > 15 else 0))

    raised, cleared = watch(BACKWARDS, edited(readings(2), back))
    assert raised.severity is severity
    assert raised.value == pytest.approx(fall, abs=0.2)
    assert (cleared.at - raised.at) / HOUR == pytest.approx(6, abs=0.2)


def test_hours_that_fall_behind_a_reading_without_any_are_found() -> None:
    def back(sample: Sample) -> Sample:
        hour = hours_in(sample)
        hours = (sample.operating_hours or 0.0) - (50.0 if hour > 15.2 else 0.0)
        return with_fields(sample, operating_hours=None if 15 < hour < 15.5 else hours)

    assert [one.raised for one in watch(BACKWARDS, edited(readings(2), back))] == [True, False]


@pytest.mark.parametrize("rate", [1.0, 2.0])
def test_a_jump_and_a_meter_that_runs_too_fast_are_found(rate: float) -> None:
    def fast(sample: Sample) -> Sample:
        hours = sample.operating_hours or 0.0
        jump = 3.0 if rate == 1.0 and hours_in(sample) > 10 else 0.0
        return with_fields(sample, operating_hours=5_000 + (hours - 5_000) * rate + jump)

    verdicts = watch(IMPOSSIBLE, edited(readings(1), fast))
    assert [one.raised for one in verdicts] == [True, False]
    assert START + 7 * HOUR < verdicts[0].at < START + 10.2 * HOUR


def test_a_clock_that_runs_too_slowly_makes_no_hours_impossible() -> None:
    slow = edited(readings(1), lambda one: with_fields(one, at=START + 10_000 * one.seq))
    assert watch(IMPOSSIBLE, slow) == []


def test_an_engine_left_idling_is_found_and_work_ends_it() -> None:
    verdicts = watch(
        IDLING, readings(2, day=lambda hour: "idle" if 17 <= hour < 21 else duty(hour))
    )
    assert [one.raised for one in verdicts] == [True, False]
    assert START + 18.5 * HOUR < verdicts[0].at < START + 20.5 * HOUR


def test_running_at_night_is_found_and_ends_with_the_morning() -> None:
    night = readings(2, day=lambda hour: "work" if 26 <= hour < 27 else duty(hour))
    raised, cleared = watch(OFF_HOURS, night)
    assert raised.raised
    assert hours_at(raised) == pytest.approx(26.35, abs=0.2)
    assert not cleared.raised
    assert hours_at(cleared) == pytest.approx(29.75, abs=0.2)


def test_hours_gained_while_nobody_listened_are_not_put_into_the_night() -> None:
    lost = edited(readings(3), lambda one: one if hours_in(one) % 24 > 20 else None)
    assert watch(OFF_HOURS, lost) == []

"""Region, removal, forged positions, tampering and faults."""

from __future__ import annotations

import pytest

from iot.codec.sample import Sample
from iot.rules.fault_codes import FaultCodes, FaultCodesSettings
from iot.rules.moved_engine_off import MovedEngineOff, MovedEngineOffSettings
from iot.rules.out_of_region import OutOfRegion, OutOfRegionSettings
from iot.rules.rule import Severity
from iot.rules.tampered import Tampered, TamperedSettings
from iot.rules.teleport import Teleport, TeleportSettings
from iot.units import HOUR, MINUTE
from tests.iot.machine_days import (
    START,
    Edit,
    edited,
    hours_in,
    parked,
    readings,
    watch,
    with_fields,
)

REGION = OutOfRegion(OutOfRegionSettings())
MOVED = MovedEngineOff(MovedEngineOffSettings())
TELEPORT = Teleport(TeleportSettings())
TAMPERED = Tampered(TamperedSettings())
FAULTS = FaultCodes(FaultCodesSettings())


def carried(north_m: float, since: float, until: float = 1e9, kmh: float = 40.0) -> Edit:
    """Northwards at so many km/h, and there until it jumps back."""

    def change(sample: Sample) -> Sample:
        hours = hours_in(sample) - since
        if hours < 0 or hours_in(sample) >= until or sample.latitude is None:
            return sample
        metres = min(north_m, hours * kmh * 1_000)
        return with_fields(sample, latitude=sample.latitude + metres / 111_195)

    return change


@pytest.mark.parametrize(
    ("metres", "severity"),
    [(100.0, Severity.CONTACT), (5_000.0, Severity.REVIEW), (50_000.0, Severity.IMMOBILISE)],
)
def test_an_exit_is_raised_after_three_fixes_and_five_minutes(
    metres: float, severity: Severity
) -> None:

    def outside(one: Sample) -> float:
        return metres if 10 <= hours_in(one) < 12 else 0.0

    raised, cleared = watch(REGION, readings(1, minutes=2), outside=outside)
    assert (raised.severity, raised.value) == (severity, metres)
    assert (raised.at - START) / MINUTE == 606
    assert (cleared.at - START) / MINUTE == 724


@pytest.mark.parametrize("metres", [10.0, 57.0])
def test_the_border_itself_raises_nothing(metres: float) -> None:
    assert watch(REGION, readings(1), outside=lambda one: metres) == []


def test_single_fixes_that_jump_raise_nothing() -> None:

    def outside(one: Sample) -> float:
        return 900.0 if one.seq % 3 else 0.0

    assert watch(REGION, readings(1), outside=outside) == []


def test_a_machine_on_the_border_is_one_alert_not_many() -> None:

    def outside(one: Sample) -> float:
        return 70.0 if one.seq // 6 % 2 else 30.0

    assert len(watch(REGION, readings(1), outside=outside)) == 1


def test_an_exit_gets_worse_with_the_distance() -> None:

    def outside(one: Sample) -> float:
        return max(0.0, hours_in(one) - 5) * 8_000

    verdicts = watch(REGION, readings(1), outside=outside)
    assert [one.severity for one in verdicts] == [2, 3, 4]


def test_carried_off_with_the_engine_off() -> None:
    samples = edited(readings(1, day=parked), carried(6_000.0, 3.0, kmh=6.0))
    first, worse, over = watch(MOVED, samples)
    assert (first.severity, worse.severity) == (Severity.REVIEW, Severity.IMMOBILISE)
    assert START + 3 * HOUR < first.at < START + 3.4 * HOUR
    assert not over.raised
    assert START + 4.4 * HOUR < over.at < START + 4.7 * HOUR


@pytest.mark.parametrize("noise_m", [5.0, 15.0])
def test_a_parked_machine_whose_fixes_scatter_was_not_moved(noise_m: float) -> None:
    assert watch(MOVED, readings(5, day=parked, noise_m=noise_m)) == []


def test_a_machine_that_drove_between_two_readings_was_not_carried() -> None:
    def drove(sample: Sample) -> Sample:
        gone = hours_in(sample) > 5
        sample = carried(600.0, 5.0)(sample) or sample
        hours = (sample.operating_hours or 0) + (0.1 if gone else 0)
        return with_fields(sample, operating_hours=hours)

    assert watch(MOVED, edited(readings(1, day=parked), drove)) == []


def test_a_jump_of_kilometres_is_no_way_to_drive() -> None:
    samples = edited(readings(1, minutes=1), carried(8_000.0, 9.0, kmh=100_000.0))
    raised, cleared = watch(TELEPORT, samples)
    assert raised.unit == "km/h"
    assert raised.at == START + 9 * HOUR + MINUTE
    assert cleared.at == raised.at + 10 * MINUTE


def test_a_jump_behind_a_reading_without_a_fix_is_found() -> None:
    def gap(sample: Sample) -> Sample:
        if 8.9 < hours_in(sample) < 9.05:
            return with_fields(sample, latitude=None, longitude=None)
        return carried(60_000.0, 9.0, kmh=1e6)(sample) or sample

    assert [one.raised for one in watch(TELEPORT, edited(readings(1), gap))] == [True, False]


def test_a_lorry_at_90_is_none() -> None:
    samples = edited(readings(1, day=parked), carried(200_000.0, 3.0, kmh=90.0))
    assert watch(TELEPORT, samples) == []


def test_a_lorry_whose_clock_stands_or_whose_readings_come_in_a_burst_is_none() -> None:
    moving = edited(readings(1, day=parked), carried(200_000.0, 3.0, kmh=90.0))
    assert watch(TELEPORT, edited(moving, lambda one: with_fields(one, at=START))) == []
    slow = edited(moving, lambda one: with_fields(one, at=START + 10_000 * one.seq))
    assert watch(TELEPORT, slow) == []
    burst = edited(moving, lambda one: with_fields(one, received=START + 24 * HOUR + one.seq))
    assert watch(TELEPORT, burst) == []


def test_a_loose_contact_is_one_tampering() -> None:
    loose = edited(
        readings(1), lambda one: with_fields(one, tampered=9 < hours_in(one) < 11 and one.seq % 2)
    )
    raised, cleared = watch(TAMPERED, loose)
    assert raised.severity is Severity.REVIEW
    assert (cleared.at - START) / HOUR == pytest.approx(12, abs=0.2)


def test_faults_are_counted_and_worse_when_many() -> None:
    def faulty(sample: Sample) -> Sample:
        hour = hours_in(sample)
        return with_fields(
            sample, faults=("P1", "P2", "P3")[: 1 if hour < 10 else 3] if 9 < hour < 11 else ()
        )

    verdicts = watch(FAULTS, edited(readings(1), faulty))
    assert [(one.raised, one.severity) for one in verdicts] == [
        (True, Severity.INFO),
        (True, Severity.CONTACT),
        (False, Severity.CONTACT),
    ]
    assert "P1" not in verdicts[0].reason

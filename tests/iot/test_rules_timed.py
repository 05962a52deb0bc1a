"""Idle machines and silent devices: what is up because nothing happens."""

from __future__ import annotations

import pytest

from iot.codec.sample import Sample
from iot.rules.idle_machine import IdleMachine, IdleMachineSettings
from iot.rules.rule import Scene, Severity
from iot.rules.silent_device import SilentDevice, SilentDeviceSettings
from iot.state.step import step_between
from iot.units import DAY, HOUR, MINUTE, Millis
from tests.iot.machine_days import (
    LEASE,
    MODEL,
    START,
    duty,
    edited,
    hours_in,
    readings,
    watch,
    with_fields,
)

IDLE = IdleMachine(IdleMachineSettings())
SILENT = SilentDevice(SilentDeviceSettings())


def two_days_off(hour: float) -> str:
    """Works on the first day until 17, and again on the fourth."""
    return duty(hour) if hour < 24 or hour >= 72 else "off"


def idles_all_day(hour: float) -> str:
    return duty(hour) if hour < 24 else "idle"


def test_a_day_without_work_is_idle_from_the_moment_it_is_full() -> None:
    raised, cleared = watch(IDLE, readings(4, day=two_days_off))
    assert raised.raised
    assert raised.severity is Severity.CONTACT
    assert (raised.at - START) / HOUR == pytest.approx(17 + 24, abs=0.2)
    assert not cleared.raised
    assert (cleared.at - START) / HOUR == pytest.approx(72 + 7.35, abs=0.3)


def test_three_days_are_worse() -> None:
    verdicts = watch(IDLE, readings(5, day=lambda hour: duty(hour) if hour < 24 else "off"))
    assert [one.severity for one in verdicts] == [Severity.CONTACT, Severity.REVIEW]


def test_an_engine_that_only_idles_is_no_work_though_its_meters_tick_apart() -> None:
    (raised, *_) = watch(IDLE, readings(3, day=idles_all_day))
    assert (raised.at - START) / HOUR == pytest.approx(17 + 24, abs=0.4)


def test_a_silent_machine_is_not_called_idle() -> None:
    samples = edited(readings(2), lambda one: one if hours_in(one) < 17.5 else None)
    assert watch(IDLE, samples, until=Millis(START + 10 * DAY)) == []


def test_after_silence_the_counter_says_whether_it_worked() -> None:
    def lost(sample: Sample) -> Sample | None:
        return None if 17.5 < hours_in(sample) < 60 else sample

    (raised, _) = watch(IDLE, edited(readings(4, day=two_days_off), lost))
    assert raised.at == pytest.approx(START + 41 * HOUR, abs=0.2 * HOUR)
    assert watch(IDLE, edited(readings(4), lost)) == []


def test_the_timer_finds_it_without_a_further_reading() -> None:
    samples = edited(
        readings(3, day=two_days_off), lambda one: one if hours_in(one) < 40.8 else None
    )
    assert watch(IDLE, samples) == []
    (raised,) = watch(IDLE, samples, until=Millis(START + 50 * HOUR))
    assert (raised.at - START) / HOUR == pytest.approx(41, abs=0.2)


def test_between_leases_nothing_is_idle() -> None:
    assert watch(IDLE, readings(4, day=two_days_off), lease=None) == []


def test_the_end_of_the_lease_ends_it() -> None:
    memory = IDLE.memory()
    last: Sample | None = None
    for sample in readings(2, day=two_days_off):
        IDLE.observe(memory, step_between(last, sample), Scene(LEASE, MODEL, None))
        last = sample
    assert memory.up
    assert last is not None
    verdict = IDLE.observe(memory, step_between(last, last), Scene(None, MODEL, None))
    assert verdict is not None
    assert not verdict.raised


@pytest.mark.parametrize("minutes", [0, 1, 7 * 60])
def test_silence_is_found_at_its_time_however_late_the_timer_runs(minutes: int) -> None:
    memory = SILENT.memory()
    (sample,) = readings(0.004)
    scene = Scene(LEASE, MODEL, None)
    SILENT.observe(memory, step_between(None, sample), scene)
    due = SILENT.due(memory)
    assert due == sample.received + 6 * HOUR
    assert SILENT.expire(memory, Millis(due - 1), sample, scene) is None
    raised = SILENT.expire(memory, Millis(due + minutes * MINUTE), sample, scene)
    assert raised is not None
    assert raised.at == due
    assert raised.severity is Severity.CONTACT


def test_long_silence_is_worse_and_any_sign_of_life_ends_it() -> None:
    samples = edited(readings(4), lambda one: one if not 10 < hours_in(one) < 70 else None)
    verdicts = watch(SILENT, samples)
    assert [(one.raised, one.severity) for one in verdicts] == [
        (True, Severity.CONTACT),
        (True, Severity.REVIEW),
        (False, Severity.REVIEW),
    ]
    assert verdicts[2].value == pytest.approx(60, abs=0.2)


def test_a_device_whose_clock_stands_is_not_silent() -> None:
    stopped = edited(readings(1), lambda one: with_fields(one, at=START))
    assert watch(SILENT, stopped) == []

"""Billable hours by local day: nothing lost in silences, nothing invented, in any arrival order."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.codec.sample import Sample
from iot.rent.errors import RentRefused
from iot.rent.metering import DayUse, MonthUse, month_use
from iot.rent.month import Month, day_start, local_day
from iot.units import DAY, HOUR, MINUTE, DeviceId, Millis
from tests.iot.leased_machine import START, card, lease, moment, reading, worked

JANUARY, FEBRUARY = Month(2026, 1), Month(2026, 2)
LATER = moment(2027, 1, 1)


def use(
    samples: list[Sample], month: Month = JANUARY, known_at: Millis = LATER, free_days: int = 0
) -> MonthUse:
    return month_use(lease(), card(free_days=free_days), samples, month, known_at)


def measured(month: MonthUse) -> dict[int, int]:
    return {day.day.day: day.measured for day in month.days if day.measured}


def daily(*operating: float, idle: tuple[float, ...] = ()) -> list[Sample]:
    """One sample each midnight from the lease's start on."""
    idle = idle or (0.0,) * len(operating)
    return [
        reading(number + 1, START + number * DAY, hours, idle_hours)
        for number, (hours, idle_hours) in enumerate(zip(operating, idle, strict=True))
    ]


def test_hours_are_operating_less_idle_on_the_day_they_were_worked() -> None:
    month = use(daily(100.0, 108.0, 110.5, 110.5, idle=(50.0, 51.5, 51.5, 51.5)))
    assert measured(month) == {1: 6_500, 2: 2_500}
    assert [day.missing_ms for day in month.days[:5]] == [0, 0, 0, DAY, DAY]
    assert len(month.days) == 31


def test_a_silence_between_two_readings_loses_no_hours() -> None:
    month = use([reading(1, START, 10.0), reading(2, START + 4 * DAY, 30.0)])
    assert measured(month) == {1: 5_000, 2: 5_000, 3: 5_000, 4: 5_000}
    assert all(day.missing_ms == 0 for day in month.days[:4])


def test_a_gain_over_the_months_border_is_split_without_a_rest() -> None:
    samples = [
        reading(1, moment(2026, 1, 31, 17), 10.0),
        reading(2, moment(2026, 2, 1, 4), 20.001),
    ]
    january, february = use(samples).days[-1], use(samples, FEBRUARY).days[0]
    assert (january.measured, february.measured) == (6_364, 3_637)
    assert january.measured + february.measured == 10_001


def test_days_are_the_leases_local_days() -> None:
    offset = 330
    samples = [reading(1, moment(2026, 1, 4, 18), 1.0), reading(2, moment(2026, 1, 4, 19), 2.0)]
    here = lease(utc_offset_minutes=offset)
    month = month_use(here, card(), samples, JANUARY, LATER)
    # Local midnight is at 18:30 of UTC.
    assert measured(month) == {4: 500, 5: 500}


def test_a_clock_set_back_counts_no_time_twice() -> None:
    samples = [
        reading(1, START, 0.0),
        reading(2, START + DAY, 5.0),
        reading(3, START + DAY // 2, 5.05),
        reading(4, START + DAY, 6.0),
    ]
    month = use(samples)
    assert measured(month) == {1: 6_000}
    assert month.days[0].missing_ms == 0


def test_time_outside_the_lease_is_not_billed() -> None:
    noon_to_noon = lease(moment(2026, 1, 2, 12), moment(2026, 1, 4, 12))
    month = month_use(
        noon_to_noon, card(), daily(0.0, 24.0, 48.0, 72.0, 96.0), JANUARY, Millis(LATER)
    )
    assert measured(month) == {2: 12_000, 3: 24_000, 4: 12_000}
    assert sum(day.missing_ms for day in month.days) == 0


def test_a_counter_that_falls_opens_an_epoch_without_hours() -> None:
    month = use(daily(100.0, 105.0, 3.0, 7.0))
    assert measured(month) == {1: 5_000, 3: 4_000}
    assert [day.missing_ms for day in month.days[:3]] == [0, DAY, 0]


def test_a_rise_above_the_clock_counts_no_hours() -> None:
    month = use(daily(100.0, 125.0, 130.0))
    assert measured(month) == {2: 5_000}
    assert month.days[0].missing_ms == DAY


def test_idle_hours_above_operating_hours_are_no_measurement() -> None:
    month = use(daily(100.0, 101.0, 105.0, idle=(0.0, 6.0, 6.0)))
    assert measured(month) == {2: 4_000}
    assert month.days[0].missing_ms == DAY


def test_counters_that_tick_apart_do_not_add_up() -> None:
    samples, operating, idle = [], 1_000, 500
    # An idling engine: the two counters tick a tenth in turn, two hundred times.
    for number in range(400):
        if number % 2:
            operating += 1
        else:
            idle += 1
        samples.append(reading(number + 1, START + number * 3 * MINUTE, operating / 10, idle / 10))
    assert measured(use(samples)) == {1: 100}


def test_messages_without_counters_hide_no_hours() -> None:
    samples = [
        reading(1, START, 10.0),
        reading(2, START + HOUR, None, None),
        reading(3, START + 2 * HOUR, 11.5, None),
        reading(4, START + 3 * HOUR, 12.0),
    ]
    assert measured(use(samples)) == {1: 2_000}


def test_a_card_that_subtracts_no_idle_hours_needs_no_idle_counter() -> None:
    samples = [reading(1, START, 10.0, None), reading(2, START + DAY, 15.0, None)]
    terms = card(subtract_idle=False)
    assert measured(month_use(lease(), terms, samples, JANUARY, LATER)) == {1: 5_000}
    assert measured(use(samples)) == {}


def test_missing_days_are_estimated_by_the_median_of_the_known_ones() -> None:
    month = use(daily(0.0, 2.0, 5.0, 11.0))
    assert [day.provisional for day in month.days[:5]] == [0, 0, 0, 3_000, 3_000]
    assert month.provisional == 28 * 3_000
    assert month.billable == 11_000 + 28 * 3_000


def test_an_estimate_has_a_cap_and_a_start() -> None:
    assert use(daily(0.0, 20.0, 40.0)).days[-1].provisional == 8_000
    assert use([]).days[-1].provisional == 4_000
    # Of a day whose first half was measured, the half; with what was measured no more than 8 h.
    half = [reading(1, START, 0.0), reading(2, START + DAY // 2, 3.0)]
    assert use(half).days[0].provisional == 2_000
    most = [reading(1, START, 0.0), reading(2, START + DAY // 2, 7.0)]
    assert use(most).days[0].provisional == 1_000


def test_an_hour_missing_of_a_day_is_no_missing_day() -> None:
    samples = [reading(1, START + HOUR, 0.0), reading(2, START + 31 * DAY, 31.0)]
    month = use(samples)
    assert month.days[0].missing_ms == HOUR
    assert month.provisional == 0


def test_the_first_days_of_a_lease_may_be_free() -> None:
    month = use(daily(0.0, 5.0, 9.0, 12.0), free_days=2)
    assert [day.free for day in month.days[:3]] == [True, True, False]
    assert month.days[0].billable == 0
    assert month.billable == 3_000 + 28 * 4_000


def test_what_came_after_the_moment_is_not_known() -> None:
    on_time = daily(0.0, 4.0, 8.0)
    late = reading(4, START + 3 * DAY, 10.0, received=START + 40 * DAY)
    known_at = Millis(START + 31 * DAY)
    assert use([*on_time, late], known_at=known_at) == use(on_time, known_at=known_at)
    assert measured(use([*on_time, late]))[3] == 2_000


def test_a_month_that_runs_is_metered_so_far() -> None:
    month = use(daily(0.0, 4.0, 8.0), known_at=Millis(START + 2 * DAY))
    assert [day.day.day for day in month.days] == [1, 2]
    assert month.provisional == 0


def test_a_month_outside_the_lease_and_a_strange_device_are_refused() -> None:
    with pytest.raises(RentRefused, match="no time in 2025-12"):
        use([], Month(2025, 12))
    other = Sample(DeviceId("other"), 1, 1, START, START)
    with pytest.raises(RentRefused, match="a sample is of device 'other'"):
        use([other])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.data())
def test_any_arrival_order_and_duplicates_give_the_same_hours(
    seed: int, data: st.DataObject
) -> None:
    samples = worked(seed, 12, every=6 * HOUR)
    lost = data.draw(st.sets(st.integers(0, len(samples) - 1), max_size=20))
    kept = [sample for number, sample in enumerate(samples) if number not in lost]
    twice = data.draw(st.lists(st.sampled_from(kept), max_size=5))
    shuffled = data.draw(st.permutations([*kept, *twice]))
    assert use(list(shuffled)) == use(kept)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sets(st.integers(1, 350)))
def test_months_add_up_to_the_counters_rise_whatever_is_lost(seed: int, lost: set[int]) -> None:
    samples = worked(seed, 59, every=4 * HOUR)
    samples.append(reading(10_000, START + 59 * DAY, samples[-1].operating_hours, _idle(samples)))
    kept = [one for number, one in enumerate(samples) if number not in lost or one is samples[-1]]
    total = sum(day.measured for month in (JANUARY, FEBRUARY) for day in use(kept, month).days)
    rises = [round((one.operating_hours or 0) * 1_000) - _milli_idle(one) for one in kept]
    assert total == max(rises) - rises[0]
    assert use(kept).provisional == use(kept, FEBRUARY).provisional == 0


def _idle(samples: list[Sample]) -> float:
    return samples[-1].idle_hours or 0.0


def _milli_idle(sample: Sample) -> int:
    return round((sample.idle_hours or 0.0) * 1_000)


def test_months_know_their_days_and_borders() -> None:
    assert Month.parse("2024-02").next == Month(2024, 3)
    assert len(list(Month(2024, 2).days())) == 29
    assert Month(2025, 12).next == Month(2026, 1)
    assert JANUARY.start(60) == START - HOUR
    assert Month.at(Millis(START - 1), 0) == Month(2025, 12)
    assert Month.at(Millis(START - 1), 1) == JANUARY
    assert local_day(day_start(date(2026, 3, 1), -300), -300) == date(2026, 3, 1)
    for text in ("2026-13", "2026-1", "26-01", "2026-01-01", "٢٠٢٦-01"):
        with pytest.raises(RentRefused, match="is no month"):
            Month.parse(text)


def test_a_day_says_what_it_charges() -> None:
    day = use(daily(0.0, 5.0)).days[0]
    assert isinstance(day, DayUse)
    assert day.billable == 5_000

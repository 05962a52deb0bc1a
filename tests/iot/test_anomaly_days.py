"""The online anomaly model: what it finds, says, forgets and stores."""

from __future__ import annotations

import statistics

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.anomaly.machine_day import FIGURES, MachineDay
from iot.anomaly.model import (
    LEAST_SCORE,
    RULE,
    WARM_UP_DAYS,
    AnomalyMemory,
    AnomalyScore,
    UnusualDays,
)
from iot.anomaly.spread import WINDOW, RecentValues
from iot.rules.rule import Severity
from iot.units import DAY, DeviceId, Millis, ModelId

CAT = ModelId("CAT-320")


def made_day(
    chance: np.random.Generator, number: int, *, fuel_rate: float = 1.0, model: ModelId = CAT
) -> MachineDay:
    """A day of one of 20 machines, which work about 9 hours and burn about 15 litres an hour."""
    hours = max(1.0, chance.normal(9, 1.5))
    idle = float(np.clip(chance.normal(0.25, 0.07), 0.02, 0.9))
    return MachineDay(
        model=model,
        device=DeviceId(f"d{number % 20}"),
        day=Millis(number // 20 * DAY),
        work_hours=hours * (1 - idle),
        idle_hours=hours * idle,
        fuel_l=hours * max(2.0, chance.normal(15, 1.2)) * fuel_rate,
        distance_km=hours * abs(chance.normal(2.2, 0.6)),
        starts=int(chance.poisson(5)),
        night_share=float(chance.beta(1, 20)),
    )


def learnt(seed: int, days: int) -> tuple[UnusualDays, np.random.Generator]:
    chance, model = np.random.default_rng(seed), UnusualDays()
    for number in range(days):
        model.observe(made_day(chance, number))
    return model, chance


def scored(model: UnusualDays, day: MachineDay) -> AnomalyScore:
    score = model.observe(day)
    assert score is not None
    return score


@pytest.mark.parametrize("seed", range(5))
def test_days_that_burn_too_much_are_found_and_others_hardly(seed: int) -> None:
    model, chance = learnt(seed, 600)
    found, false = 0, 0
    for number in range(600, 2_600):
        bad = number % 100 == 0
        day = made_day(chance, number, fuel_rate=1.8 if bad else 1.0)
        unusual = scored(model, day).is_unusual
        found += unusual and bad
        false += unusual and not bad
    assert found >= 18  # of 20
    assert false <= 20  # of 1,980


def test_the_sentence_says_which_figure_and_by_how_much() -> None:
    model, chance = learnt(1, 600)
    verdict = model.verdict(made_day(chance, 601, fuel_rate=2.0))
    assert verdict is not None
    assert (verdict.rule, verdict.raised, verdict.severity) == (RULE, True, Severity.INFO)
    assert verdict.value > verdict.threshold >= LEAST_SCORE
    assert verdict.unit == "spreads"
    assert verdict.at == 31 * DAY
    assert verdict.reason.startswith("Unusual for model CAT-320: fuel per engine hour 2")
    assert "L/h, usually 1" in verdict.reason
    assert "spreads above the middle)" in verdict.reason
    assert "engine starts" not in verdict.reason


def test_contributions_add_up_and_the_largest_is_first() -> None:
    model, chance = learnt(2, 300)
    score = scored(model, made_day(chance, 301, fuel_rate=2.0))
    assert score.contributions[0].figure == "fuel_rate"
    assert sum(one.share for one in score.contributions) == pytest.approx(1)
    assert score.score**2 == pytest.approx(sum(one.spreads**2 for one in score.contributions))
    assert {one.figure for one in score.contributions} == set(FIGURES)


def test_an_alert_is_cleared_by_a_usual_day_and_only_once() -> None:
    model, chance = learnt(3, 600)
    usual = MachineDay(CAT, DeviceId("d7"), Millis(0), 6.75, 2.25, 135.0, 20.0, 5, 0.05)
    assert model.verdict(usual) is None
    raised = model.verdict(msgspec.structs.replace(usual, fuel_l=400.0))
    assert raised is not None
    assert raised.raised
    cleared = model.verdict(usual)
    assert cleared is not None
    assert not cleared.raised
    assert cleared.reason == "A usual day for model CAT-320 again."
    assert model.verdict(usual) is None
    assert made_day(chance, 1).device == "d1"


def test_nothing_is_said_before_the_model_is_known() -> None:
    chance, model = np.random.default_rng(4), UnusualDays()
    for number in range(WARM_UP_DAYS):
        assert model.observe(made_day(chance, number, fuel_rate=9.0 if number == 50 else 1)) is None
    assert model.observe(made_day(chance, 99)) is not None
    assert model.observe(made_day(chance, 99, model=ModelId("other"))) is None


def test_what_is_not_known_is_not_zero() -> None:
    model, chance = learnt(5, 300)
    day = msgspec.structs.replace(made_day(chance, 301), fuel_l=None, starts=None, idle_hours=None)
    names = {one.figure for one in scored(model, day).contributions}
    assert names == {"night_share"}
    assert model.observe(MachineDay(CAT, DeviceId("d1"), Millis(0))) is None
    nothing = MachineDay(CAT, DeviceId("d1"), Millis(0), fuel_l=float("nan"), night_share=np.inf)
    assert model.observe(nothing) is None


def test_a_day_of_minutes_has_no_rates() -> None:
    model, _ = learnt(5, 300)
    day = MachineDay(CAT, DeviceId("d1"), Millis(0), 0.1, 0.1, 50.0, 9.0, 1, 0.0)
    names = {one.figure for one in scored(model, day).contributions}
    assert names == {"engine_hours", "starts", "night_share"}


def test_a_fleet_that_never_varies_raises_nothing_over_a_tick() -> None:
    day = MachineDay(CAT, DeviceId("d1"), Millis(0), 8.0, 2.0, 100.0, 10.0, 4, 0.0)
    model = UnusualDays()
    for _ in range(200):
        model.observe(day)
    ticked = msgspec.structs.replace(day, work_hours=8.1, fuel_l=101.0, starts=5)
    assert not scored(model, ticked).is_unusual


def test_a_new_way_of_working_becomes_usual() -> None:
    model, chance = learnt(6, WINDOW)
    assert scored(model, made_day(chance, 0, fuel_rate=1.8)).is_unusual
    for number in range(WINDOW):
        model.observe(made_day(chance, number, fuel_rate=1.8))
    assert not scored(model, made_day(chance, 0, fuel_rate=1.8)).is_unusual


def test_what_is_stored_goes_on_as_if_it_had_not_been() -> None:
    model, chance = learnt(7, 700)
    days = [made_day(chance, number, fuel_rate=2.0 if number == 3 else 1) for number in range(50)]
    stored = msgspec.json.encode(model.memory)
    again = UnusualDays(msgspec.json.decode(stored, type=AnomalyMemory))
    assert [model.verdict(day) for day in days] == [again.verdict(day) for day in days]
    assert msgspec.json.encode(model.memory) == msgspec.json.encode(again.memory)
    assert len(stored) < 150_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(0, 3))
def test_middle_and_spread_are_those_of_the_last_values(values: list[float], laps: int) -> None:
    recent = RecentValues()
    everything = values * (1 + laps * (WINDOW // len(values) + 1))
    for value in everything:
        recent.add(value)
    last = everything[-WINDOW:]
    assert recent.ranked == sorted(last)
    middle = statistics.median(last)
    assert recent.quantile(0.5) == pytest.approx(middle)
    away = statistics.median(abs(value - middle) for value in last)
    assert recent.spread(middle) == pytest.approx(1.4826 * away)
    assert recent.quantile(0) == min(last)
    assert recent.quantile(1) == max(last)

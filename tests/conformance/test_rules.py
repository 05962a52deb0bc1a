"""Every telemetry rule through one suite."""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from functools import cache

import pytest

import iot.rules
from iot.codec.sample import Sample
from iot.rules.book import default_rules
from iot.rules.rule import Rule, Verdict
from iot.rules.settings import RuleSettings
from iot.units import DAY, HOUR, Millis
from tests.iot.machine_days import START, duty, edited, hours_in, readings, watch, with_fields

RULES = default_rules(RuleSettings())
SEEDS = range(4)

each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def uneven(hour: float) -> str:
    """A night of work, then two days without any, one of them idling."""
    if 26 <= hour < 29:
        return "work"
    if 60 <= hour < 140:
        return "idle" if 90 <= hour < 96 else "off"
    return duty(hour)


@cache
def turmoil(seed: int) -> list[Sample]:
    """Eight days in which everything happens: resets, gaps, thefts, jumps, bad clocks, missing
    values; a third of the hours is calm."""
    draw = random.Random(seed)
    moods = [draw.choice(["calm"] * 6 + list("abcdefghijklm")) for _ in range(8 * 24)]
    shift = {"hours": 0.0, "fuel": 0.0, "tank": 0.0, "north": 0.0}

    def change(sample: Sample) -> Sample | None:
        mood = moods[min(len(moods) - 1, (sample.at - START) // HOUR)]
        if mood in "ab" and draw.random() < 0.9:  # out of coverage
            return None
        if mood == "c" and draw.random() < 0.1:  # replaced, or turned back
            shift["hours"] = -draw.choice([4_999.0, 300.0])
        shift["hours"] += 1.5 if mood == "d" else 0.0
        shift["fuel"] += 3.0 if mood in "ef" else 0.0
        shift["tank"] -= 4.0 if mood == "g" else 0.0
        shift["north"] += 0.02 if mood == "h" else 0.0
        if draw.random() < 0.05:
            shift["tank"] = shift["north"] = 0.0
        if 150 <= hours_in(sample) < 155:  # the meter stands
            shift["hours"] = 4_000.0 - (sample.operating_hours or 0)
        hours, idle, latitude = sample.operating_hours, sample.idle_hours, sample.latitude
        percent, fuel = sample.fuel_remaining_percent, sample.fuel_used_l
        assert None not in (hours, idle, latitude, percent, fuel)
        return with_fields(
            sample,
            at=Millis(sample.at - (20 * 60_000 if mood == "i" else 0)),
            operating_hours=None if mood == "j" else max(0.0, (hours or 0) + shift["hours"]),
            idle_hours=None if mood == "j" else idle,
            fuel_used_l=(fuel or 0) + shift["fuel"],
            fuel_remaining_percent=max(0.0, (percent or 0) + shift["tank"]),
            latitude=None if mood == "k" else (latitude or 0) + shift["north"],
            longitude=None if mood == "k" else sample.longitude,
            engine_on=draw.choice([True, False, None]) if mood in "kl" else sample.engine_on,
            tampered=mood == "m",
            faults=("P0401", "P0402", "P0403")[: draw.randint(0, 3)] if mood == "l" else (),
        )

    return edited(readings(8, day=uneven, seed=seed), change)


def outside(sample: Sample) -> float | None:
    if sample.latitude is None:
        return None
    return max(0.0, (sample.latitude - 48.86) * 111_000)


def verdicts_of(rule: Rule, seed: int, store: bool = False) -> list[Verdict]:
    samples = turmoil(seed)
    until = Millis(samples[-1].received + 5 * DAY)
    return watch(rule, samples, outside=outside, until=until, store=store)


def test_every_rule_of_the_package_is_in_the_book() -> None:
    found = {
        str(vars(thing)["name"])
        for module in pkgutil.iter_modules(iot.rules.__path__, "iot.rules.")
        for thing in vars(importlib.import_module(module.name)).values()
        if isinstance(thing, type) and hasattr(thing, "observe") and hasattr(thing, "memory")
        if thing.__module__ == module.name
    }
    assert found == {rule.name for rule in RULES}


@each
def test_the_turmoil_rouses_it(rule: Rule) -> None:
    """Or else the tests below prove nothing."""
    assert any(verdicts_of(rule, seed) for seed in SEEDS)


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_steps_give_the_same_verdicts_also_through_the_store(
    rule: Rule, seed: int
) -> None:
    verdicts = verdicts_of(rule, seed)
    assert verdicts == verdicts_of(rule, seed)
    assert verdicts == verdicts_of(rule, seed, store=True)


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_it_speaks_of_changes_only(rule: Rule, seed: int) -> None:
    """Raised again only where it is worse, cleared only where it was raised."""
    up = 0
    for verdict in verdicts_of(rule, seed):
        assert verdict.rule == rule.name
        if verdict.raised:
            assert verdict.severity > up
        else:
            assert up == verdict.severity
        up = verdict.severity if verdict.raised else 0


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_no_text_holds_a_position(rule: Rule, seed: int) -> None:
    for verdict in verdicts_of(rule, seed):
        assert not re.search(r"\d\.\d{3}", verdict.reason), verdict.reason
        assert not re.search(r"latitude|longitude|48\.8|2\.35", verdict.reason), verdict.reason
        assert verdict.reason.endswith(".")
        assert verdict.reason.count(". ") == 0


@each
def test_readings_that_say_nothing_raise_nothing(rule: Rule) -> None:
    empty = [Sample(one.device, one.boot, one.seq, one.at, one.received) for one in readings(3)]
    assert watch(rule, empty, outside=lambda sample: None) == []


CALM = {seed: readings(10, seed=seed) for seed in SEEDS}


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_calm_days_raise_nothing(rule: Rule, seed: int) -> None:
    assert watch(rule, CALM[seed]) == []


@each
def test_a_clock_set_back_and_forth_raises_nothing(rule: Rule) -> None:
    def skew(sample: Sample) -> Sample:
        late = sample.seq // 50 % 3 * 4 * 60_000
        return with_fields(sample, at=Millis(sample.at - late))

    assert watch(rule, edited(readings(6), skew)) == []


@each
def test_a_burst_after_hours_without_coverage_raises_nothing(rule: Rule) -> None:
    def spooled(sample: Sample) -> Sample:
        hour = (sample.at - START) // HOUR
        if hour % 24 in (9, 10, 11):
            arrives = START + (hour // 24 * 24 + 12) * HOUR + sample.seq
            return with_fields(sample, received=Millis(arrives))
        return sample

    assert watch(rule, edited(readings(6), spooled)) == []


@each
def test_a_replaced_device_rouses_the_hours_rules_only(rule: Rule) -> None:
    def replaced(sample: Sample) -> Sample:
        if sample.at < START + 3.4 * DAY:
            return sample
        return with_fields(
            sample,
            boot=2,
            operating_hours=round((sample.operating_hours or 0) - 5_020, 1),
            idle_hours=round((sample.idle_hours or 0) - 1_200, 1),
            fuel_used_l=round((sample.fuel_used_l or 0) - 70_000, 1),
            distance_km=0.0,
        )

    raised = any(verdict.raised for verdict in watch(rule, edited(readings(6), replaced)))
    assert raised == (rule.name == "hours_backwards")

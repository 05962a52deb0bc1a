"""A made-up machine, reading by reading, and a watch that shows it to rules as the engine would."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease, Model
from iot.rules.rule import Rule, Scene, Verdict
from iot.state.step import step_between
from iot.units import (
    DAY,
    HOUR,
    MINUTE,
    DeviceId,
    LeaseId,
    LesseeId,
    Millis,
    ModelId,
    RateCardId,
    ZoneId,
)

START = Millis(1_790_035_200_000 // DAY * DAY)
LATITUDE, LONGITUDE = 48.8566, 2.3522
MODEL = Model(ModelId("CAT-320"), 400.0, 15.0, 6.0)
LEASE = Lease(
    LeaseId("lease-1"),
    DeviceId("machine-1"),
    LesseeId("lessee-1"),
    START,
    None,
    ZoneId("site"),
    RateCardId("card"),
    6,
    18,
)
Edit = Callable[[Sample], Sample | None]
Day = Callable[[float], str]


def duty(hour: float) -> str:
    """Off, idle or work by the hours passed: 7 to 12 and 13 to 17 o'clock, with some idling."""
    hour %= 24
    if not (7 <= hour < 12 or 13 <= hour < 17):
        return "off"
    return "idle" if hour % 1.0 < 0.25 else "work"


def parked(hour: float) -> str:
    return "off"


def readings(
    days: float,
    *,
    day: Day = duty,
    seed: int = 1,
    minutes: float = 5.0,
    burn: Callable[[float], float] = lambda days: 15.0,
    noise_percent: float = 1.0,
    noise_m: float = 8.0,
) -> list[Sample]:
    """Every few minutes one reading with meters in tenths, a sloshing tank and scattered fixes.

    The tank is filled every second day at noon. `burn` gives litres per work hour by days passed.
    """
    draw = random.Random(seed)
    hours, idle, fuel, km, tank = 5_000.0, 1_200.0, 70_000.0, 900.0, 90.0
    samples = []
    for number in range(int(days * 1_440 / minutes)):
        passed = number * minutes / 1_440
        state = day(passed * 24)
        if state != "off":
            span = minutes / 60
            hours += span
            idle += span if state == "idle" else 0.0
            burnt = burn(passed) * span * (0.2 if state == "idle" else draw.uniform(0.8, 1.2))
            fuel += burnt
            tank -= burnt / 4.0
            km += 0.01
        if tank < 40.0 and 12.0 <= passed * 24 % 24 < 12.5:
            tank = 95.0
        level = min(100.0, max(0.0, tank + draw.gauss(0.0, noise_percent)))
        at = Millis(int(START + number * minutes * MINUTE))
        samples.append(
            Sample(
                DeviceId("machine-1"),
                1,
                number + 1,
                at,
                Millis(at + 700),
                round(hours, 1),
                round(idle, 1),
                round(fuel, 1),
                round(level, 1),
                LATITUDE + draw.gauss(0.0, noise_m / 111_000),
                LONGITUDE + draw.gauss(0.0, noise_m / 73_000),
                noise_m,
                state != "off",
                round(km, 2),
            )
        )
    return samples


def edited(samples: Iterable[Sample], edit: Edit) -> list[Sample]:
    """Each sample as `edit` makes it; None loses it."""
    return [changed for sample in samples if (changed := edit(sample)) is not None]


def hours_in(sample: Sample) -> float:
    """Hours since the first reading's midnight."""
    return (sample.at - START) / HOUR


def with_fields(sample: Sample, **changed: Any) -> Sample:
    return msgspec.structs.replace(sample, **changed)


def watch(
    rule: Rule,
    samples: Iterable[Sample],
    *,
    outside: Callable[[Sample], float | None] = lambda sample: 0.0,
    lease: Lease | None = LEASE,
    model: Model = MODEL,
    until: Millis | None = None,
    store: bool = False,
) -> list[Verdict]:
    """Verdicts in order, timers included, which run a second late and before the next reading.

    `store` writes and reads the memory back between any two readings.
    """
    memory = rule.memory()
    verdicts: list[Verdict] = []
    before: Sample | None = None
    scene = Scene(lease, model, None)
    for sample in samples:
        if before is not None:
            verdicts += _timers(rule, memory, before, sample.received, scene)
        scene = Scene(lease, model, outside(sample))
        verdict = rule.observe(memory, step_between(before, sample), scene)
        if verdict is not None:
            verdicts.append(verdict)
        before = sample
        if store:
            memory = msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=rule.memory)
    if before is not None and until is not None:
        verdicts += _timers(rule, memory, before, until, scene)
    return verdicts


def _timers(rule: Rule, memory: Any, last: Sample, until: Millis, scene: Scene) -> list[Verdict]:
    verdicts = []
    while (due := rule.due(memory)) is not None and due + 1_000 < until:
        verdict = rule.expire(memory, Millis(due + 1_000), last, scene)
        after = rule.due(memory)
        if after is not None and after <= due + 1_000:
            raise AssertionError(f"'{rule.name}' is due at {after} again after {due}")
        if verdict is not None:
            verdicts.append(verdict)
    return verdicts

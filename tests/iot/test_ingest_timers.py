"""What is due by the clock: found within a minute, and nobody else, also after being down."""

from __future__ import annotations

from pathlib import Path

import pytest

from iot.ingest.intake import Intake, Message
from iot.monitor.monitor import Found, Monitor
from iot.rules.idle_machine import IdleMachine, IdleMachineSettings
from iot.rules.silent_device import SilentDevice, SilentDeviceSettings
from iot.store.database import Database
from iot.units import HOUR, MINUTE, Millis
from tests.iot.fleets import NOON, fleet_of, message, reading

DEVICES = 200
STOPPED = 20
FLEET = fleet_of(DEVICES)
EVERY = 30 * MINUTE
LAST = 2 * HOUR
"""When the first twenty fall silent, or stand still."""


def messages(at: int, *, silent: bool) -> list[Message]:
    """What every machine says at a time; the first twenty nothing, or that they do no work."""
    sent = []
    for number in range(1, DEVICES + 1):
        stopped = number <= STOPPED and at > LAST
        if stopped and silent:
            continue
        worked = min(at, LAST) if stopped else at
        one = reading(
            f"d{number}", 1 + at // EVERY, at=NOON + at, operating_hours=1_000 + worked / HOUR
        )
        sent.append(message(one))
    return sent


@pytest.mark.parametrize("down", [False, True], ids=["watching", "down when it is due"])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "idle"])
def test_those_that_stopped_are_found_and_nobody_else(
    tmp_path: Path, silent: bool, down: bool
) -> None:
    database = Database(f"sqlite:///{tmp_path}/telemetry.db")

    def opened() -> Intake:
        rules = (IdleMachine(IdleMachineSettings()), SilentDevice(SilentDeviceSettings()))
        return Intake(database, FLEET, Monitor(FLEET, rules, None), None)

    intake = opened()
    due = LAST + (6 if silent else 24) * HOUR
    away = range(due - EVERY, due + EVERY) if down else range(0)
    found: list[tuple[int, Found]] = []
    backlog: list[Message] = []
    for at in range(0, due + 2 * EVERY, EVERY):
        backlog += messages(at, silent=silent)
        if at in away:
            continue
        if at - EVERY in away:
            intake = opened()
        # What waited at the broker comes before the clock speaks.
        found += [(at, one) for one in intake.take(backlog, Millis(NOON + at)).found]
        backlog = []
        minutes = range(at, min(at + EVERY, due + 2 * EVERY), MINUTE)
        for minute in minutes:
            found += [(minute, one) for one in intake.tick(Millis(NOON + minute))]
    database.close()
    up = [(at, one) for at, one in found if one.verdict.raised]
    assert {one.verdict.rule for _, one in up} == {"silent_device" if silent else "idle_machine"}
    assert sorted(one.device for _, one in up) == sorted(f"d{n}" for n in range(1, STOPPED + 1))
    first_look = due + EVERY if down else due
    assert all(first_look <= at <= first_look + MINUTE for at, _ in up)
    assert {one.verdict.at for _, one in up} == {NOON + due}

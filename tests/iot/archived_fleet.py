"""Samples of machines with all that goes wrong, and an archive of them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from iot.archive import Archive, MachineDay, roll_up
from iot.archive.as_of import see_machine_days
from iot.archive.stepping import duck
from iot.codec.sample import Sample
from iot.store.database import Database
from iot.store.keeping import SampleTable
from iot.units import DAY, HOUR, DeviceId, Millis

FIRST_DAY = 20_454  # 2026-01-01
START = FIRST_DAY * DAY


def messy_samples(seed: int, machines: int = 3, count: int = 40) -> list[Sample]:
    """Machines over some days: resets, gaps, missing readings, late arrival, a clock set back."""
    rng = random.Random(seed)
    found = []
    for machine in range(machines):
        at, hours, idle, fuel, km = START + rng.randrange(DAY), 100.0, 20.0, 900.0, 5.0
        boot = seq = 1
        for _ in range(count):
            passed = rng.choice((0, HOUR // 4, HOUR, 5 * HOUR, 5 * HOUR, DAY, -HOUR // 2))
            at += 40 * DAY if rng.random() < 0.02 else passed
            worked = max(passed, 0) / HOUR * rng.random()
            hours += worked * (30 if rng.random() < 0.05 else 1)
            idle += worked * rng.random()
            fuel += worked * 9
            km += worked
            if rng.random() < 0.05:
                hours, idle, fuel, km = 0.0, 0.0, 0.0, 0.0
            if rng.random() < 0.1:
                boot, seq = boot + 1, 0
            seq += rng.choice((1, 1, 2))
            late = rng.choice((0, 0, 1_000, HOUR, 3 * DAY))

            def sent(value: float, digits: int = 3) -> float | None:
                return None if rng.random() < 0.15 else round(value, digits)

            fix = rng.random() < 0.8
            found.append(
                Sample(
                    DeviceId(f"d{machine}"),
                    boot,
                    seq,
                    Millis(at),
                    Millis(at + late),
                    operating_hours=sent(hours),
                    idle_hours=sent(idle),
                    fuel_used_l=sent(fuel),
                    latitude=rng.choice((-33.005, 47.001, 47.013)) if fix else None,
                    longitude=rng.choice((-70.655, 8.501)) if fix else None,
                    engine_on=rng.choice((None, True, False)),
                    distance_km=sent(km),
                    faults=tuple(code for code in ("E1", "E22", "P9") if rng.random() < 0.1),
                    tampered=rng.random() < 0.1,
                )
            )
    return found


def store(database: Database, samples: Iterable[Sample]) -> None:
    """Store samples as the ingest does."""
    taken = list(samples)
    with database.transaction() as connection:
        table = SampleTable(connection)
        table.register(connection, list(dict.fromkeys(one.device for one in taken)))
        table.store(connection, taken)


def roll(database: Database, archive: Archive, now: int, portion: int = 1_000) -> None:
    with database.transaction() as connection:
        roll_up(connection, archive, Millis(now), portion=portion, memory_limit="500MB")


def archived(folder: Path, samples: Iterable[Sample], now: int) -> Archive:
    """An archive of these samples, by way of a database."""
    database = Database(f"sqlite:///{folder}/telemetry.db")
    store(database, samples)
    archive = Archive(folder / "archive")
    roll(database, archive, now)
    database.close()
    return archive


def machine_days(archive: Archive, cut: int, first_day: int = 0) -> list[MachineDay]:
    """All machine-days as they were known before a cut, by machine and day."""
    with duck("500MB", 1) as connection:
        see_machine_days(connection, archive, first_day, Millis(cut))
        found = connection.execute("select * from known_days order by device, day")
        names = [column[0] for column in found.description or ()]
        return [MachineDay(**dict(zip(names, row, strict=True))) for row in found.fetchall()]

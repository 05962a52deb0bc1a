"""How long the features of all lessees take, from an archive of their machines' telemetry."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from iot.archive.layout import MACHINE_DAY_SCHEMA, SAMPLE_SCHEMA, Archive, write_parquet
from iot.archive.stepping import duck, roll_days, see_files
from iot.features.computing import Records, features_of
from iot.features.reading import read_facts
from iot.fleet.fleet import Fleet, Lease, Model
from iot.units import DAY, DeviceId, LeaseId, LesseeId, Millis, ModelId

_FIRST_DAY: Final = 20_000
_MINUTES_A_DAY: Final = 1_440
_MODELS: Final = 5


def bench_telemetry_features(
    lessees: int, days: int, samples: int, say: Callable[[str], None] = lambda words: None
) -> dict[str, Any]:
    """Write an archive of samples, roll it up, and compute all features of all lessees.

    Each lessee has one machine, which sends every minute; of these messages every n-th is in the
    archive, so that there are about as many as asked for.

    Args:
        lessees: of one machine each.
        days: of telemetry.
        samples: in the archive, about.
        say: told what is going on.

    Returns:
        lessees, days, features, samples, and messages that they stand for; roll_up_seconds (samples
        to machine-days), read_seconds and compute_seconds, and seconds, the sum of the three;
        feature_seconds of the latter two; simulate_seconds; cpu_seconds of `seconds`; peak_rss_mb
        of this process, the simulation included.
    """
    every = max(1, round(lessees * days * _MINUTES_A_DAY / max(samples, 1)))
    per_day = max(1, _MINUTES_A_DAY // every)
    cut = Millis((_FIRST_DAY + days) * DAY)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        say(f"simulating {lessees:,} lessees, {per_day} samples a machine and day")
        started = time.perf_counter()
        written = _write_samples(archive, lessees, days, per_day)
        simulated = time.perf_counter() - started
        say(f"rolling up {written:,} samples")
        started, cpu_started = time.perf_counter(), time.process_time()
        with duck() as connection:
            _roll_up(connection, archive, days)
        archive.advance(written, cut)
        rolled = time.perf_counter() - started
        say("computing features")
        fleet = _fleet(lessees)
        started = time.perf_counter()
        facts = read_facts(archive, fleet, cut)
        read = time.perf_counter() - started
        started = time.perf_counter()
        features = features_of(facts, fleet, Records(alerts=[]))
        computed = time.perf_counter() - started
        cpu = time.process_time() - cpu_started
    return {
        "lessees": len(features.lessees),
        "days": days,
        "features": len(features.columns),
        "samples": written,
        "messages": lessees * days * _MINUTES_A_DAY,
        "seconds": round(rolled + read + computed, 3),
        "roll_up_seconds": round(rolled, 3),
        "read_seconds": round(read, 3),
        "compute_seconds": round(computed, 3),
        "feature_seconds": round(read + computed, 3),
        "cpu_seconds": round(cpu, 3),
        "simulate_seconds": round(simulated, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _fleet(lessees: int) -> Fleet:
    models = {
        ModelId(f"model-{number}"): Model(ModelId(f"model-{number}"), 400.0, None, 40.0)
        for number in range(_MODELS)
    }
    names = list(models)
    devices = {DeviceId(f"d{number:06}"): names[number % _MODELS] for number in range(lessees)}
    leases = {
        device: (
            Lease(
                LeaseId(f"lease-{device}"),
                device,
                LesseeId(f"firm-{device}"),
                Millis(_FIRST_DAY * DAY),
                None,
                None,
                None,
                work_from=6,
                work_to=18,
            ),
        )
        for device in devices
    }
    return Fleet(models, devices, leases, {})


def _write_samples(archive: Archive, lessees: int, days: int, per_day: int) -> int:
    """A day at a time: counters go on from where the day before left them."""
    rng = np.random.default_rng(17)
    names = pa.array([f"d{number:06}" for number in range(lessees)])
    machine = np.repeat(np.arange(lessees), per_day)
    device = names.take(pa.array(machine))
    part = np.tile(np.arange(per_day), lessees)
    hours = rng.uniform(100, 5_000, lessees)
    idle = 0.2 * hours
    busy = rng.uniform(0.1, 0.9, lessees)
    rate = rng.normal(12.0, 2.0, lessees)
    home = np.stack((rng.uniform(-50, 60, lessees), rng.uniform(-120, 140, lessees)))
    size = lessees * per_day
    for day in range(days):
        step = 24 / per_day * rng.random((lessees, per_day)) * busy[:, None]
        grown = hours[:, None] + np.cumsum(step, axis=1)
        idled = idle[:, None] + np.cumsum(0.25 * step, axis=1)
        at = (_FIRST_DAY + day) * DAY + (part * DAY) // per_day + rng.integers(0, 60_000, size)
        site = rng.choice((0.0, 0.0, 0.02), size)
        missing = rng.random(size) < 0.05
        columns = {
            "device": device,
            "boot": np.ones(size, np.int64),
            "seq": day * per_day + part + 1,
            "at": at,
            "received": at + 1_000,
            "operating_hours": pa.array(grown.ravel(), mask=missing),
            "idle_hours": pa.array(idled.ravel(), mask=missing),
            "fuel_used_l": (grown * rate[:, None]).ravel(),
            "fuel_remaining_percent": np.full(size, 50.0),
            "latitude": home[0][machine] + site,
            "longitude": home[1][machine],
            "accuracy_m": np.full(size, 5.0),
            "engine_on": rng.random(size) < 0.5,
            "distance_km": grown.ravel(),
            "faults": pa.array(np.full(size, "E1"), mask=rng.random(size) > 0.001),
            "tampered": np.zeros(size, np.bool_),
        }
        batch = pa.RecordBatch.from_arrays(
            [pa.array(columns[name]) for name in SAMPLE_SCHEMA.names], schema=SAMPLE_SCHEMA
        )
        write_parquet(archive.samples_of(_FIRST_DAY + day), SAMPLE_SCHEMA, [batch])
        hours, idle = grown[:, -1], idled[:, -1]
    return size * days


def _roll_up(connection: duckdb.DuckDBPyConnection, archive: Archive, days: int) -> None:
    """As the archive does after a portion of arrivals; here a portion is some days."""
    portion = 15
    for first in range(_FIRST_DAY, _FIRST_DAY + days, portion):
        last = min(first + portion, _FIRST_DAY + days) - 1
        see_files(connection, "day", archive.sample_files(first, first + 1), of_samples=True)
        connection.execute(
            "create or replace temp table changed as select distinct device, "
            "$first::bigint as first_day, $last::bigint as last_day from day",
            {"first": first, "last": last},
        )
        files = archive.sample_files(first - 2, last + 1)
        see_files(connection, "archived_samples", files, of_samples=True)
        roll_days(connection)
        for day in range(first, last + 1):
            rows = connection.sql(
                "select * from rolled where day = $day order by device", params={"day": day}
            )
            path = archive.machine_days_of(day)
            write_parquet(path, MACHINE_DAY_SCHEMA, rows.to_arrow_reader(100_000))

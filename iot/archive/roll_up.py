"""From the telemetry database into the archive: samples by day, then the machine-days they change.

Work goes in portions in the order of arrival, and the archive's position advances after each. A
portion that was cut short is done again and changes nothing twice, since a sample's key is there
once. A late sample rewrites the file of its own day; of the machine-days it changes its own, and
that on which the machine spoke next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.archive.layout import MACHINE_DAY_SCHEMA, SAMPLE_SCHEMA, Archive, write_parquet
from iot.archive.machine_day import LOOK_BACK_DAYS
from iot.archive.stepping import duck, roll_days, see_files
from iot.store.tables import devices, samples
from iot.units import DAY, Millis

PORTION: Final = 1_000_000
"""Samples that are archived in one go: of an hour of ten thousand machines, about 200 MB."""

_READ: Final = 10_000
_BATCH: Final = 100_000
_NAMES: Final = tuple(name for name in SAMPLE_SCHEMA.names if name != "device")
_COLUMNS: Final = (devices.c.device, *(samples.c[name] for name in _NAMES))


@dataclass(frozen=True)
class RolledUp:
    """What a roll-up did.

    Attributes:
        samples: that were read; written: days whose file of samples was written;
        machine_days: rows that were worked out again.
    """

    samples: int
    written: int
    machine_days: int


def roll_up(
    connection: Connection,
    archive: Archive,
    now: Millis,
    *,
    portion: int = PORTION,
    memory_limit: str = "2GB",
) -> RolledUp:
    """Archive all samples that arrived since the last time.

    Args:
        connection: to the telemetry database; read only.
        archive: is made where there is none.
        now: when this began; the archive is then known to hold all that had arrived by then.
        portion: samples in one go.
        memory_limit: of DuckDB.

    Raises:
        ArchiveError: the archive can't be read or written, or another roll-up is at work.
        sqlalchemy.exc.SQLAlchemyError: the database fails.
    """
    read = written = rolled = 0
    with archive.held(), duck(memory_limit) as working:
        state = archive.progress()
        position = state.position
        head = connection.scalar(sa.select(sa.func.max(samples.c.position))) or 0
        while position < head:
            last, fresh = _portion(connection, position, head, portion)
            if fresh.num_rows == 0:
                position = head
                continue
            working.register("fresh", fresh)
            written += _write_samples(working, archive)
            rolled += _write_machine_days(working, archive)
            working.unregister("fresh")
            read += fresh.num_rows
            position = last
            archive.advance(position, Millis(state.rolled_up_at))
        archive.advance(max(position, state.position), Millis(max(now, state.rolled_up_at)))
    return RolledUp(read, written, rolled)


def _portion(connection: Connection, after: int, head: int, most: int) -> tuple[int, pa.Table]:
    """Read samples behind a position; returns the position of the last one too."""
    query = (
        sa.select(samples.c.position, *_COLUMNS)
        .join_from(samples, devices, samples.c.device == devices.c.number)
        .where(samples.c.position > after, samples.c.position <= head)
        .order_by(samples.c.position)
        .limit(most)
    )
    batches: list[pa.RecordBatch] = []
    last = after
    for rows in connection.execution_options(yield_per=_READ).execute(query).partitions():
        positions, *columns = zip(*rows, strict=True)
        last = positions[-1]
        batches.append(_batch(columns))
    return last, pa.Table.from_batches(batches, schema=SAMPLE_SCHEMA)


def _batch(columns: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, SAMPLE_SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SAMPLE_SCHEMA)


def _write_samples(working: duckdb.DuckDBPyConnection, archive: Archive) -> int:
    """Add `fresh` to its days' files; returns how many files."""
    days = _days(working, 'select distinct "at" // 86400000 from fresh order by 1')
    for day in days:
        see_files(working, "kept", archive.sample_files(day, day + 1), of_samples=True)
        rows = working.sql(
            "select * from (select * from kept union all by name "
            "select f.* from fresh f anti join kept using (device, boot, seq) "
            "where f.at // $day_ms = $day) order by device, boot, seq",
            params={"day_ms": DAY, "day": day},
        )
        path = archive.samples_of(day)
        write_parquet(path, SAMPLE_SCHEMA, rows.to_arrow_reader(_BATCH))
    return len(days)


def _write_machine_days(working: duckdb.DuckDBPyConnection, archive: Archive) -> int:
    """Work out again the machine-days that `fresh` changes; returns how many."""
    working.execute(
        "create or replace temp table changed as select device, min(f.at // $day_ms) as first_day, "
        "max(f.at // $day_ms) as last_day from fresh f group by device",
        {"day_ms": DAY},
    )
    first, last = _row(working, "select min(first_day), max(last_day) from changed")
    files = archive.sample_files(first - LOOK_BACK_DAYS - 1, last + LOOK_BACK_DAYS + 2)
    see_files(working, "archived_samples", files, of_samples=True)
    roll_days(working)
    working.execute(
        "delete from rolled using changed c where rolled.device = c.device and "
        "(rolled.day < c.first_day or rolled.day > c.last_day + $look_back)",
        {"look_back": LOOK_BACK_DAYS},
    )
    for day in _days(working, "select distinct day from rolled order by 1"):
        see_files(working, "kept", archive.machine_day_files(day, day + 1), of_samples=False)
        rows = working.sql(
            "select * from (select k.* from kept k anti join rolled using (device, day) "
            "union all by name select * from rolled where day = $day) order by device",
            params={"day": day},
        )
        path = archive.machine_days_of(day)
        write_parquet(path, MACHINE_DAY_SCHEMA, rows.to_arrow_reader(_BATCH))
    (count,) = _row(working, "select count(*) from rolled")
    return count


def _days(working: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    return [int(row[0]) for row in working.execute(query).fetchall()]


def _row(working: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    # To its end: DuckDB does nothing else on a connection with a result that was read in part.
    (found,) = working.execute(query).fetchall()
    return tuple(map(int, found))

"""Dropping raw samples from the database, once their day is safe in the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.archive.errors import ArchiveError
from iot.archive.layout import Archive, day_name
from iot.archive.machine_day import day_of
from iot.archive.stepping import duck, see_files
from iot.store.tables import checkpoint, devices, samples
from iot.units import DAY, Millis

_READ: Final = 50_000
_KEYS: Final = pa.schema([("device", pa.string()), ("boot", pa.int64()), ("seq", pa.int64())])


@dataclass(frozen=True)
class Dropped:
    """What was dropped: whole days, and the samples on them."""

    days: int
    samples: int


def drop_older(connection: Connection, archive: Archive, now: Millis, keep_days: int) -> Dropped:
    """Drop samples of days that ended more than `keep_days` ago, each day after it is verified.

    A sample stays where it is not archived yet, or where the monitor would fold it again at its
    next start (behind its checkpoint).

    Args:
        connection: to the telemetry database, in a transaction that the caller commits.
        archive: that `roll_up` fills.
        now: the time.
        keep_days: at least 1.

    Raises:
        ArchiveError: a day's samples are not all in its file; nothing of that day was dropped.
        sqlalchemy.exc.SQLAlchemyError: the database fails.
    """
    if keep_days < 1:
        raise ValueError("keep_days must be at least 1")
    before = (day_of(now) - keep_days) * DAY
    with archive.held(), duck() as working:
        folded = connection.scalar(sa.select(sa.func.max(checkpoint.c.position))) or 0
        through = min(archive.progress().position, folded)
        old = sa.and_(samples.c.at < before, samples.c.position <= through)
        # Portably, without a function of days that both databases lack.
        day = (samples.c.at - samples.c.at % DAY).label("day")
        starts = connection.scalars(sa.select(day).where(old).distinct().order_by(day)).all()
        count = 0
        for start in starts:
            of_day = sa.and_(old, samples.c.at >= start, samples.c.at < start + DAY)
            _verify(connection, working, archive, of_day, day_of(start))
            count += connection.execute(sa.delete(samples).where(of_day)).rowcount
    return Dropped(len(starts), count)


def _verify(
    connection: Connection,
    working: duckdb.DuckDBPyConnection,
    archive: Archive,
    of_day: sa.ColumnElement[bool],
    day: int,
) -> None:
    """Count the database's samples of a day, and those of them that the archive has."""
    query = sa.select(devices.c.device, samples.c.boot, samples.c.seq).join_from(
        samples, devices, samples.c.device == devices.c.number
    )
    see_files(working, "kept", archive.sample_files(day, day + 1), of_samples=True)
    here = there = 0
    found = connection.execution_options(yield_per=_READ).execute(query.where(of_day))
    for rows in found.partitions():
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), _KEYS, strict=True)
        ]
        working.register("wanted", pa.Table.from_arrays(arrays, schema=_KEYS))
        (counted,) = working.execute(
            "select count(*) from wanted semi join kept using (device, boot, seq)"
        ).fetchall()
        here += len(rows)
        there += counted[0]
    rows_here = connection.scalar(sa.select(sa.func.count()).select_from(samples).where(of_day))
    if not here == there == rows_here:
        raise ArchiveError(
            f"{archive.samples_of(day)}: holds {there} of the {rows_here} samples that the "
            f"database has of {day_name(day)}; nothing of that day was dropped. Restore the file."
        )

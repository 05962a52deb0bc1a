"""Machine-days as they were known before a cut.

A machine-day knows since when it has been as it is (`known_at`). Those that changed on or after
the cut are worked out again from the samples that had arrived; there are few, since few samples
come late.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb

from iot.archive.errors import ArchiveError
from iot.archive.layout import Archive
from iot.archive.machine_day import LOOK_BACK_DAYS
from iot.archive.stepping import roll_days, see_files
from iot.units import DAY, Millis


def see_machine_days(
    connection: duckdb.DuckDBPyConnection, archive: Archive, first_day: int, cut: Millis
) -> None:
    """Make the table `known_days`: machine-days from a day to before the cut, as known before it.

    Args:
        connection: of `iot.archive.stepping.duck`.
        archive: to read.
        first_day: days since 1970.
        cut: midnight UTC. What happened or arrived on or after it does not count.

    Raises:
        ArchiveError: the archive does not reach the cut, or can't be read.
    """
    if cut % DAY:
        raise ValueError("the cut must be midnight UTC")
    through = archive.progress().rolled_up_at
    if through < cut:
        reached = f"was last rolled up at {_utc(through)}" if through else "holds nothing yet"
        raise ArchiveError(
            f"{archive.folder}: the archive {reached}, and features as of {_utc(cut)[:10]} need "
            "all that arrived before that day; roll up, or take an earlier date."
        )
    end = cut // DAY
    files = archive.machine_day_files(first_day, end)
    try:
        see_files(connection, "machine_days", files, of_samples=False)
        connection.execute(
            "create or replace temp table changed as select device, min(day) as first_day, "
            "max(day) as last_day from machine_days where known_at >= $cut group by device",
            {"cut": cut},
        )
        files = archive.sample_files(first_day - LOOK_BACK_DAYS - 1, end)
        see_files(connection, "archived_samples", files, of_samples=True)
        roll_days(connection, cut)
        connection.execute(
            "create or replace temp table known_days as "
            "select * from machine_days where known_at < $cut union all by name "
            "select r.* from rolled r semi join "
            "(select device, day from machine_days where known_at >= $cut) using (device, day)",
            {"cut": cut},
        )
    except duckdb.Error as error:
        raise ArchiveError(
            f"{archive.folder}: a file of the archive can't be read ({type(error).__name__}); "
            "restore it from a backup."
        ) from None


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")

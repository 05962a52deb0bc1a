"""The archive of telemetry: Parquet files by day of event time, and a row a machine and day.

    archive = Archive(Path("archive"))
    with database.transaction() as connection:
        roll_up(connection, archive, now)
    with database.transaction() as connection:
        drop_older(connection, archive, now, keep_days=30)

Machine-days are what features and reports read; `iot.archive.machine_day` says what they hold.
"""

from __future__ import annotations

from iot.archive.as_of import see_machine_days
from iot.archive.errors import ArchiveError
from iot.archive.layout import Archive
from iot.archive.machine_day import MachineDay, fold_days
from iot.archive.retention import Dropped, drop_older
from iot.archive.roll_up import RolledUp, roll_up

__all__ = [
    "Archive",
    "ArchiveError",
    "Dropped",
    "MachineDay",
    "RolledUp",
    "drop_older",
    "fold_days",
    "roll_up",
    "see_machine_days",
]

"""Raw samples leave the database only after their day is in the archive, by count."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from iot.archive import Archive, ArchiveError, Dropped, drop_older, fold_days
from iot.codec.sample import Sample
from iot.store.database import Database
from iot.store.tables import checkpoint, samples
from iot.units import DAY, DeviceId, Millis
from tests.iot.archived_fleet import FIRST_DAY, START, machine_days, roll, store

NOW = START + 10 * DAY


def daily(seq: int, day: float) -> Sample:
    at = Millis(START + int(day * DAY))
    return Sample(DeviceId("d"), 1, seq, at, at, operating_hours=float(seq))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Ten days, a sample each, all of them folded by the monitor."""
    made = Database(f"sqlite:///{tmp_path}/telemetry.db")
    store(made, [daily(day + 1, day) for day in range(10)])
    with made.transaction() as connection:
        connection.execute(sa.insert(checkpoint), {"number": 1, "position": 100})
    return made


def drop(database: Database, archive: Archive, keep_days: int = 4) -> Dropped:
    with database.transaction() as connection:
        return drop_older(connection, archive, Millis(NOW), keep_days)


def left(database: Database) -> list[int]:
    with database.transaction() as connection:
        return list(connection.scalars(sa.select(samples.c.seq).order_by(samples.c.seq)))


def test_old_days_go_and_the_archive_still_has_them(database: Database, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    roll(database, archive, NOW)
    assert drop(database, archive) == Dropped(6, 6)
    assert left(database) == [7, 8, 9, 10]
    assert drop(database, archive) == Dropped(0, 0)
    # A late sample of a day that is gone joins what the archive has of it.
    store(database, [daily(11, 0.5)])
    roll(database, archive, NOW)
    assert pq.read_table(archive.samples_of(FIRST_DAY)).num_rows == 2
    assert drop(database, archive) == Dropped(1, 1)
    expected = [daily(day + 1, day) for day in range(10)] + [daily(11, 0.5)]
    assert machine_days(archive, NOW) == fold_days(expected)


def test_what_is_not_archived_or_not_folded_stays(database: Database, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    assert drop(database, archive) == Dropped(0, 0)
    roll(database, archive, NOW)
    with database.transaction() as connection:
        connection.execute(sa.update(checkpoint).values(position=2))
    assert drop(database, archive) == Dropped(2, 2)
    with database.transaction() as connection:
        connection.execute(sa.delete(checkpoint))
    assert drop(database, archive) == Dropped(0, 0)


def test_a_day_that_lost_its_file_keeps_its_samples(database: Database, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    roll(database, archive, NOW)
    archive.samples_of(FIRST_DAY + 2).unlink()
    with pytest.raises(ArchiveError, match="holds 0 of the 1 samples .* of 2026-01-03; nothing"):
        drop(database, archive)
    assert len(left(database)) == 10


def test_a_days_file_with_other_samples_does_not_count(database: Database, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    roll(database, archive, NOW)
    wrong = archive.samples_of(FIRST_DAY + 5).read_bytes()
    archive.samples_of(FIRST_DAY).write_bytes(wrong)
    with pytest.raises(ArchiveError, match="holds 0 of the 1 samples"):
        drop(database, archive)
    assert len(left(database)) == 10

"""Samples into Parquet by day, and machine-days from them: what a fold over the samples gives."""

from __future__ import annotations

import math
import random
from dataclasses import asdict
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.archive import Archive, ArchiveError, MachineDay, fold_days, see_machine_days
from iot.archive.stepping import duck
from iot.codec.sample import Sample
from iot.store.database import Database
from iot.units import DAY, HOUR, DeviceId, Millis
from tests.iot.archived_fleet import (
    FIRST_DAY,
    START,
    archived,
    machine_days,
    messy_samples,
    roll,
    store,
)

FAR = START + 4_000 * DAY


def assert_same(found: list[MachineDay], expected: list[MachineDay]) -> None:
    """Floats to the rounding of sums."""
    assert [(row.device, row.day) for row in found] == [(row.device, row.day) for row in expected]
    for one, other in zip(found, expected, strict=True):
        for name, value in asdict(other).items():
            mine = getattr(one, name)
            where = f"{other.device} day {other.day} {name}: {mine} {value}"
            if isinstance(value, float):
                assert mine is not None, where
                assert math.isclose(mine, value, rel_tol=0, abs_tol=1e-5), where
            elif name == "work_by_hour":
                assert mine == pytest.approx(value, abs=1e-5), where
            else:
                assert mine == value, where


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000), portion=st.sampled_from((50, 1_000)))
def test_duckdb_rolls_up_what_the_fold_over_steps_gives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, portion: int
) -> None:
    folder = tmp_path_factory.mktemp("roll")
    samples = messy_samples(seed, machines=2)
    arrival = samples.copy()
    random.Random(seed).shuffle(arrival)
    database = Database(f"sqlite:///{folder}/telemetry.db")
    archive = Archive(folder / "archive")
    half = len(arrival) // 2
    for part in (arrival[:half], arrival[half:]):
        store(database, part)
        roll(database, archive, FAR, portion)
    database.close()
    assert_same(machine_days(archive, FAR), fold_days(samples))


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000), days=st.integers(1, 12))
def test_as_of_a_cut_is_the_fold_of_what_had_happened_and_arrived(
    tmp_path_factory: pytest.TempPathFactory, seed: int, days: int
) -> None:
    samples = messy_samples(seed)
    cut = START + days * DAY
    archive = archived(tmp_path_factory.mktemp("cut"), samples, FAR)
    known = [one for one in samples if one.at < cut and one.received < cut]
    assert_same(machine_days(archive, cut), fold_days(known))


def sample(seq: int, at: float, hours: float | None, idle: float | None = None) -> Sample:
    """Of one machine, so many hours after the start, arrived at once."""
    when = Millis(START + int(at * HOUR))
    return Sample(DeviceId("d"), 1, seq, when, when, operating_hours=hours, idle_hours=idle)


def test_gains_are_summed_by_day_and_what_is_missing_is_none(tmp_path: Path) -> None:
    samples = [
        sample(1, 1, 10.0, 4.0),
        sample(2, 3, 12.0, 4.5),
        sample(3, 9, None),
        sample(4, 25, 13.0),
    ]
    first, second = machine_days(archived(tmp_path, samples, FAR), FAR)
    assert (first.operating_hours, first.idle_hours, first.work_hours) == (2.0, 0.5, 1.5)
    assert first.work_by_hour == {3: 1.5}
    assert (first.samples, first.coverage_minutes, first.readings) == (3, 180, 4)
    assert (second.operating_hours, second.work_hours, second.fuel_l) == (None, None, None)


def test_a_counter_that_falls_and_hours_beyond_the_clock_give_no_hours(tmp_path: Path) -> None:
    samples = [sample(1, 1, 10.0), sample(2, 2, 1.0), sample(3, 3, 2.0), sample(4, 4, 5.0)]
    (day,) = machine_days(archived(tmp_path, samples, FAR), FAR)
    assert (day.operating_hours, day.resets, day.impossible) == (1.0, 1, 1)


def test_a_late_sample_rewrites_the_file_of_its_day_only(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/telemetry.db")
    archive = Archive(tmp_path / "archive")
    store(database, [sample(1, 1, 1.0), sample(3, 30, 3.0), sample(4, 60, 4.0)])
    roll(database, archive, FAR)
    days = [FIRST_DAY, FIRST_DAY + 1, FIRST_DAY + 2]
    before = [archive.samples_of(day).stat().st_ino for day in days]
    store(database, [sample(2, 5, 2.5)])
    roll(database, archive, FAR)
    after = [archive.samples_of(day).stat().st_ino for day in days]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True]
    assert [row.operating_hours for row in machine_days(archive, FAR)] == [1.5, 0.5, 1.0]
    database.close()


def test_rolling_up_again_writes_nothing_and_a_portion_done_twice_counts_once(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path}/telemetry.db")
    archive = Archive(tmp_path / "archive")
    store(database, messy_samples(7))
    roll(database, archive, FAR)
    files = {path: path.read_bytes() for path in archive.folder.rglob("*.parquet")}
    inodes = {path: path.stat().st_ino for path in files}
    roll(database, archive, FAR)
    assert {path: path.stat().st_ino for path in archive.folder.rglob("*.parquet")} == inodes
    # As if it had been killed before it could say how far it had come.
    (archive.folder / "archive.json").unlink()
    roll(database, archive, FAR)
    rows = {path: pq.read_table(path).to_pylist() for path in files}
    for path, content in files.items():
        assert pq.read_table(path.open("rb")).to_pylist() == rows[path]
        assert len(content) > 0
    assert sum(len(rows[path]) for path in files if path.name == "samples.parquet") == 120
    assert_same(machine_days(archive, FAR), fold_days(messy_samples(7)))
    database.close()


def test_files_are_whole_and_for_their_owner_only(tmp_path: Path) -> None:
    archive = archived(tmp_path, messy_samples(3), FAR)
    files = [path for path in archive.folder.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert not [path for path in files if path.name.endswith(".part")]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with archive.held(), pytest.raises(ArchiveError, match="another roll-up is at work"):
        archived(tmp_path, [], FAR)
    archived(tmp_path, [], FAR)


def test_a_date_that_the_archive_has_not_reached_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with duck() as connection:
        with pytest.raises(ArchiveError, match="holds nothing yet, and features as of 2026-01-02"):
            see_machine_days(connection, archive, FIRST_DAY, Millis(START + DAY))
        archived(tmp_path, [sample(1, 1, 1.0)], START + DAY - 1)
        with pytest.raises(ArchiveError, match="was last rolled up at 2026-01-01 23:59 UTC"):
            see_machine_days(connection, archive, FIRST_DAY, Millis(START + DAY))
        see_machine_days(connection, archive, FIRST_DAY, Millis(START))


def test_files_that_are_broken_are_told_in_one_sentence(tmp_path: Path) -> None:
    archive = archived(tmp_path, [sample(1, 1, 1.0)], FAR)
    archive.machine_days_of(FIRST_DAY).write_bytes(b"nothing")
    with duck() as connection, pytest.raises(ArchiveError, match="can't be read"):
        see_machine_days(connection, archive, FIRST_DAY, Millis(FAR))
    (archive.folder / "archive.json").write_text("{}x")
    with pytest.raises(ArchiveError, match="as an archive's state"):
        archive.progress()
    (archive.folder / "archive.json").write_text('{"version": 9}')
    with pytest.raises(ArchiveError, match="version 9"):
        archive.progress()


def test_duckdb_fetches_no_extension() -> None:
    with duck() as connection, pytest.raises(duckdb.Error):
        connection.execute("select st_point(1, 2)")

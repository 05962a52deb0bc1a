"""Where the archive's files lie: a folder a day of event time, and how far the archive has come.

    samples/day=2026-01-31/samples.parquet            every sample, by (device, boot, seq)
    machine-days/day=2026-01-31/machine-days.parquet  `iot.archive.machine_day`, a row a machine
    archive.json                                      up to which position samples are in here

Files are written beside their place and moved there, so that a reader sees the old one or the new
one. They hold positions, and are for their owner only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from iot.archive.errors import ArchiveError
from iot.units import Millis

VERSION: Final = 1
SAMPLE_SCHEMA: Final = pa.schema(
    [
        ("device", pa.string()),
        *((name, pa.int64()) for name in ("boot", "seq", "at", "received")),
        *((name, pa.float64()) for name in ("operating_hours", "idle_hours", "fuel_used_l")),
        *((name, pa.float64()) for name in ("fuel_remaining_percent", "latitude", "longitude")),
        ("accuracy_m", pa.float64()),
        ("engine_on", pa.bool_()),
        ("distance_km", pa.float64()),
        ("faults", pa.string()),
        ("tampered", pa.bool_()),
    ]
)
"""Of the samples' files; faults are comma-separated, as in the database."""

MACHINE_DAY_SCHEMA: Final = pa.schema(
    [
        ("device", pa.string()),
        *((name, pa.int64()) for name in ("day", "samples", "first_at", "last_at", "known_at")),
        *((name, pa.float64()) for name in ("operating_hours", "idle_hours", "work_hours")),
        *((name, pa.float64()) for name in ("fuel_l", "distance_km", "fuelled_hours")),
        *((name, pa.float64()) for name in ("fuelled_l", "engine_on_minutes")),
        *((name, pa.int64()) for name in ("coverage_minutes", "resets", "impossible")),
        *((name, pa.int64()) for name in ("tampers", "fault_codes", "readings")),
        ("work_by_hour", pa.map_(pa.int64(), pa.float64())),
        ("site_hours", pa.map_(pa.int64(), pa.int64())),
    ]
)
"""Of the machine-days' files."""


class Progress(msgspec.Struct, frozen=True):
    """How far the archive has come.

    Attributes:
        position: of the last sample that is in it.
        rolled_up_at: when it was last known to hold all that had arrived; 0: never.
    """

    version: int = VERSION
    position: int = 0
    rolled_up_at: int = 0


@dataclass(frozen=True)
class Archive:
    """An archive in a folder."""

    folder: Path

    def samples_of(self, day: int) -> Path:
        return self.folder / "samples" / f"day={day_name(day)}" / "samples.parquet"

    def machine_days_of(self, day: int) -> Path:
        return self.folder / "machine-days" / f"day={day_name(day)}" / "machine-days.parquet"

    def sample_files(self, first: int, end: int) -> list[str]:
        """The files there are of days from `first` to before `end`, in order."""
        return _files(self.folder / "samples", first, end)

    def machine_day_files(self, first: int, end: int) -> list[str]:
        """As `sample_files`."""
        return _files(self.folder / "machine-days", first, end)

    def progress(self) -> Progress:
        """Raises:
        ArchiveError: its file can't be read, or is of another version.
        """
        path = self.folder / "archive.json"
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return Progress()
        except (OSError, msgspec.DecodeError):
            raise ArchiveError(
                f"{path}: can't be read as an archive's state; restore it, or roll up anew into an "
                "empty folder."
            ) from None
        if found.version != VERSION:
            raise ArchiveError(
                f"{path}: is of version {found.version}, and this version of veilscore reads "
                f"{VERSION}; roll up anew into an empty folder."
            )
        return found

    def advance(self, position: int, rolled_up_at: Millis) -> None:
        """Keep how far the archive has come."""
        state = Progress(position=position, rolled_up_at=rolled_up_at)
        with _replacing(self.folder / "archive.json") as path:
            path.write_bytes(msgspec.json.encode(state))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            ArchiveError: one is at work, or the folder can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.folder / "archive.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ArchiveError(
                f"{self.folder}: can't be written ({error.strerror}); name a folder of ours."
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveError(
                    f"{self.folder}: another roll-up is at work here; try again when it is done."
                ) from None
            yield
        finally:
            os.close(descriptor)


def write_parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a file whole or not at all; returns its rows."""
    rows = 0
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        _replacing(path) as beside,
        pq.ParquetWriter(beside, schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside, which takes the place of `path` when the block ends without an error."""
    beside = path.with_name(f".{path.name}.part")
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def day_name(day: int) -> str:
    """A day as 2026-01-31."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _files(folder: Path, first: int, end: int) -> list[str]:
    found = []
    for path in sorted(folder.glob("day=*/*.parquet")):
        with suppress(ValueError):
            day = (date.fromisoformat(path.parent.name[4:]) - date(1970, 1, 1)).days
            if first <= day < end and not path.name.startswith("."):
                found.append(str(path))
    return found

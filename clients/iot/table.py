"""Features of lessees, computed from the archive of telemetry, as a table like any other.

Its columns are the lessee's id, the further columns of the table of leases (perhaps a consent's
end) and all features of `iot.features.definitions`. It has a row a lessee. Positions, devices and
the terms of leases are no columns, so that no manifest can name them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Final

import pyarrow as pa

from clients.iot.leases import NEEDED, OPTIONAL, Lessees, read_leases
from clients.settings_file import suggest
from clients.source_settings import SourceKind, TelemetrySource
from clients.tables.csv_table import CsvTable
from clients.tables.parquet_table import ParquetTable
from federation.errors import InputError
from iot.archive.layout import Archive
from iot.errors import TelemetryError
from iot.features import NAMES, cut_of
from iot.features.computing import Records, features_of
from iot.features.reading import read_facts
from iot.features.records import read_alerts, read_rent
from iot.fleet.fleet import Fleet

BATCH_ROWS: Final = 1 << 16
POSITIONS: Final = frozenset({"latitude", "longitude"})
"""Columns that a table of leases may have, and that go nowhere."""

_NOBODY: Final = Lessees({}, Fleet({}, {}, {}, {}), {}, {})


class TelemetryTable:
    """Rows are named as the lessee's first row in the table of leases.

    Args:
        source: what the manifest says.
        now: the run's time, with a time zone, for features as of "today".
    """

    keeps_order = True
    decimal = "."

    def __init__(self, source: TelemetrySource, now: datetime | None = None) -> None:
        """Nothing is read yet."""
        is_csv = source.leases.kind is SourceKind.CSV
        self._source = source
        self._leases = (CsvTable if is_csv else ParquetTable)(source.leases)
        self._archive = Archive(source.archive)
        self._as_of = source.as_of or (now or datetime.now(UTC)).astimezone(UTC).date()
        self._read = _NOBODY

    @property
    def place(self) -> str:
        """The manifest's telemetry."""
        return self._source.place

    @property
    def as_of(self) -> date:
        """The date as of which features are computed."""
        return self._as_of

    @cached_property
    def column_names(self) -> list[str]:
        """The lessee's id and further columns of the table of leases, and the features."""
        terms = {*NEEDED, *OPTIONAL, *NAMES} - {self._source.lessee_column}
        own = [
            name
            for name in self._leases.column_names
            if name not in terms and name.lower() not in POSITIONS
        ]
        return [*own, *NAMES]

    def hint(self, column: str) -> str:
        """Suggest a column."""
        return suggest(column, self.column_names)

    def row_name(self, position: int) -> str:
        """Name a lessee's first row in the table of leases."""
        return self._leases.row_name(list(self._read.rows.values())[position])

    def batches(
        self, columns: Sequence[str], texts: frozenset[str]
    ) -> Generator[pa.RecordBatch, None, None]:
        """Compute the features asked for, and give them in batches."""
        lessee_column = self._source.lessee_column
        features = [name for name in columns if name in NAMES]
        further = [name for name in columns if name not in (lessee_column, *features)]
        self._read = read_leases(self._leases, self._source, further)
        computed = self._features(features)
        own: dict[str, Sequence[str | None]] = {
            lessee_column: tuple(self._read.rows),
            **self._read.columns,
        }
        arrays = [
            computed[name] if name in computed else pa.array(own[name], pa.string())
            for name in columns
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)

    def _features(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Compute features of all lessees, in the order of the table of leases."""
        read, archive = self._read, self._archive
        try:
            facts = read_facts(archive, read.fleet, cut_of(self._as_of))
            records = Records(read_alerts(archive), read_rent(archive), read.base_price_minor)
            found = features_of(facts, read.fleet, records, names=names)
        except TelemetryError as error:
            raise InputError(f"{self._source.where}: {error}") from None
        place = {str(name): row for row, name in enumerate(found.lessees)}
        order = [place[name] for name in read.rows]
        return {name: pa.array(found.columns[name][order]) for name in names}

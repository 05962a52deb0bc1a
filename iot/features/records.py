"""What features take beside machine-days: alerts and rent, as whoever keeps them hands them over.

They lie in the archive's folder as small Parquet files, so that a party reads them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from iot.archive.layout import Archive, write_parquet
from iot.features.errors import FeatureError
from iot.units import DeviceId, LeaseId, Millis, RateCardId


@dataclass(frozen=True)
class AlertFact:
    """One alert. Times are those at which it was written, not of the event: an alert that late
    data raised was not known before.

    Attributes:
        rule: its name.
        opened, cleared, acknowledged: None: not yet.
    """

    device: DeviceId
    rule: str
    opened: Millis
    cleared: Millis | None = None
    acknowledged: Millis | None = None


@dataclass(frozen=True)
class RentFact:
    """One entry of the ledger: a lease's rent of a month, or an adjustment of it.

    Attributes:
        month_end: the first day after the month.
        written: when the entry was made; an adjustment counts from then on.
        amount_minor: minor units; an adjustment may be negative.
        hours: that it is for; of an adjustment the difference.
        rate_card: by which it was priced.
    """

    lease: LeaseId
    month_end: date
    written: Millis
    amount_minor: Decimal
    hours: Decimal
    rate_card: RateCardId


@dataclass(frozen=True)
class RuleNames:
    """Which rules' alerts mean what.

    Attributes:
        fuel: fuel burnt, lost or taken beyond what hours explain.
        zone: out of region.
        idle: a machine idle for over a day.
    """

    fuel: frozenset[str] = frozenset({"fuel_against_hours", "tank_balance"})
    zone: frozenset[str] = frozenset({"out_of_region"})
    idle: frozenset[str] = frozenset({"idle_machine"})


ALERTS_SCHEMA: Final = pa.schema(
    [
        ("device", pa.string()),
        ("rule", pa.string()),
        *((name, pa.int64()) for name in ("opened", "cleared", "acknowledged")),
    ]
)
RENT_SCHEMA: Final = pa.schema(
    [
        ("lease", pa.string()),
        ("month_end", pa.date32()),
        ("written", pa.int64()),
        ("amount_minor", pa.decimal128(38, 9)),
        ("hours", pa.decimal128(38, 9)),
        ("rate_card", pa.string()),
    ]
)


def write_alerts(archive: Archive, alerts: Iterable[AlertFact]) -> None:
    """Replace the archive's alerts."""
    rows = [vars(alert) for alert in alerts]
    _write(archive.folder / "alerts.parquet", ALERTS_SCHEMA, rows)


def read_alerts(archive: Archive) -> list[AlertFact] | None:
    """The archive's alerts; None where nobody handed any over, which is not the same as none.

    Raises:
        FeatureError: the file can't be read.
    """
    rows = _read(archive.folder / "alerts.parquet", ALERTS_SCHEMA)
    return None if rows is None else [AlertFact(**row) for row in rows]


def write_rent(archive: Archive, entries: Iterable[RentFact]) -> None:
    """Replace the archive's rent."""
    rows = [vars(entry) for entry in entries]
    _write(archive.folder / "rent.parquet", RENT_SCHEMA, rows)


def read_rent(archive: Archive) -> list[RentFact] | None:
    """As `read_alerts`."""
    rows = _read(archive.folder / "rent.parquet", RENT_SCHEMA)
    return None if rows is None else [RentFact(**row) for row in rows]


def _write(path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    write_parquet(path, schema, pa.Table.from_pylist(list(rows), schema=schema).to_batches())


def _read(path: Path, schema: pa.Schema) -> list[dict[str, Any]] | None:
    try:
        # The file itself, so that a folder 'day=...' above it makes no column.
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().cast(schema).to_pylist()
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, ValueError):
        raise FeatureError(
            f"{path}: can't be read; it must have the columns {', '.join(schema.names)}."
        ) from None
    return rows

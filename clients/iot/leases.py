"""Whose machine is whose, and since when: the table of leases beside the manifest.

A row is a lease. Its columns, of which the lessee's has the manifest's name for it:

| column | what it holds |
|---|---|
| `lessee` | the lessee's id, as the party's other tables have it |
| `lease` | the lease's name |
| `device` | the telemetry device on the machine |
| `start` | a date (midnight UTC), or a time with its offset: 2026-01-31T08:00+01:00 |
| `end` | the same; empty: the lease runs |
| `model` | optional: of the machine; fuel is compared among machines of one model |
| `work_from`, `work_to` | optional: hours of the local day of the shift, 0 to 24 |
| `utc_offset_minutes` | optional: of the local day |
| `rate_card`, `base_price_minor` | optional: the price list, and its price an hour, minor units |

Further columns are the lessee's, such as the end of a consent: alike in all of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final

from clients.cell_values import plain_array, text_of
from clients.source_settings import TelemetrySource
from clients.tables.table import Table, require
from federation.errors import InputError
from iot.errors import FleetInvalid
from iot.fleet.fleet import Fleet, Lease, Model
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ModelId, RateCardId

Cell = str | None
NEEDED: Final = ("lease", "device", "start", "end")
OPTIONAL: Final = (
    *("model", "work_from", "work_to", "utc_offset_minutes"),
    *("rate_card", "base_price_minor"),
)
_MINUTES_A_DAY: Final = 24 * 60


@dataclass(frozen=True)
class Lessees:
    """Lessees in the order of their table, and their machines.

    Attributes:
        rows: where each appears first, positions from 0, by its id as it stands there.
        fleet: of all leases; without zones.
        base_price_minor: of an hour, by rate card.
        columns: the table's further columns, one cell a lessee.
    """

    rows: dict[str, int]
    fleet: Fleet
    base_price_minor: dict[RateCardId, Decimal]
    columns: dict[str, tuple[Cell, ...]]


def read_leases(table: Table, source: TelemetrySource, further: Sequence[str]) -> Lessees:
    """Read leases.

    Args:
        table: of `source.leases`.
        source: the manifest's.
        further: more columns to read of it.

    Raises:
        InputError: a column is missing, a cell can't be read, leases of a device overlap, or the
            rows of one lessee differ in a further column.
    """
    require(table, source.lessee_column, f"{source.where} 'lessee_column'")
    for column in NEEDED:
        require(table, column, f"{source.where} 'leases'")
    reading = _Reading(table, source)
    there = [name for name in OPTIONAL if name in table.column_names]
    columns = [source.lessee_column, *NEEDED, *there, *further]
    taken = len(columns) - len(further)
    row = 0
    with closing(table.batches(columns, frozenset())) as batches:
        for batch in batches:
            cells = ([_text(value) for value in _cells(batch, name)] for name in columns)
            for line in zip(*cells, strict=True):
                terms = dict(zip(columns[1:taken], line[1:taken], strict=True))
                reading.add(row, line[0], terms, dict(zip(further, line[taken:], strict=True)))
                row += 1
    return reading.finish(further)


class _Reading:
    """Rows that were read so far."""

    def __init__(self, table: Table, source: TelemetrySource) -> None:
        self._table, self._source = table, source
        self._rows: dict[str, int] = {}
        self._further: dict[str, dict[str, Cell]] = {}
        self._leases: dict[DeviceId, list[Lease]] = {}
        self._models: dict[DeviceId, ModelId] = {}
        self._prices: dict[RateCardId, Decimal] = {}
        self._names: dict[LeaseId, int] = {}

    def add(self, row: int, lessee: Cell, terms: dict[str, Cell], further: dict[str, Cell]) -> None:
        if not lessee:
            raise self._refused(self._source.lessee_column, row, "has no id; every row needs one")
        lease = self._lease(row, LesseeId(lessee), terms)
        if lease.id in self._names:
            other = self._table.row_name(self._names[lease.id])
            raise self._refused("lease", row, f"has the name of {other} again; each has its own")
        self._names[lease.id] = row
        self._leases.setdefault(lease.device, []).append(lease)
        model = ModelId(terms.get("model") or "any")
        if self._models.setdefault(lease.device, model) != model:
            raise self._refused("model", row, "differs from an earlier row of the same device")
        self._price(row, lease.rate_card, terms.get("base_price_minor"))
        first = self._further.setdefault(lessee, further)
        for name in further:
            if first[name] != further[name]:
                other = self._table.row_name(self._rows[lessee])
                raise self._refused(
                    name, row, f"differs from {other}, which is the same lessee's; all must agree"
                )
        self._rows.setdefault(lessee, row)

    def finish(self, further: Sequence[str]) -> Lessees:
        models = {name: Model(name, None, None, 0.0) for name in self._models.values()}
        leases = {
            device: tuple(sorted(found, key=lambda lease: lease.start))
            for device, found in self._leases.items()
        }
        try:
            fleet = Fleet(models, self._models, leases, {})
        except FleetInvalid as error:
            raise InputError(f"{self._table.place}: {error}") from None
        columns = {name: tuple(cells[name] for cells in self._further.values()) for name in further}
        return Lessees(self._rows, fleet, self._prices, columns)

    def _lease(self, row: int, lessee: LesseeId, terms: dict[str, Cell]) -> Lease:
        for name in ("lease", "device", "start"):
            if not terms[name]:
                raise self._refused(name, row, "is empty; every lease needs it")
        start = self._time(row, "start", terms["start"] or "")
        end = self._time(row, "end", terms["end"]) if terms["end"] else None
        if end is not None and end <= start:
            raise self._refused("end", row, "is not after its start")
        card = terms.get("rate_card")
        return Lease(
            id=LeaseId(terms["lease"] or ""),
            device=DeviceId(terms["device"] or ""),
            lessee=lessee,
            start=start,
            end=end,
            zone=None,
            rate_card=RateCardId(card) if card else None,
            work_from=self._whole(row, "work_from", terms, 0, (0, 24)),
            work_to=self._whole(row, "work_to", terms, 24, (0, 24)),
            utc_offset_minutes=self._whole(
                row, "utc_offset_minutes", terms, 0, (-_MINUTES_A_DAY, _MINUTES_A_DAY)
            ),
        )

    def _time(self, row: int, name: str, text: str) -> Millis:
        try:
            if len(text) == len("2026-01-31"):
                at = datetime.combine(date.fromisoformat(text), time(), UTC)
            else:
                at = datetime.fromisoformat(text)
        except ValueError:
            at = datetime.min
        if at.tzinfo is None:
            raise self._refused(
                name, row, "is no date and no time with its offset; write 2026-01-31, or "
                "2026-01-31T08:00+01:00",
            )  # fmt: skip
        return Millis(int(at.timestamp() * 1_000))

    def _whole(
        self, row: int, name: str, terms: dict[str, Cell], default: int, between: tuple[int, int]
    ) -> int:
        text = terms.get(name)
        if not text:
            return default
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not (between[0] <= number <= between[1] and number == int(number)):
            raise self._refused(name, row, f"must be a whole number {between[0]} to {between[1]}")
        return int(number)

    def _price(self, row: int, card: RateCardId | None, text: Cell) -> None:
        if card is None or not text:
            return
        try:
            price = Decimal(text)
        except InvalidOperation:
            price = Decimal("NaN")
        if not price.is_finite() or price <= 0:
            raise self._refused("base_price_minor", row, "must be a price above 0, such as 4500")
        if self._prices.setdefault(card, price) != price:
            raise self._refused(
                "base_price_minor", row, "differs from an earlier row of the same rate card"
            )

    def _refused(self, column: str, row: int, sentence: str) -> InputError:
        table = self._table
        return InputError(f"{table.place}, column '{column}': {table.row_name(row)} {sentence}")


def _cells(batch: object, name: str) -> list[object]:
    cells: list[object] = plain_array(batch.column(name)).to_pylist()  # type: ignore[attr-defined]
    return cells


def _text(value: object) -> Cell:
    return None if value is None else text_of(value).strip()

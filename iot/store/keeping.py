"""Writing what came in the caller's transaction, and reading it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.codec.refusal import Refusal
from iot.codec.sample import Sample
from iot.store.tables import checkpoint, devices, machines, quarantine, samples
from iot.units import DeviceId, Millis

KEPT_PAYLOAD: Final = 2_048
"""Bytes of a refused payload that are kept."""
_COLUMNS: Final = tuple(column.name for column in samples.columns)


class SampleTable:
    """The samples of one database, for one writer.

    Positions are given here: they rise in the order of arrival.
    """

    def __init__(self, connection: Connection) -> None:
        self._numbers: dict[DeviceId, int] = {
            DeviceId(row.device): row.number
            for row in connection.execute(sa.select(devices.c.number, devices.c.device))
        }
        self.position: int = connection.scalar(sa.select(sa.func.max(samples.c.position))) or 0
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        self._insert = (
            f"INSERT INTO samples ({', '.join(_COLUMNS)}) "  # nosec B608 - the table's own names
            f"VALUES ({', '.join([mark] * len(_COLUMNS))}) ON CONFLICT DO NOTHING"
        )

    def register(self, connection: Connection, names: Sequence[DeviceId]) -> None:
        """Number the devices that have none yet."""
        new = [name for name in names if name not in self._numbers]
        if not new:
            return
        first = max(self._numbers.values(), default=0) + 1
        numbers = {name: first + place for place, name in enumerate(new)}
        rows = [{"number": number, "device": name} for name, number in numbers.items()]
        connection.execute(sa.insert(devices), rows)
        self._numbers |= numbers

    def number_of(self, device: DeviceId) -> int:
        return self._numbers[device]

    def store(self, connection: Connection, taken: Sequence[Sample]) -> int:
        """Store samples in their order of arrival.

        Returns:
            how many rows are new; one whose key is there already is left as it is.
        """
        if not taken:
            return 0
        numbers = self._numbers
        position = self.position
        rows = []
        for one in taken:
            position += 1
            rows.append(
                (
                    position,
                    numbers[one.device],
                    one.boot,
                    one.seq,
                    one.at,
                    one.received,
                    one.operating_hours,
                    one.idle_hours,
                    one.fuel_used_l,
                    one.fuel_remaining_percent,
                    one.latitude,
                    one.longitude,
                    one.accuracy_m,
                    one.engine_on,
                    one.distance_km,
                    ",".join(one.faults) if one.faults else None,
                    one.tampered,
                )
            )
        stored = connection.exec_driver_sql(self._insert, rows).rowcount
        self.position = position
        return stored

    def same(self, connection: Connection, sample: Sample) -> bool | None:
        """Whether the stored sample of this key says the same; None: there is none."""
        row = connection.execute(
            sa.select(samples).where(
                samples.c.device == self._numbers[sample.device],
                samples.c.boot == sample.boot,
                samples.c.seq == sample.seq,
            )
        ).first()
        if row is None:
            return None
        stored = _sample(sample.device, row)
        return _said(stored) == _said(sample)

    def after(self, connection: Connection, position: int) -> Iterator[tuple[int, Sample]]:
        """Samples behind a position, with theirs, in the order of arrival."""
        names = {number: name for name, number in self._numbers.items()}
        rows = connection.execution_options(yield_per=10_000).execute(
            sa.select(samples).where(samples.c.position > position).order_by(samples.c.position)
        )
        for row in rows:
            yield row.position, _sample(names[row.device], row)


class MachineTable:
    """What is kept of the machines of one database, for one writer."""

    def __init__(self, table: SampleTable) -> None:
        self._table = table

    def load(self, connection: Connection) -> tuple[int, list[tuple[DeviceId, int, bytes]]]:
        """Return the position of the last checkpoint, and device, position and state of each
        machine that was kept."""
        position = connection.scalar(sa.select(checkpoint.c.position)) or 0
        rows = connection.execute(
            sa.select(devices.c.device, machines.c.through, machines.c.state).join(
                machines, machines.c.device == devices.c.number
            )
        )
        return position, [(DeviceId(row.device), row.through, row.state) for row in rows]

    def keep(
        self, connection: Connection, states: Sequence[tuple[DeviceId, bytes]], *, all_changed: bool
    ) -> None:
        """Keep machines as of the last stored sample; `all_changed`: no other one has changed since
        it was kept, so that a start may begin here."""
        position = self._table.position
        if states:
            numbers = [self._table.number_of(device) for device, _ in states]
            connection.execute(
                sa.delete(machines).where(machines.c.device == sa.bindparam("number")),
                [{"number": number} for number in numbers],
            )
            connection.execute(
                sa.insert(machines),
                [
                    {"device": number, "through": position, "state": state}
                    for number, (_, state) in zip(numbers, states, strict=True)
                ],
            )
        if all_changed:
            connection.execute(sa.delete(checkpoint))
            connection.execute(sa.insert(checkpoint), {"number": 1, "position": position})


def set_aside(connection: Connection, refusals: Sequence[Refusal]) -> None:
    """Keep refused messages with their reasons, the payload cut."""
    if refusals:
        connection.execute(
            sa.insert(quarantine),
            [
                {
                    "received": one.received,
                    "topic": one.topic[:256],
                    "reason": one.reason.value,
                    "detail": one.detail[:1_024],
                    "payload": one.payload[:KEPT_PAYLOAD],
                    "size": len(one.payload),
                }
                for one in refusals
            ],
        )


def _sample(device: DeviceId, row: Any) -> Sample:
    return Sample(
        device,
        row.boot,
        row.seq,
        Millis(row.at),
        Millis(row.received),
        row.operating_hours,
        row.idle_hours,
        row.fuel_used_l,
        row.fuel_remaining_percent,
        row.latitude,
        row.longitude,
        row.accuracy_m,
        None if row.engine_on is None else bool(row.engine_on),
        row.distance_km,
        tuple(row.faults.split(",")) if row.faults else (),
        bool(row.tampered),
    )


def _said(sample: Sample) -> tuple[Any, ...]:
    """All that a device said, without when it arrived."""
    return (
        sample.at,
        sample.operating_hours,
        sample.idle_hours,
        sample.fuel_used_l,
        sample.fuel_remaining_percent,
        sample.latitude,
        sample.longitude,
        sample.accuracy_m,
        sample.engine_on,
        sample.distance_km,
        sample.faults,
        sample.tampered,
    )

"""Reads of the samples what rent follows from: the counters, without positions or faults."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease
from iot.store.tables import devices, samples
from iot.units import DAY, Millis

BEFORE_LEASE: Final = 7 * DAY
"""How far before a lease its machine's samples are read, for one that spans the lease's begin.

It is part of the price: another value may bill a first day otherwise, and a replay would say so.
"""

_ROWS_AT_ONCE: Final = 10_000


def counter_samples(connection: Connection, lease: Lease, known_at: Millis) -> list[Sample]:
    """The samples to rate a lease with, in the device's order; only counters are filled in.

    Args:
        known_at: those received later are left out.
    """
    query = (
        sa.select(
            samples.c.boot,
            samples.c.seq,
            samples.c.at,
            samples.c.received,
            samples.c.operating_hours,
            samples.c.idle_hours,
            samples.c.fuel_used_l,
            samples.c.distance_km,
        )
        .join(devices, devices.c.number == samples.c.device)
        .where(
            devices.c.device == lease.device,
            samples.c.operating_hours.is_not(None),
            samples.c.at >= lease.start - BEFORE_LEASE,
            samples.c.received <= known_at,
        )
        .order_by(samples.c.boot, samples.c.seq)
    )
    rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
    return [
        Sample(
            lease.device,
            row.boot,
            row.seq,
            Millis(row.at),
            Millis(row.received),
            operating_hours=row.operating_hours,
            idle_hours=row.idle_hours,
            fuel_used_l=row.fuel_used_l,
            distance_km=row.distance_km,
        )
        for row in rows
    ]

"""What the telemetry holds, in figures: for a person, a monitor, and a dashboard later."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.fleet.fleet import Fleet
from iot.store.tables import devices, quarantine, samples
from iot.units import MINUTE, Millis

SILENT: int = 60 * MINUTE
"""Quiet is who said nothing for an hour; whether that is an alert, the rules say."""


def status(connection: Connection, fleet: Fleet, now: Millis) -> dict[str, Any]:
    """Counts of what came, by device and by reason of refusal.

    Returns:
        devices (in the fleet), heard (ever), quiet (heard, but not in the last hour), samples,
        first and last event time, refused by reason.
    """
    last_heard = (
        sa.select(samples.c.device, sa.func.max(samples.c.received).label("last"))
        .group_by(samples.c.device)
        .subquery()
    )
    heard, quiet = connection.execute(
        sa.select(
            sa.func.count(), sa.func.count(sa.case((last_heard.c.last < now - SILENT, 1)))
        ).select_from(last_heard)
    ).one()
    count, first, last = connection.execute(
        sa.select(sa.func.count(), sa.func.min(samples.c.at), sa.func.max(samples.c.at))
    ).one()
    reasons = connection.execute(
        sa.select(quarantine.c.reason, sa.func.count().label("number"))
        .group_by(quarantine.c.reason)
        .order_by(quarantine.c.reason)
    )
    return {
        "devices": len(fleet.devices),
        "heard": heard,
        "quiet": quiet,
        "samples": count,
        "first_ms": first,
        "last_ms": last,
        "refused": {row.reason: row.number for row in reasons},
    }


def latest(connection: Connection) -> list[dict[str, Any]]:
    """The last sample of each device, for a map and a device page within the lessor's house."""
    newest = (
        sa.select(samples.c.device, sa.func.max(samples.c.position).label("position"))
        .group_by(samples.c.device)
        .subquery()
    )
    rows = connection.execute(
        sa.select(devices.c.device.label("name"), samples)
        .join(newest, newest.c.position == samples.c.position)
        .join(devices, devices.c.number == samples.c.device)
        .order_by(devices.c.device)
    )
    return [
        {
            "device": row.name,
            "at_ms": row.at,
            "operating_hours": row.operating_hours,
            "fuel_remaining_percent": row.fuel_remaining_percent,
            "engine_on": row.engine_on,
            "latitude": row.latitude,
            "longitude": row.longitude,
        }
        for row in rows
    ]

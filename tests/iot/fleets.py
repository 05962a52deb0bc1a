"""Small fleets and samples for the tests."""

from __future__ import annotations

import math

from iot.codec.sample import Sample
from iot.codec.wire import encode_json
from iot.fleet.fleet import Fleet, Lease, Model, Zone
from iot.ingest.intake import Message
from iot.units import HOUR, MINUTE, DeviceId, LeaseId, LesseeId, Millis, ModelId, ZoneId

NOON = Millis(1_760_011_200_000)
MODEL = Model(ModelId("EX-20"), tank_l=400.0, litres_per_hour=12.0, top_speed_kmh=40.0)
CENTRE = (121.2, 31.1)


def ring(radius: float = 0.1, corners: int = 40) -> tuple[tuple[float, float], ...]:
    """A closed ring around the centre, degrees."""
    turns = [2 * math.pi * (corner % corners) / corners for corner in range(corners + 1)]
    longitude, latitude = CENTRE
    return tuple(
        (longitude + radius * math.cos(turn), latitude + radius * math.sin(turn)) for turn in turns
    )


def fleet_of(count: int, *, lessee: str = "acme") -> Fleet:
    """Machines d1, d2, … let to one lessee for good, in one zone."""
    devices = [DeviceId(f"d{number}") for number in range(1, count + 1)]
    zone = Zone(ZoneId("Z"), 1, Millis(0), (ring(),))
    leases = {
        device: (
            Lease(LeaseId(f"L-{device}"), device, LesseeId(lessee), Millis(0), None, zone.id, None),
        )
        for device in devices
    }
    return Fleet({MODEL.id: MODEL}, dict.fromkeys(devices, MODEL.id), leases, {zone.id: (zone,)})


def reading(device: str, seq: int, *, boot: int = 1, **fields: object) -> Sample:
    """A machine at work in its zone, a minute a message."""
    at = NOON + seq * MINUTE
    values: dict[str, object] = {
        "operating_hours": 1_000 + seq * MINUTE / HOUR,
        "idle_hours": 100.0,
        "fuel_used_l": 5_000 + seq * 0.2,
        "fuel_remaining_percent": 80.0,
        "latitude": CENTRE[1],
        "longitude": CENTRE[0],
        "accuracy_m": 8.0,
        "engine_on": True,
    } | fields
    at = values.pop("at", at)  # type: ignore[assignment]
    return Sample(DeviceId(device), boot, seq, Millis(at), Millis(at), **values)  # type: ignore[arg-type]


def message(sample: Sample, *, lessee: str = "acme", received: int | None = None) -> Message:
    """What the broker would hand over."""
    topic = f"tel/v1/{lessee}/{sample.device}/reading"
    return Message(
        topic, encode_json(sample), Millis(sample.received if received is None else received)
    )

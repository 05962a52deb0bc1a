"""One reading of one machine, however it came: what every later stage works on."""

from __future__ import annotations

import msgspec

from iot.units import DeviceId, Millis


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What a machine said of itself at one moment. None is 'not sent', never 0.

    Names are those of ISO/TS 15143-3 (AEMP 2.0) in small letters with their units.

    Attributes:
        device: who said it.
        boot: how often the device has started; with `seq` the key of a message.
        seq: counts a boot's messages, from 1 on.
        at: the event's time, by the device's clock.
        received: when it arrived here.
        operating_hours: CumulativeOperatingHours, h; falls only where the device was replaced.
        idle_hours: CumulativeIdleHours (engine on, no work), h; part of the operating hours.
        fuel_used_l: FuelUsed since the machine was made, litres.
        fuel_remaining_percent: FuelRemaining, percent of the tank.
        latitude, longitude: degrees, WGS 84; both or neither.
        accuracy_m: radius of the fix, metres.
        engine_on: EngineStatus.
        distance_km: Distance since the machine was made, km.
        faults: codes that are active.
        tampered: the device's case or cable was opened.
    """

    device: DeviceId
    boot: int
    seq: int
    at: Millis
    received: Millis
    operating_hours: float | None = None
    idle_hours: float | None = None
    fuel_used_l: float | None = None
    fuel_remaining_percent: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    accuracy_m: float | None = None
    engine_on: bool | None = None
    distance_km: float | None = None
    faults: tuple[str, ...] = ()
    tampered: bool = False

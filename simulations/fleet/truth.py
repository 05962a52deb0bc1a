"""What really happened to a machine: the ground truth that alerts are held against."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from iot.units import DeviceId, Millis


class Happening(StrEnum):
    """Kinds of truth. The size and its unit stand behind each."""

    THEFT_TOWED = "theft_towed"  # metres outside the zone
    THEFT_DRIVEN = "theft_driven"  # metres outside the zone
    EXCURSION = "excursion"  # metres outside the zone
    TRANSPORT = "transport"  # metres, declared, on a lorry within the zone
    SIPHONING = "siphoning"  # litres
    FUEL_LEAK = "fuel_leak"  # percent of what the engine burns, lost from the tank
    FUEL_DRIFT = "fuel_drift"  # percent that the engine burns too much
    OFF_HOURS_USE = "off_hours_use"  # hours of running
    ENGINE_IDLING = "engine_idling"  # hours of idling
    IDLE = "idle"  # hours without work on the meter
    IDLE_UNMETERED = "idle_unmetered"  # the same, but it worked with a frozen meter
    SILENT = "silent"  # hours in which nothing arrived
    TAMPER = "tamper"  # hours
    FROZEN_HOURS = "frozen_hours"  # hours of running that the meter did not count
    METER_JUMP = "meter_jump"  # hours that the meter gained at once
    DEVICE_REPLACED = "device_replaced"  # hours by which the meter fell
    GPS_SPOOF = "gps_spoof"  # kilometres off
    FAULT = "fault"  # codes


UNITS = {
    Happening.THEFT_TOWED: "m",
    Happening.THEFT_DRIVEN: "m",
    Happening.EXCURSION: "m",
    Happening.TRANSPORT: "m",
    Happening.SIPHONING: "L",
    Happening.FUEL_LEAK: "percent",
    Happening.FUEL_DRIFT: "percent",
    Happening.GPS_SPOOF: "km",
    Happening.FAULT: "codes",
}


@dataclass(frozen=True)
class Truth:
    """One thing that happened.

    Attributes:
        start, end: true time, from first to last sign of it.
        size: how big it was, in `unit`.
    """

    device: DeviceId
    kind: Happening
    start: Millis
    end: Millis
    size: float

    @property
    def unit(self) -> str:
        return UNITS.get(self.kind, "h")


def write_truths(path: Path, truths: Iterable[Truth]) -> None:
    """As CSV: device, kind, start_ms, end_ms, size, unit."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("device", "kind", "start_ms", "end_ms", "size", "unit"))
        for truth in truths:
            writer.writerow(
                (truth.device, truth.kind, truth.start, truth.end, repr(truth.size), truth.unit)
            )

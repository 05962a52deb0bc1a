"""The register of devices, leases, zones and models: frozen, and looked up by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from iot.errors import FleetInvalid
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ModelId, RateCardId, ZoneId


@dataclass(frozen=True)
class Model:
    """One equipment model.

    Attributes:
        tank_l: litres that the tank holds; None where it has none (electric).
        litres_per_hour: what the maker says it burns at work; None: learnt from the fleet only.
        top_speed_kmh: faster than this it did not drive.
    """

    id: ModelId
    tank_l: float | None
    litres_per_hour: float | None
    top_speed_kmh: float


@dataclass(frozen=True)
class Zone:
    """One version of a region in which a machine may work.

    Attributes:
        version: counts from 1; which one holds is a matter of the date.
        since: from when on this version holds.
        rings: of (longitude, latitude), closed, each a simple polygon; the zone is their union.
    """

    id: ZoneId
    version: int
    since: Millis
    rings: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class Lease:
    """One machine let to one lessee.

    Attributes:
        start, end: the lease holds from start to before end; None: open.
        zone: where the machine may work; None: anywhere.
        rate_card: what its hours cost.
        work_from, work_to: hours of the local day in which work is expected, 0 to 24.
        utc_offset_minutes: of the local day.
    """

    id: LeaseId
    device: DeviceId
    lessee: LesseeId
    start: Millis
    end: Millis | None
    zone: ZoneId | None
    rate_card: RateCardId | None
    work_from: int = 0
    work_to: int = 24
    utc_offset_minutes: int = 0

    def holds_at(self, at: Millis) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(frozen=True)
class Fleet:
    """Every device that may speak, and the terms it works under.

    Attributes:
        devices: the model of each device.
        leases: by device, in order of their start; they don't overlap.
        zones: by name, in order of their versions.
    """

    models: Mapping[ModelId, Model]
    devices: Mapping[DeviceId, ModelId]
    leases: Mapping[DeviceId, tuple[Lease, ...]]
    zones: Mapping[ZoneId, tuple[Zone, ...]]

    def __post_init__(self) -> None:
        for device, model in self.devices.items():
            if model not in self.models:
                raise FleetInvalid(f"Device '{device}' is of model '{model}', which is not listed.")
        for device, leases in self.leases.items():
            if device not in self.devices:
                raise FleetInvalid(
                    f"Lease '{leases[0].id}' is of device '{device}', which is not listed."
                )
            for earlier, later in pairwise(leases):
                if earlier.end is None or earlier.end > later.start:
                    raise FleetInvalid(
                        f"Leases '{earlier.id}' and '{later.id}' of device '{device}' overlap."
                    )
            for lease in leases:
                if lease.zone is not None and lease.zone not in self.zones:
                    raise FleetInvalid(
                        f"Lease '{lease.id}' names zone '{lease.zone}', which is not listed."
                    )

    def model_of(self, device: DeviceId) -> Model:
        return self.models[self.devices[device]]

    def lease_at(self, device: DeviceId, at: Millis) -> Lease | None:
        """The lease that a device works under at a moment; None between leases."""
        for lease in reversed(self.leases.get(device, ())):
            if lease.holds_at(at):
                return lease
        return None

    def zone_at(self, zone: ZoneId, at: Millis) -> Zone | None:
        """The version of a zone that holds at a moment; None before the first."""
        for version in reversed(self.zones[zone]):
            if version.since <= at:
                return version
        return None

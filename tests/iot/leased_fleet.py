"""A fleet of leases, and features of it as of a date."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from iot.archive import Archive
from iot.codec.sample import Sample
from iot.features.computing import LesseeFeatures, Records, features_of
from iot.features.reading import read_facts
from iot.fleet.fleet import Fleet, Lease, Model
from iot.units import DAY, DeviceId, LeaseId, LesseeId, Millis, ModelId, RateCardId
from tests.iot.archived_fleet import FIRST_DAY, START

CUT_DAY = FIRST_DAY + 100
CUT = Millis(CUT_DAY * DAY)
NOW = CUT + 50 * DAY
DIGGER = ModelId("digger")
CARD = RateCardId("card")
BASE = {CARD: Decimal(5_000)}


def lease(
    device: str,
    lessee: str,
    first_day: int = 0,
    end_day: int | None = None,
    hours: tuple[int, int] = (0, 24),
    offset: int = 0,
) -> Lease:
    """Days are counted from the first."""
    return Lease(
        id=LeaseId(f"{device}-{lessee}"),
        device=DeviceId(device),
        lessee=LesseeId(lessee),
        start=Millis(START + first_day * DAY),
        end=None if end_day is None else Millis(START + end_day * DAY),
        zone=None,
        rate_card=CARD,
        work_from=hours[0],
        work_to=hours[1],
        utc_offset_minutes=offset,
    )


def fleet_of(*leases: Lease) -> Fleet:
    by_device: dict[DeviceId, tuple[Lease, ...]] = {}
    for one in leases:
        by_device[one.device] = (*by_device.get(one.device, ()), one)
    model = Model(DIGGER, 400.0, None, 40.0)
    return Fleet({DIGGER: model}, dict.fromkeys(by_device, DIGGER), by_device, {})


def said(device: str, seq: int, days_before: float, **readings: object) -> Sample:
    """A sample so many days before the cut, arrived at once."""
    at = Millis(CUT - round(days_before * DAY))
    return Sample(DeviceId(device), 1, seq, at, at, **readings)  # type: ignore[arg-type]


def features(
    archive: Archive, fleet: Fleet, cut: int = CUT, records: Records | None = None
) -> LesseeFeatures:
    return features_of(
        read_facts(archive, fleet, Millis(cut), memory_limit="500MB"), fleet, records
    )


def work_days(
    device: str, hours_a_day: dict[int, float], idle: float = 0.0, litres: float = 10.0
) -> list[Sample]:
    """A machine that tells its counters at 06:00 and 18:00 of some days before the cut."""
    found, hours, idled = [], 100.0, 10.0
    for seq, (days_before, worked) in enumerate(sorted(hours_a_day.items(), reverse=True)):
        for part, gained in ((0.75, 0.0), (0.25, worked)):
            hours += gained
            idled += idle * gained
            found.append(
                said(
                    device,
                    2 * seq + (part == 0.25) + 1,
                    days_before - 1 + part,
                    operating_hours=hours,
                    idle_hours=idled,
                    fuel_used_l=litres * hours,
                )
            )
    return found


def archive_in(folder: Path, samples: list[Sample], now: int = NOW) -> Archive:
    from tests.iot.archived_fleet import archived

    return archived(folder, samples, now)

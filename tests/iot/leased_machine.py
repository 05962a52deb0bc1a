"""A leased machine that works on weekdays: its samples, its lease and its rate card."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease
from iot.rent.cards import ProvisionalRule, RateCard, RateCards, Tier
from iot.units import DAY, HOUR, DeviceId, LeaseId, LesseeId, Millis, RateCardId

DEVICE = DeviceId("digger-1")
BANDS = ((0, 80, "1.0"), (80, 160, "0.9"), (160, 240, "0.8"), (240, None, "0.7"))


def moment(year: int, month: int, day: int, hour: int = 0) -> Millis:
    return Millis(int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1_000)


START = moment(2026, 1, 1)


def lease(start: Millis = START, end: Millis | None = None, utc_offset_minutes: int = 0) -> Lease:
    return Lease(
        LeaseId("lease-1"),
        DEVICE,
        LesseeId("Baker & Sons"),
        start,
        end,
        None,
        RateCardId("digger"),
        utc_offset_minutes=utc_offset_minutes,
    )


def card(
    *,
    version: int = 1,
    since: Millis = START,
    fixed: str = "250",
    hourly: str = "38.50",
    floor: str = "400",
    cap: str | None = "7500",
    bands: Sequence[tuple[int, int | None, str]] = BANDS,
    currency: str = "EUR",
    free_days: int = 0,
    subtract_idle: bool = True,
) -> RateCard:
    return RateCard(
        RateCardId("digger"),
        version,
        since,
        currency,
        Decimal(fixed),
        Decimal(hourly),
        Decimal(floor),
        None if cap is None else Decimal(cap),
        tuple(
            Tier(Decimal(low), None if high is None else Decimal(high), Decimal(multiplier))
            for low, high, multiplier in bands
        ),
        ProvisionalRule(Decimal(8), Decimal(4)),
        free_days,
        subtract_idle,
    )


def cards(*versions: RateCard) -> RateCards:
    return RateCards({RateCardId("digger"): versions or (card(),)})


def reading(
    seq: int,
    at: int,
    operating: float | None,
    idle: float | None = 0.0,
    *,
    boot: int = 1,
    received: int | None = None,
) -> Sample:
    """One sample, received at once where nothing else is said."""
    return Sample(
        DEVICE,
        boot,
        seq,
        Millis(at),
        Millis(at if received is None else received),
        operating_hours=operating,
        idle_hours=idle,
    )


def worked(
    seed: int, days: int, start: int = START, every: int = 4 * HOUR, late_share: float = 0.0
) -> list[Sample]:
    """Samples of a machine that works up to ten hours on weekdays, from 6 to 18 h, and idles some.

    Args:
        late_share: of the days, whose samples all arrive 40 days later.
    """
    draw = random.Random(seed)
    operating, idle = 1_000.0, 200.0
    taken = []
    seq = 0
    for number in range(days):
        day = start + number * DAY
        weekday = date.fromordinal(date(1970, 1, 1).toordinal() + day // DAY).weekday()
        hours = draw.uniform(2, 10) if weekday < 5 else 0.0
        late = 40 * DAY if draw.random() < late_share else 0
        for at in range(day, day + DAY, every):
            if 6 * HOUR <= at - day < 18 * HOUR:
                share = every / (12 * HOUR)
                operating += hours * share
                idle += hours * share * 0.2
            seq += 1
            taken.append(reading(seq, at, round(operating, 1), round(idle, 1), received=at + late))
    return taken

"""The ordinary life of a machine: shifts, weekdays, bursts of work with idling and breaks between.

A worked day is a row of cycles of work, idling and a break, cut at the shift's end. All days of a
machine are drawn at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from iot.units import DAY, HOUR, MINUTE
from simulations.fleet.plan import Plan
from simulations.fleet.population import Machine
from simulations.fleet.segments import SAME_PLACE, Doing, Flags, Floats, Segments

_CYCLES: Final = 18
_SHORTEST: Final = 2.0 * MINUTE
"""In less, no machine gets from one end of a site to the other."""
_WEEKEND: Final = 5
_DRIVES_AT: Final = 0.7  # of its top speed


class Calendar:
    """Which days a machine works, where, and which of them it spends idling.

    Events change these arrays, all of shape (days,), before the days are lived.

    Attributes:
        worked, idling, full: whether it works, mostly idles, works a long shift.
        x, y: the site of each day, metres from the zone's centre.
        midnight: of each local day, milliseconds.
    """

    def __init__(self, rng: np.random.Generator, machine: Machine, plan: Plan) -> None:
        days = np.arange(plan.days)
        local = plan.start - machine.utc_offset_minutes * MINUTE
        self.midnight: Floats = (local + days * DAY).astype(np.float64)
        weekday = (plan.start // DAY + 3 + days) % 7
        use = machine.lessee.use_on(days.astype(np.float64), plan.days)
        chance = np.where(weekday >= _WEEKEND, 0.15 * use, use)
        self.worked: Flags = rng.random(plan.days) < chance
        self.idling: Flags = np.zeros(plan.days, dtype=np.bool_)
        self.full: Flags = np.zeros(plan.days, dtype=np.bool_)
        moves = np.cumsum(rng.random(plan.days) < 1 / 12)
        sites = int(moves[-1]) + 1
        bearing, way = rng.uniform(0, 2 * np.pi, sites), np.sqrt(rng.random(sites))
        radius = way * 0.5 * machine.district.inner_m
        self.x: Floats = (radius * np.sin(bearing))[moves]
        self.y: Floats = (radius * np.cos(bearing))[moves]
        self.use: Floats = use


def live(rng: np.random.Generator, machine: Machine, calendar: Calendar) -> Segments:
    """Draw the segments of all worked days."""
    days = np.flatnonzero(calendar.worked)
    count = days.size
    hours = machine.shift_hours * float(HOUR)
    begin = calendar.midnight[days] + machine.work_from * float(HOUR)
    begin += rng.uniform(0.0, 0.04, count) * hours
    # A firm that slides does not only stay at home more often, its days get shorter too.
    length = rng.uniform(0.55, 0.93, count) * (0.6 + 0.4 * calendar.use[days])
    length = np.where(calendar.full[days] | calendar.idling[days], 0.93, length)
    finish = begin + length * hours
    x, y = calendar.x[days], calendar.y[days]
    spans = np.zeros((count, 1 + 3 * _CYCLES))
    moved = np.hypot(np.diff(x, prepend=x[:1]), np.diff(y, prepend=y[:1]))
    spans[:, 0] = drive_time(machine, moved)
    shape = (count, _CYCLES)
    spans[:, 1::3] = _span(rng, shape, 40.0, 0.7, 4.0, 180.0)
    spans[:, 2::3] = _span(rng, shape, 4.0, 0.6, 1.0, 14.0)
    breaks = rng.random(shape) < 0.25
    spans[:, 3::3] = np.where(breaks, _span(rng, shape, 25.0, 0.6, 6.0, 90.0), 0.0)
    lazy = calendar.idling[days]
    still = (int(lazy.sum()), _CYCLES)
    spans[lazy, 1::3] = rng.uniform(2.0, 3.0, still) * MINUTE
    spans[lazy, 2::3] = rng.uniform(30.0, 70.0, still) * MINUTE
    spans[lazy, 3::3] = 0.0
    ends = np.cumsum(spans, axis=1) + begin[:, None]
    starts = np.minimum(ends - spans, finish[:, None])
    ends = np.minimum(ends, finish[:, None])
    doing = np.zeros(spans.shape[1], dtype=np.int64)
    doing[0], doing[1::3], doing[2::3] = Doing.DRIVING, Doing.WORKING, Doing.IDLING
    keep = (ends - starts >= _SHORTEST) & (doing != Doing.PARKED)
    # A site shift is a drive, however short.
    keep[:, 0] = spans[:, 0] > 0
    wander = np.clip(rng.normal(0.0, 20.0, (2, *spans.shape)), -45.0, 45.0)
    stays = doing == Doing.IDLING
    segments = Segments(
        starts[keep],
        ends[keep],
        np.broadcast_to(doing, spans.shape)[keep],
        np.where(stays, SAME_PLACE, x[:, None] + wander[0])[keep],
        np.where(stays, SAME_PLACE, y[:, None] + wander[1])[keep],
        np.exp(rng.normal(0.0, 0.12, int(keep.sum()))),
    )
    return segments.settled()


def drive_time(machine: Machine, metres: Floats) -> Floats:
    """Milliseconds that a machine takes from one place to another; 0 within a few metres."""
    # The wandering about a site adds to the way.
    way = np.where(metres > 1.0, metres + 130.0, 0.0)
    return way / (_DRIVES_AT * machine.kind.model.top_speed_kmh) * (HOUR / 1_000)


def _span(
    rng: np.random.Generator,
    shape: tuple[int, int],
    median_minutes: float,
    spread: float,
    least: float,
    most: float,
) -> Floats:
    minutes = np.clip(median_minutes * np.exp(rng.normal(0.0, spread, shape)), least, most)
    return minutes * float(MINUTE)

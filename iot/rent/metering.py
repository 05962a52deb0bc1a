"""Billable hours of a lease by local day, from its machine's samples.

The working counter is operating less idle hours. What it gains between two samples is spread over
the days between them by time, so a silence that ends loses no hours: only their days are a guess.
Both counters tick in tenths, not together, so their difference wavers by a tick; hours are the rise
of its highest reading within an epoch, which no wavering inflates by more than one tick. A counter
that fell, or rose by more than can be, opens a new epoch: that step counts no hours, and its time
counts as missing. So does the time before the first and after the last sample.

Missing time is billed provisionally, at the median of the lease's known days, in proportion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median_low
from typing import Final

from iot.codec.sample import Sample
from iot.fleet.fleet import Lease
from iot.rent.cards import RateCard
from iot.rent.errors import RentRefused
from iot.rent.month import Month, day_start, local_day
from iot.rent.pricing import Millihours
from iot.state.step import ROUNDING_HOURS, step_between
from iot.units import DAY, HOUR, Millis

TOLERATED_MISSING: Final = HOUR
"""A day that misses no more time than this is known: it was measured, or nearly."""


@dataclass(frozen=True)
class DayUse:
    """One local day of a lease.

    Attributes:
        measured: hours by the counters, thousandths.
        provisional: estimated for missing time, thousandths.
        missing_ms: time of the day, within the lease, that no two samples span.
        free: its hours are not charged.
    """

    day: date
    measured: Millihours
    provisional: Millihours
    missing_ms: int
    free: bool

    @property
    def billable(self) -> Millihours:
        """What of the day is charged, thousandths."""
        return Millihours(0 if self.free else self.measured + self.provisional)


@dataclass(frozen=True)
class MonthUse:
    """A lease's use of its machine in one month: its days in order, as far as the lease covers."""

    month: Month
    days: tuple[DayUse, ...]

    @property
    def billable(self) -> Millihours:
        """Hours that are charged, thousandths."""
        return Millihours(sum(day.billable for day in self.days))

    @property
    def provisional(self) -> Millihours:
        """Charged hours that are estimates, thousandths."""
        return Millihours(sum(day.provisional for day in self.days if not day.free))


def month_use(
    lease: Lease, card: RateCard, samples: Iterable[Sample], month: Month, known_at: Millis
) -> MonthUse:
    """Meter one month of a lease.

    Args:
        samples: of the lease's device, in any order, also from before and after the lease; those
            received after `known_at` are left out.
        known_at: no time after this is billed, so a month that is not over is billed so far.

    Raises:
        RentRefused: a sample is of another device, or no time of the month is within the lease.
    """
    offset = lease.utc_offset_minutes
    end = (
        min(month.end(offset), known_at)
        if lease.end is None
        else min(month.end(offset), known_at, lease.end)
    )
    if max(month.start(offset), lease.start) >= end:
        raise RentRefused(
            f"Lease '{lease.id}' has no time in {month} up to now: choose a month within it."
        )
    gains: dict[date, int] = {}
    spans: list[tuple[int, int]] = []
    for gain in _gains(_ordered(lease, samples, known_at), card.subtract_idle):
        spans.append((gain.start, gain.end))
        for day, millihours in _by_day(gain, lease.start, end, offset):
            gains[day] = gains.get(day, 0) + millihours
    lengths, missing = _coverage(lease, spans, Millis(end))
    estimate = _estimate(card, gains, lengths, missing)
    first_day = local_day(lease.start, offset)
    most = _thousandths(card.provisional.most_hours_a_day)
    days = []
    for day in month.days():
        if day not in lengths:
            continue
        measured = gains.get(day, 0)
        absent = missing[day] if missing[day] > TOLERATED_MISSING else 0
        provisional = min(estimate * absent // DAY, max(0, most - measured))
        free = (day - first_day).days < card.free_days
        days.append(DayUse(day, Millihours(measured), Millihours(provisional), missing[day], free))
    return MonthUse(month, tuple(days))


@dataclass(frozen=True)
class _Gain:
    """Hours that were worked somewhere between two moments; `end` may equal `start`."""

    start: int
    end: int
    millihours: int


def _ordered(lease: Lease, samples: Iterable[Sample], known_at: Millis) -> Sequence[Sample]:
    """In the device's own order, each key once."""
    by_key: dict[tuple[int, int], Sample] = {}
    for sample in samples:
        if sample.device != lease.device:
            raise RentRefused(
                f"Lease '{lease.id}' is of device '{lease.device}', but a sample is of device "
                f"'{sample.device}'."
            )
        if sample.received <= known_at:
            by_key[sample.boot, sample.seq] = sample
    return [by_key[key] for key in sorted(by_key)]


def _gains(ordered: Iterable[Sample], subtract_idle: bool) -> Iterator[_Gain]:
    """The rise of the working counter from sample to sample, where it is known."""
    before: Sample | None = None
    highest = 0
    for now in ordered:
        if now.operating_hours is None or (subtract_idle and now.idle_hours is None):
            # A message without counters, such as a position, says nothing about hours.
            continue
        working = _working(now, subtract_idle)
        step = step_between(before, now)
        before, last = now, before
        idle_impossible = (
            subtract_idle
            and step.hours is not None
            and step.idle is not None
            and step.idle > step.hours + ROUNDING_HOURS
        )
        if last is None or step.hours is None or idle_impossible:
            highest = working
            continue
        gained = max(0, working - highest)
        highest = max(highest, working)
        # Where the clock was set back, the hours belong to the moment that it shows now.
        yield _Gain(now.at - step.elapsed, now.at, gained)


def _working(sample: Sample, subtract_idle: bool) -> int:
    # Readings are rounded, not gains: gains of rounded readings add up without any error.
    operating = round((sample.operating_hours or 0.0) * 1_000)
    return operating - round((sample.idle_hours or 0.0) * 1_000) if subtract_idle else operating


def _by_day(gain: _Gain, since: int, until: int, offset: int) -> Iterator[tuple[date, int]]:
    """A gain's parts by local day, within [since, until); all parts add up to the gain."""
    if gain.millihours == 0:
        return
    if gain.start == gain.end:
        if since <= gain.end < until:
            yield local_day(Millis(gain.end), offset), gain.millihours
        return
    at = max(gain.start, since)
    last = min(gain.end, until)
    while at < last:
        day = local_day(Millis(at), offset)
        end = min(last, day_start(day + timedelta(days=1), offset))
        yield day, _up_to(gain, end) - _up_to(gain, at)
        at = end


def _up_to(gain: _Gain, moment: int) -> int:
    return gain.millihours * (moment - gain.start) // (gain.end - gain.start)


def _coverage(
    lease: Lease, spans: list[tuple[int, int]], end: Millis
) -> tuple[dict[date, int], dict[date, int]]:
    """Of each local day of the lease up to `end`: its time within the lease, and what of that no
    span covers, both in milliseconds."""
    offset = lease.utc_offset_minutes
    lengths: dict[date, int] = {}
    day = local_day(lease.start, offset)
    while (start := day_start(day, offset)) < end:
        lengths[day] = min(start + DAY, end) - max(start, lease.start)
        day += timedelta(days=1)
    missing = dict(lengths)
    reached: int = lease.start
    for span_start, span_end in sorted(spans):
        at = max(span_start, reached)
        last = min(span_end, end)
        while at < last:
            day = local_day(Millis(at), offset)
            until = min(last, day_start(day + timedelta(days=1), offset))
            missing[day] -= until - at
            at = until
        reached = max(reached, last)
    return lengths, missing


def _estimate(
    card: RateCard, gains: dict[date, int], lengths: dict[date, int], missing: dict[date, int]
) -> int:
    """Thousandths of an hour of one whole missing day."""
    known = [
        gains.get(day, 0)
        for day, length in lengths.items()
        if length == DAY and missing[day] <= TOLERATED_MISSING
    ]
    rule = card.provisional
    if not known:
        return _thousandths(rule.hours_without_history)
    # The lower of two middle days: of two estimates the lessee gets the smaller.
    return min(median_low(known), _thousandths(rule.most_hours_a_day))


def _thousandths(hours: Decimal) -> int:
    return int(hours * 1_000)

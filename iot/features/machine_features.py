"""Features from machine-days: work, idleness, silence, fuel, faults and sites."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from iot.archive.machine_day import READINGS
from iot.features.facts import Facts, Flags, Integers, Values
from iot.units import DAY

ACTIVE_HOURS: Final = 0.5
"""A machine-day with at least so much work is active."""

WEEK: Final = 7


def ratio(part: Values, whole: Values) -> Values:
    """Divide; NaN where the whole is 0."""
    missing = np.full(len(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=missing, where=whole > 0), dtype=np.float64)


class Span:
    """Machine-days from one day to before another, and sums over them by lessee.

    Args:
        facts: before the cut.
        first, end: days since 1970.
    """

    def __init__(self, facts: Facts, first: int, end: int) -> None:
        self.facts = facts
        self.first, self.end = first, end
        leases, days = facts.leases, facts.days
        self.leased_from = np.maximum(leases.first_day, first)
        leased_to = np.minimum(leases.end_day, end)
        self.leased = np.maximum(leased_to - self.leased_from, 0)
        """Machine-days by lease."""
        self.rows: Integers = np.flatnonzero((days.day >= first) & (days.day < end))
        self.lease = days.lease[self.rows]
        self.lessee = leases.lessee[self.lease]
        self.work = days.work_hours[self.rows]
        self.is_known: Flags = ~np.isnan(self.work)
        self.known_lease = np.zeros(len(leases.lessee), np.bool_)
        self.known_lease[self.lease[self.is_known]] = True

    def of(self, column: Values) -> Values:
        """A column of the span's machine-days."""
        return column[self.rows]

    def total(self, lessee: Integers, weights: npt.NDArray[np.generic] | None = None) -> Values:
        """Sum weights, or count, by lessee."""
        return np.bincount(lessee, weights, minlength=len(self.facts.lessees)).astype(np.float64)

    def sum(self, column: Values) -> Values:
        """Sum a column of all machine-days by lessee, over what is known."""
        values = self.of(column)
        known = ~np.isnan(values)
        return self.total(self.lessee[known], values[known])

    def machine_days(self) -> Values:
        """By lessee."""
        return self.total(self.facts.leases.lessee, self.leased)

    def operating_hours(self) -> Values:
        """By lessee."""
        return self.sum(self.facts.days.operating_hours)

    def work_over(self, hours_a_day: Values) -> Values:
        """Work hours over machine-days, each weighted, of leases with a known day."""
        weights = np.where(self.known_lease, self.leased * hours_a_day, 0.0)
        base = self.total(self.facts.leases.lessee, weights)
        return ratio(self.sum(self.facts.days.work_hours), base)


def work_features(span: Span) -> dict[str, Values]:
    """How much the machines work, and how steadily."""
    facts, days, leases = span.facts, span.facts.days, span.facts.leases
    each = np.ones(len(leases.lessee))
    middle = span.first + (span.end - span.first) // 2
    halves = [Span(facts, *part) for part in ((span.first, middle), (middle, span.end))]
    earlier, later = (half.work_over(leases.shift_hours) for half in halves)
    idle, operating = span.of(days.idle_hours), span.of(days.operating_hours)
    both = ~np.isnan(idle) & ~np.isnan(operating)
    known = span.total(span.lessee[span.is_known])
    active = span.lessee[span.is_known & (span.work >= ACTIVE_HOURS)]
    return {
        "work_hours_per_machine_day": span.work_over(each),
        "utilisation": span.work_over(leases.shift_hours),
        "idle_ratio": ratio(
            span.total(span.lessee[both], idle[both]),
            span.total(span.lessee[both], operating[both]),
        ),
        "active_day_share": ratio(span.total(active), known),
        "longest_gap_days": _longest_gap(span),
        "utilisation_trend": later - earlier,
        "weekly_cv": _weekly_cv(span, each),
        "off_hours_share": ratio(span.sum(days.off_hours), span.sum(days.work_hours)),
    }


def _longest_gap(span: Span) -> Values:
    leases = span.facts.leases
    known = np.flatnonzero(span.known_lease)
    begin = span.leased_from[known]
    active = np.flatnonzero(span.is_known & (span.work >= ACTIVE_HOURS))
    # As if each lease had an active day right before and right after its machine-days.
    lease = np.concatenate((known, known, span.lease[active]))
    day = np.concatenate(
        (begin - 1, begin + span.leased[known], span.facts.days.day[span.rows[active]])
    )
    order = np.lexsort((day, lease))
    lease, day = lease[order], day[order]
    same = np.flatnonzero(lease[1:] == lease[:-1])
    longest = np.full(len(span.facts.lessees), -1.0)
    gaps = (day[same + 1] - day[same] - 1).astype(np.float64)
    np.maximum.at(longest, leases.lessee[lease[same]], gaps)
    longest[longest < 0] = np.nan
    return longest


def _weekly_cv(span: Span, each: Values) -> Values:
    weeks = (span.end - span.first) // WEEK
    work = np.array(
        [
            Span(span.facts, span.end - WEEK * (back + 1), span.end - WEEK * back).work_over(each)
            for back in range(weeks)
        ]
    )
    known = ~np.isnan(work)
    count: Values = known.sum(axis=0).astype(np.float64)
    total: Values = np.where(known, work, 0.0).sum(axis=0)
    mean = ratio(total, count)
    squares: Values = (np.where(known, work - mean, 0.0) ** 2).sum(axis=0)
    variance = ratio(squares, count)
    spread = ratio(np.sqrt(variance), np.where(np.isnan(mean), 0.0, mean))
    spread[count < 2] = np.nan
    return spread


def hearing_features(span: Span) -> dict[str, Values]:
    """How much of the machines is heard at all, and what they tell of themselves."""
    days, leased = span.facts.days, span.machine_days()
    heard = span.total(span.lessee)
    samples = span.sum(days.samples)
    return {
        "silent_share": ratio(leased - heard, leased),
        "coverage": ratio(span.sum(days.coverage_minutes), leased * (DAY / 60_000)),
        "tampers": np.where(heard > 0, span.sum(days.tampers), np.nan),
        "fault_codes_per_100h": ratio(100 * span.sum(days.fault_codes), span.operating_hours()),
        "missing_share": ratio(READINGS * samples - span.sum(days.readings), READINGS * samples),
    }


def fuel_features(span: Span) -> dict[str, Values]:
    """Litres against the median of the model, over all machines of the fleet."""
    leases, days = span.facts.leases, span.facts.days
    hours, litres = (span.of(column) for column in (days.fuelled_hours, days.fuelled_l))
    known = ~np.isnan(hours)
    leased = len(leases.lessee)
    by_lease = np.bincount(span.lease[known], hours[known], leased).astype(np.float64)
    burnt = np.bincount(span.lease[known], litres[known], leased).astype(np.float64)
    rate = ratio(burnt, by_lease)
    some = np.flatnonzero(~np.isnan(rate))
    median = np.full(leased, np.nan)
    for model in np.unique(leases.model[some]):
        of_model = some[leases.model[some] == model]
        median[of_model] = np.median(rate[of_model])
    lessee, usual = leases.lessee[some], median[some] * by_lease[some]
    beyond = np.maximum(burnt[some] - usual, 0.0)
    return {
        "fuel_ratio": ratio(span.total(lessee, burnt[some]), span.total(lessee, usual)),
        "unexplained_litres": np.where(span.total(lessee) > 0, span.total(lessee, beyond), np.nan),
    }


def site_features(span: Span) -> dict[str, Values]:
    """Of the whole window that the span is."""
    sites = span.facts.sites[span.end - span.first]
    total = span.total(sites.lessee, sites.hours)
    share = sites.hours / total[sites.lessee]
    entropy = span.total(sites.lessee, -share * np.log2(share))
    # Rounding makes one site -0.0.
    return {"site_entropy": np.where(total > 0, np.abs(entropy), np.nan)}

"""Far more claims or financings in a day than a firm has had."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import DAY, YEAR_DAYS, FraudSettings
from contracts.index.movements import MovementKind
from contracts.units import UnixSeconds

_NEW_DAYS = 30


@dataclass(slots=True)
class _Pace:
    """What a firm did, by day.

    Attributes:
        first: when it did it first, unix seconds.
        last_day: times within the last 24 hours.
        days: of a year, day (since 1970), how often, and the most within 24 hours ending on it.
        total: how often in all of `days`.
        told: when it was told last.
    """

    first: int
    last_day: deque[int] = field(default_factory=deque)
    days: deque[tuple[int, int, int]] = field(default_factory=deque)
    total: int = 0
    told: int | None = None
    _busiest: tuple[int, int] = (-1, 0)

    def add(self, at: int) -> None:
        """Count once more."""
        self.last_day.append(at)
        while self.last_day[0] <= at - DAY:
            self.last_day.popleft()
        day, count, peak = at // DAY, 0, 0
        if self.days and self.days[-1][0] == day:
            _, count, peak = self.days.pop()
        self.days.append((day, count + 1, max(peak, len(self.last_day))))
        self.total += 1
        while self.days[0][0] < day - YEAR_DAYS:
            self.total -= self.days.popleft()[1]

    def busiest(self, at: int) -> int:
        """The most within 24 hours that ended before yesterday, so that today has no part in it."""
        today = at // DAY
        if self._busiest[0] != today:  # once a day
            peaks = [peak for day, _, peak in self.days if day < today - 1]
            self._busiest = (today, max(peaks, default=0))
        return self._busiest[1]


class Velocity:
    """Claims and financings within 24 hours, against the firm's own last year.

    Not only against its mean day: who confirms all invoices of a month on its last day does so
    every month, so a day must also be busier than any before. Accounts of one group count as one
    firm, which is told once a day; one that is new here, once.
    """

    kinds = frozenset({MovementKind.CONFIRMED, MovementKind.FINANCED})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings
        self._paces: dict[tuple[str, MovementKind], _Pace] = {}

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        if fact.supplier is None:
            return
        settings = self._settings
        key = (settings.group(fact.supplier), fact.kind)
        pace = self._paces.get(key)
        if pace is None:
            pace = self._paces[key] = _Pace(fact.at)
        pace.add(fact.at)
        today = len(pace.last_day)
        if today < settings.velocity_claims:
            return
        past_days = min(YEAR_DAYS, (fact.at - pace.first) / DAY) - 1
        mean = (pace.total - today) / past_days if past_days >= 1 else 0.0
        is_new = past_days < _NEW_DAYS
        if (
            today < settings.velocity_times * mean
            or today < settings.velocity_record * pace.busiest(fact.at)
            or (pace.told is not None and (is_new or fact.at - pace.told < DAY))
        ):
            return
        pace.told = fact.at
        is_claim = fact.kind is MovementKind.CONFIRMED
        against = (
            "by a firm that is new here"
            if is_new
            else f"where the firm has {mean:.2f} on its mean day and had at most "
            f"{pace.busiest(fact.at)} in a day of the last year"
        )
        yield FraudAlert(
            FraudKind.VELOCITY,
            fact.kind.value,
            Severity.INFO if is_new else Severity.WARNING,
            UnixSeconds(fact.at),
            fact.supplier,
            fact.subject,
            f"{today} {'claims confirmed' if is_claim else 'financings'} within a day, {against}.",
        )

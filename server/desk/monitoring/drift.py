"""The drift alarm: raised once when scores have left the development sample, cleared once.

A pure state machine over checks. It is raised after several checks in a row whose index is both
large and significant, and cleared after several whose index is small again: between the two
thresholds it stays as it is, so an index that hovers at one of them rings once. A window with too
few scores is no evidence either way. Checks share most of their window, so the significance is that
of one check, not of all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from server.desk.monitoring.stability import SHIFTED_ABOVE, STABLE_BELOW


@dataclass(frozen=True)
class DriftSettings:
    """When drift is called drift.

    Attributes:
        raise_at, clear_at: of the index; the first is not below the second.
        significance: of one check; see `stability.critical_value`.
        least_scores: in the window, for a check to count.
        checks: in a row, to raise and to clear.
        check_seconds: from one check to the next.
        window: in scores, 1,000 or 10,000.
    """

    raise_at: float = SHIFTED_ABOVE
    clear_at: float = STABLE_BELOW
    significance: float = 0.01
    least_scores: int = 500
    checks: int = 3
    check_seconds: float = 60.0
    window: int = 10_000


@dataclass(frozen=True)
class Reading:
    """One check of one window: the index, what chance alone reaches, and of how many scores."""

    index: float
    critical: float
    scores: int


class DriftEvent(StrEnum):
    """What a check brought about."""

    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True)
class DriftAlarm:
    """The alarm's state: whether it is raised, and how many checks in a row speak for a change."""

    raised: bool = False
    streak: int = 0

    def after(
        self, reading: Reading, settings: DriftSettings
    ) -> tuple[DriftAlarm, DriftEvent | None]:
        """The state after one more check, and what it brought about."""
        if reading.scores < settings.least_scores:
            return replace(self, streak=0), None
        if self.raised:
            speaks = reading.index < settings.clear_at
        else:
            speaks = reading.index >= settings.raise_at and reading.index > reading.critical
        streak = self.streak + 1 if speaks else 0
        if streak < settings.checks:
            return replace(self, streak=streak), None
        event = DriftEvent.CLEARED if self.raised else DriftEvent.RAISED
        return DriftAlarm(raised=not self.raised), event

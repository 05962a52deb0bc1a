"""When to stop asking a partner that fails, and when to try it again. Pure: the clock is passed in.

A circuit breaker (Nygard, 'Release It!', 2nd edition, chapter 5): closed while the partner answers,
open after it has failed, half-open while one probe finds out whether it is back. Probes are made in
the background, so no borrower's score ever waits for one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether a partner is asked."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is not
    HALF_OPEN = "half-open"  # a single probe is on its way


@dataclass(frozen=True)
class BreakerSettings:
    """When a breaker opens, and for how long.

    Attributes:
        failures_in_a_row: that open it.
        window: how many of the latest answers count for the share of failures.
        failing_share: of a full window that opens it.
        failing_seconds: that the failures must span, or it stays closed: a moment's standstill of
            either side fails whatever is under way.
        first_pause_seconds: before the first probe; doubled whenever the partner fails again.
        longest_pause_seconds: the most between two probes.
        successes_to_forget: answers in a row after which the first pause holds again. A partner
            that passes every probe and fails right after is asked ever more seldom.
    """

    failures_in_a_row: int = 5
    window: int = 50
    failing_share: float = 0.5
    failing_seconds: float = 0.1
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 10.0
    successes_to_forget: int = 20


class Breaker:
    """One partner's breaker.

    Args:
        settings: its thresholds.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        """Closed."""
        self._settings = settings or BreakerSettings()
        self._state = BreakerState.CLOSED
        self._period = 0
        self._window: deque[tuple[bool, float]] = deque(maxlen=self._settings.window)
        self._failures_in_a_row = 0
        self._failing_since = 0.0
        self._successes_in_a_row = 0
        self._pause = self._settings.first_pause_seconds
        self._probe_at: float | None = None

    @property
    def state(self) -> BreakerState:
        """Whether the partner is asked."""
        return self._state

    @property
    def probe_at(self) -> float | None:
        """When the next probe is due, in the clock's seconds; None unless open."""
        return self._probe_at

    def permit(self) -> int | None:
        """Leave to ask, to be handed back with `record`; None while the breaker is not closed."""
        return self._period if self._state is BreakerState.CLOSED else None

    def record(self, permit: int, succeeded: bool, now: float) -> None:
        """How an asking ended.

        Answers to what was asked before the breaker last opened say nothing about the partner as it
        is now, and are passed over.
        """
        if permit != self._period or self._state is not BreakerState.CLOSED:
            return
        self._window.append((succeeded, now))
        if succeeded:
            self._failures_in_a_row = 0
            self._successes_in_a_row += 1
            if self._successes_in_a_row >= self._settings.successes_to_forget:
                self._pause = self._settings.first_pause_seconds
            return
        self._successes_in_a_row = 0
        if not self._failures_in_a_row:
            self._failing_since = now
        self._failures_in_a_row += 1
        if self._fails_always(now) or self._fails_often(now):
            self._open(now)

    def begin_probe(self, now: float) -> bool:
        """Whether the caller shall probe now; the breaker is half-open until `end_probe`."""
        if self._probe_at is None or now < self._probe_at:
            return False
        self._state = BreakerState.HALF_OPEN
        self._probe_at = None
        return True

    def end_probe(self, succeeded: bool, now: float) -> None:
        """How the probe ended: closed again, or open for a longer pause."""
        if self._state is not BreakerState.HALF_OPEN:
            return
        if not succeeded:
            self._open(now)
            return
        self._state = BreakerState.CLOSED
        self._period += 1
        self._window.clear()
        self._failures_in_a_row = self._successes_in_a_row = 0

    def _fails_always(self, now: float) -> bool:
        lasting = now - self._failing_since >= self._settings.failing_seconds
        return lasting and self._failures_in_a_row >= self._settings.failures_in_a_row

    def _fails_often(self, now: float) -> bool:
        most = self._settings.window
        failures = [time for succeeded, time in self._window if not succeeded]
        if len(self._window) < most or len(failures) < self._settings.failing_share * most:
            return False
        return now - failures[0] >= self._settings.failing_seconds

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        self._probe_at = now + self._pause
        self._pause = min(2 * self._pause, self._settings.longest_pause_seconds)

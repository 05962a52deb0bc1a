"""How often one caller may call: a token bucket a second, a quota a day."""

from __future__ import annotations

from dataclasses import dataclass

SECONDS_A_DAY = 86_400


@dataclass
class Limits:
    """One caller's use so far; kept in memory, so that a restart begins the day anew.

    Attributes:
        per_second: calls; as many may come at once after a quiet second. None: no limit.
        per_day: borrowers from midnight UTC. None: no limit.
    """

    per_second: float | None
    per_day: int | None
    _tokens: float = -1.0
    _at: float = 0.0
    _day: int = -1
    _used: int = 0

    def take_call(self, now: float) -> float:
        """Take one call; 0, or the seconds after which there is room for one.

        Args:
            now: monotonic seconds.
        """
        if self.per_second is None:
            return 0.0
        most = max(1.0, self.per_second)
        grown = most if self._tokens < 0 else self._tokens + (now - self._at) * self.per_second
        self._tokens, self._at = min(most, grown), now
        if self._tokens < 1:
            return (1 - self._tokens) / self.per_second
        self._tokens -= 1
        return 0.0

    def take_borrowers(self, count: int, clock: float) -> float:
        """Take borrowers; 0, or the seconds until midnight UTC where the day's are used up.

        Args:
            count: how many.
            clock: seconds since 1970.
        """
        if self.per_day is None:
            return 0.0
        day = int(clock // SECONDS_A_DAY)
        if day != self._day:
            self._day, self._used = day, 0
        if self._used + count > self.per_day:
            return (day + 1) * SECONDS_A_DAY - clock
        self._used += count
        return 0.0

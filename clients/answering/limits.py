"""How much a label party may ask: what keeps it from going through all ids that there could be."""

from __future__ import annotations

from federation.scoring.nonces import AnswerRefused, RefusalKind

_DAY_MS = 86_400_000


class AskingLimits:
    """Requests a second, and borrowers a day (UTC).

    A second's requests may come at once. Every request counts that is well-formed enough to say how
    many borrowers it asks about, repeated and refused ones too.

    Args:
        requests_per_second: more are refused.
        borrowers_per_day: more are refused; 0: no limit.
    """

    def __init__(self, requests_per_second: int, borrowers_per_day: int) -> None:
        """Nothing was asked yet."""
        self._rate = requests_per_second
        self._most_borrowers = borrowers_per_day
        self._room = float(requests_per_second)
        self._at_ms = 0
        self._day = 0
        self._asked = 0

    def already_asked(self, borrowers: int, day: int) -> None:
        """Count what was asked before this process, on a day (days since 1970)."""
        self._begin_day(day)
        if day == self._day:
            self._asked += borrowers

    def take(self, borrowers: int, now_ms: int) -> None:
        """Count one request about so many borrowers.

        Raises:
            AnswerRefused: there is no room for it; it was not counted.
        """
        passed = max(0, now_ms - self._at_ms)
        self._at_ms = max(now_ms, self._at_ms)
        self._room = min(self._rate, self._room + passed * self._rate / 1000)
        if self._room < 1:
            raise AnswerRefused(
                RefusalKind.EXHAUSTED, f"this party answers {self._rate:,} requests a second"
            )
        self._begin_day(now_ms // _DAY_MS)
        if self._most_borrowers and self._asked + borrowers > self._most_borrowers:
            raise AnswerRefused(
                RefusalKind.EXHAUSTED,
                f"this party answers about {self._most_borrowers:,} borrowers a day (UTC)",
            )
        self._room -= 1
        self._asked += borrowers

    def _begin_day(self, day: int) -> None:
        # A clock set back gives no second day.
        if day > self._day:
            self._day, self._asked = day, 0

"""How many borrowers a key and a caller may have scored in a day: what slows extraction down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class EncryptedLimits:
    """A desk's limits. Days are UTC's; a restart begins the day anew.

    Attributes:
        borrowers_a_key: a day, over all models.
        borrowers_a_caller: a day, over all of its keys.
        keys_a_caller: registered a day.
        keys_of_a_caller: held at once; the one that was used longest ago makes room.
        keys: held at once of all callers, 64 KB each.
    """

    borrowers_a_key: int = 20_000
    borrowers_a_caller: int = 100_000
    keys_a_caller: int = 100
    keys_of_a_caller: int = 16
    keys: int = 2_048


class DailyCounts:
    """Counts by name that begin anew every day.

    Args:
        most: a day and name.
        clock: seconds since 1970.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """Nothing is counted."""
        self.most = most
        self._clock = clock
        self._day = -1
        self._counts: Counter[bytes | str] = Counter()

    def has_room(self, name: bytes | str, count: int) -> bool:
        """Whether so many more are within the day's limit."""
        day = int(self._clock() // SECONDS_A_DAY)
        if day != self._day:
            self._day = day
            self._counts.clear()
        return self._counts[name] + count <= self.most

    def add(self, name: bytes | str, count: int) -> None:
        """Count them."""
        self._counts[name] += count

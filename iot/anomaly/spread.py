"""Where a figure usually lies: middle and spread of its last values, exact and without randomness.

The middle is the median and the spread 1.4826 x the median absolute deviation, which is a standard
deviation for normal values (Rousseeuw & Croux 1993): up to half of the values may be bad without
either running away, so that what is unusual can be learnt from without hiding the next of its kind.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

import msgspec

WINDOW: Final = 512
"""How many of the last values are kept."""

_NORMAL: Final = 1.4826


class RecentValues(msgspec.Struct):
    """The last values of one figure. Plain lists, so that it is stored as it is.

    Attributes:
        arrived: in the order of arrival, a ring once it is full.
        place: of the oldest in the ring.
        ranked: the same values in order.
    """

    arrived: list[float] = []
    place: int = 0
    ranked: list[float] = []

    def add(self, value: float) -> None:
        """Take a value in; the oldest goes where `WINDOW` are kept already."""
        if len(self.arrived) < WINDOW:
            self.arrived.append(value)
        else:
            oldest, self.arrived[self.place] = self.arrived[self.place], value
            self.place = (self.place + 1) % WINDOW
            del self.ranked[bisect_left(self.ranked, oldest)]
        insort(self.ranked, value)

    def __len__(self) -> int:
        return len(self.ranked)

    def quantile(self, share: float) -> float:
        """The value below which a share of them lies, 0 to 1, between neighbours linear."""
        at = share * (len(self.ranked) - 1)
        low = int(at)
        high = min(low + 1, len(self.ranked) - 1)
        return self.ranked[low] + (self.ranked[high] - self.ranked[low]) * (at - low)

    def spread(self, middle: float) -> float:
        """Their scaled median absolute deviation from the middle."""
        away = sorted(abs(value - middle) for value in self.ranked)
        half = len(away) // 2
        median = away[half] if len(away) % 2 else (away[half - 1] + away[half]) / 2
        return _NORMAL * median

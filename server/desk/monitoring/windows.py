"""Counts of classes over sliding windows, kept up to date score by score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST_CLASSES = 255  # a class is one byte in the ring, and one value stands for 'nothing yet'
DAY_SECONDS = 86_400
SLOT_SECONDS = 900
_SLOTS = DAY_SECONDS // SLOT_SECONDS
_FEW = 64


class ClassWindow:
    """How many of the last scores, and of a day's, fell in each class.

    One thread writes; any may read. A ring of bytes remembers the classes, so that a score that
    leaves a window is taken off its count: 1 µs a score, whatever the windows' lengths.

    Args:
        classes: how many there are, at most 255.
        lengths: of the windows, in scores, ascending.
    """

    def __init__(self, classes: int, lengths: Sequence[int] = (1_000, 10_000)) -> None:
        """Empty windows.

        Raises:
            ValueError: too many classes, or lengths that do not ascend.
        """
        if not 1 <= classes <= MOST_CLASSES:
            raise ValueError(f"a window has 1 to {MOST_CLASSES} classes")
        if not lengths or list(lengths) != sorted(set(lengths)) or lengths[0] < 1:
            raise ValueError("a window's lengths must ascend, from 1")
        self.classes = classes
        self.lengths = tuple(lengths)
        longest = lengths[-1]
        # Class number `classes` stands for places that hold no score yet.
        self._ring = bytearray([classes]) * longest
        self._array: npt.NDArray[np.uint8] = np.frombuffer(self._ring, dtype=np.uint8)
        self._place = 0
        self._windows = [(length, [0] * classes + [length]) for length in lengths]
        self._slots = [[0] * classes for _ in range(_SLOTS)]
        self._slot_times = [-_SLOTS - 1] * _SLOTS
        self._slot_time = -_SLOTS - 1
        self._slot = self._slots[0]

    def push(self, code: int, now: float) -> None:
        """One score of this class, at so many seconds on a clock that never goes back."""
        ring, place = self._ring, self._place
        for length, counts in self._windows:
            counts[ring[place - length]] -= 1
            counts[code] += 1
        ring[place] = code
        place += 1
        self._place = place if place < len(ring) else 0
        if int(now // SLOT_SECONDS) != self._slot_time:
            self._turn(now)
        self._slot[code] += 1

    def extend(self, codes: npt.NDArray[np.uint8], now: float) -> None:
        """Many scores at once, in their order."""
        if len(codes) <= _FEW:
            for code in codes.tolist():
                self.push(code, now)
            return
        last = codes[-len(self._array) :]
        places = (self._place + np.arange(len(last))) % len(self._array)
        self._array[places] = last
        self._place = int(self._place + len(last)) % len(self._array)
        newest_last = np.roll(self._array, -self._place)
        for length, counts in self._windows:
            counts[:] = np.bincount(newest_last[-length:], minlength=self.classes + 1).tolist()
        if int(now // SLOT_SECONDS) != self._slot_time:
            self._turn(now)
        added = np.bincount(codes, minlength=self.classes).tolist()
        self._slot[:] = [a + b for a, b in zip(self._slot, added, strict=True)]

    def counts(self, length: int) -> list[int]:
        """Of the last `length` scores, how many fell in each class."""
        for known, counts in self._windows:
            if known == length:
                return counts[: self.classes]
        raise ValueError(f"there is no window of {length} scores")

    def day(self, now: float) -> list[int]:
        """How many of a day's scores fell in each class, to a quarter of an hour."""
        oldest = int(now // SLOT_SECONDS) - _SLOTS
        totals = [0] * self.classes
        for time, slot in zip(self._slot_times, self._slots, strict=True):
            if time > oldest:
                totals = [a + b for a, b in zip(totals, slot, strict=True)]
        return totals

    def _turn(self, now: float) -> None:
        """Go on to the slot of this quarter of an hour."""
        self._slot_time = int(now // SLOT_SECONDS)
        place = self._slot_time % _SLOTS
        self._slot = [0] * self.classes
        self._slots[place] = self._slot
        self._slot_times[place] = self._slot_time

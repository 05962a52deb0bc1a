"""A machine's life as segments in which its engine runs or it is moved; between them it stands.

All counters are straight lines within a segment, so their value at any moment is an interpolation
between segment ends: the cost of a reading does not depend on how finely a life is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Doing(IntEnum):
    """What a machine does in a segment."""

    PARKED = 0
    WORKING = 1
    IDLING = 2
    DRIVING = 3
    CARRIED = 4


SAME_PLACE: Final = np.nan
"""As a segment's end position: where the segment before it ended."""


@dataclass(frozen=True)
class Segments:
    """Segments in order of time, without overlap; all arrays have the shape (segments,).

    Attributes:
        start, end: milliseconds, true time.
        doing: of `Doing`, never PARKED.
        x, y: where each ends, metres east and north of the zone's centre.
        load: litres burnt to the model's usual for what it does.
    """

    start: Floats
    end: Floats
    doing: Integers
    x: Floats
    y: Floats
    load: Floats

    def __len__(self) -> int:
        return int(self.start.size)

    def kept(self, which: npt.NDArray[np.intp] | Flags) -> Segments:
        return Segments(
            self.start[which],
            self.end[which],
            self.doing[which],
            self.x[which],
            self.y[which],
            self.load[which],
        )

    def settled(self) -> Segments:
        """With every end position filled in; the first segment must have one."""
        place = np.where(np.isnan(self.x), 0, np.arange(len(self)))
        place = np.maximum.accumulate(place) if len(self) else place
        return Segments(self.start, self.end, self.doing, self.x[place], self.y[place], self.load)

    def position_at(self, at: float) -> tuple[float, float]:
        """Where the last segment that began before `at` ends."""
        index = max(0, int(np.searchsorted(self.start, at)) - 1)
        return float(self.x[index]), float(self.y[index])

    def within(self, start: float, end: float) -> npt.NDArray[np.intp]:
        """Positions of the segments that begin in [start, end)."""
        return np.arange(*np.searchsorted(self.start, (start, end)))


def joined(first: Segments, second: Segments) -> Segments:
    """Both in order of time."""
    both = Segments(
        np.concatenate((first.start, second.start)),
        np.concatenate((first.end, second.end)),
        np.concatenate((first.doing, second.doing)),
        np.concatenate((first.x, second.x)),
        np.concatenate((first.y, second.y)),
        np.concatenate((first.load, second.load)),
    )
    return both.kept(np.argsort(both.start, kind="stable"))


def one_segment(
    start: float,
    end: float,
    doing: Doing,
    place: tuple[float, float] = (SAME_PLACE, SAME_PLACE),
    load: float = 1.0,
) -> Segments:
    return Segments(
        np.array([start]),
        np.array([end]),
        np.array([int(doing)], dtype=np.int64),
        np.array([place[0]]),
        np.array([place[1]]),
        np.array([load]),
    )


def knots(start: Floats, end: Floats) -> Floats:
    """Segment ends in a row: start, end, start, end...; shape (2 * segments,)."""
    return np.stack((start, end), axis=1).ravel()


def running_total(gained: Floats) -> Floats:
    """A counter at the `knots`, from what it gains in each segment; flat between segments."""
    total = np.cumsum(gained)
    return np.stack((total - gained, total), axis=1).ravel()

"""One served model's windows: its scores against its development sample, per feature party."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.scoring import Development, ServedModel
from server.desk.answers import BatchAnswer, ScoreAnswer
from server.desk.monitoring.drift import DriftAlarm, DriftEvent, DriftSettings, Reading
from server.desk.monitoring.stability import critical_value, stability_index
from server.desk.monitoring.windows import MOST_CLASSES, ClassWindow

SCORE = "score"
DAY = "day"
WINDOWS = (1_000, 10_000)


@dataclass(frozen=True)
class WindowReading:
    """The stability of one thing over one window.

    Attributes:
        of: 'score', the label party's name, or that of the feature parties' points.
        window: '1000', '10000' or 'day'.
    """

    of: str
    window: str
    reading: Reading


class ModelWatch:
    """Watches one served model.

    Only answers of the model itself count: fallback variants have points of another scale, and the
    development sample was scored by the model with all its parties. Partners' points come masked,
    so where several answer, their sum is what can be watched.
    """

    def __init__(self, name: str, stage: str, digest: str, served: ServedModel) -> None:
        """Empty windows for a model of the registry."""
        self.name, self.stage, self.digest, self.served = name, stage, digest, served
        self.main = served.main.name
        self._development: dict[str, Development] = {
            of: one for of, one in served.development.items() if len(one.shares) <= MOST_CLASSES
        }
        self._windows = {
            of: ClassWindow(len(one.shares), WINDOWS) for of, one in self._development.items()
        }
        self.alarms: dict[str, DriftAlarm] = {of: DriftAlarm() for of in self._development}
        label = served.label_party
        others = [of for of in self._development if of not in (SCORE, label)]
        # The rest of a score's points is one sum, however many feature parties there are.
        self._partners = others[0] if len(others) == 1 else None
        self._label = label if label in self._development else None

    def scored(self, answer: ScoreAnswer, own_points: int, now: float) -> None:
        """One score."""
        if answer.variant.name != self.main:
            return
        self._push(SCORE, answer.score, now)
        if self._label is not None:
            self._push(self._label, own_points, now)
        if self._partners is not None:
            self._push(self._partners, answer.points - own_points, now)

    def batch(self, answer: BatchAnswer, own_points: npt.NDArray[np.int32], now: float) -> None:
        """Many scores; own_points (n,) are the label party's."""
        names = [variant.name for variant in answer.variants]
        if self.main not in names:
            return
        rows = answer.variant == names.index(self.main)
        own = own_points[rows]
        self._extend(SCORE, answer.scores[rows], now)
        if self._label is not None:
            self._extend(self._label, own, now)
        if self._partners is not None:
            self._extend(self._partners, answer.points[rows] - own, now)

    def readings(self, now: float, significance: float) -> Iterator[WindowReading]:
        """Every window's stability; windows without scores are left out."""
        for of, window in self._windows.items():
            for length in window.lengths:
                reading = self._reading(of, window.counts(length), significance)
                if reading.scores:
                    yield WindowReading(of, str(length), reading)
            reading = self._reading(of, window.day(now), significance)
            if reading.scores:
                yield WindowReading(of, DAY, reading)

    def check(self, settings: DriftSettings) -> Mapping[str, tuple[DriftEvent, Reading]]:
        """Check for drift; what was raised or cleared, by what it is about."""
        events = {}
        for of, window in self._windows.items():
            reading = self._reading(of, window.counts(settings.window), settings.significance)
            self.alarms[of], event = self.alarms[of].after(reading, settings)
            if event is not None:
                events[of] = (event, reading)
        return events

    def _reading(self, of: str, counts: list[int], significance: float) -> Reading:
        scores = sum(counts)
        if not scores:
            return Reading(0.0, 0.0, 0)
        index = stability_index(counts, self._development[of].shares)
        return Reading(
            index, critical_value(len(counts), scores, significance=significance), scores
        )

    def _push(self, of: str, value: float, now: float) -> None:
        window = self._windows.get(of)
        if window is not None:
            window.push(bisect_left(self._development[of].edges, value), now)

    def _extend(self, of: str, values: npt.NDArray[np.generic], now: float) -> None:
        window = self._windows.get(of)
        if window is not None and len(values):
            edges = np.asarray(self._development[of].edges)
            codes = np.searchsorted(edges, values, side="left").astype(np.uint8)
            window.extend(codes, now)

"""Counters and histograms by label, updated in place and bounded in number."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Labels come from files that the bank writes (callers, products, parties); the bound holds memory
# and the page of metrics whatever else a caller thinks of.
MOST_SERIES = 256
OTHER = "other"
# Seconds; finest where the desk's promises lie, 1 to 50 ms.
LATENCY_BUCKETS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.0125, 0.015),
    *(0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 1.0, 5.0),
)
SCORE_BUCKETS = tuple(float(score) for score in range(0, 1_000, 50))

Labels = tuple[str, ...]


class Counts:
    """A counter for each set of labels; beyond `MOST_SERIES`, new sets count as 'other'."""

    def __init__(self) -> None:
        """No counters yet."""
        self._values: dict[Labels, int] = {}

    def add(self, labels: Labels, many: int = 1) -> None:
        """Count `many` more."""
        values = self._values
        if labels in values:
            values[labels] += many
            return
        if len(values) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        values[labels] = values.get(labels, 0) + many

    def items(self) -> list[tuple[Labels, int]]:
        """All counters as they are now; another thread may count meanwhile."""
        return list(self._values.copy().items())


class Histogram:
    """Values counted by class; class i holds (buckets[i-1], buckets[i]]."""

    __slots__ = ("buckets", "counts", "total")

    def __init__(self, buckets: Sequence[float]) -> None:
        """Nothing observed yet."""
        self.buckets = tuple(buckets)
        self.counts = [0] * (len(self.buckets) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.buckets, value)] += 1
        self.total += value

    def observe_many(self, values: npt.NDArray[np.int32]) -> None:
        """Count values (n,)."""
        places = np.searchsorted(self.buckets, values, side="left")
        added = np.bincount(places, minlength=len(self.counts)).tolist()
        self.counts[:] = [a + b for a, b in zip(self.counts, added, strict=True)]
        self.total += float(values.sum())

    def cumulative(self) -> list[tuple[str, int]]:
        """Prometheus buckets: upper end as text, and how many lie at or below it."""
        counts, below, buckets = self.counts.copy(), 0, []
        for end, count in zip((*map(str, self.buckets), "+Inf"), counts, strict=True):
            below += count
            buckets.append((end, below))
        return buckets


class Histograms:
    """A histogram for each set of labels, bounded as counters are."""

    def __init__(self, buckets: Sequence[float]) -> None:
        """No histograms yet."""
        self._buckets = tuple(buckets)
        self._values: dict[Labels, Histogram] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count one value."""
        self.of(labels).observe(value)

    def of(self, labels: Labels) -> Histogram:
        """The histogram of these labels, made where it is missing."""
        found = self._values.get(labels)
        if found is not None:
            return found
        if len(self._values) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        return self._values.setdefault(labels, Histogram(self._buckets))

    def items(self) -> list[tuple[Labels, Histogram]]:
        """All histograms; another thread may observe meanwhile."""
        return list(self._values.copy().items())

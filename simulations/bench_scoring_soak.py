"""A long load: whether the desk's memory grows, and whether a request is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from simulations.bench_scoring_processes import Service

SAMPLES = 200  # kept at most; every second one is let go when there are more
FIRST_SECONDS = 0.5


def soak(desk: Service, load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a load and watch the desk's memory; returns the load's figures and the memory's.

    The first and the last quarter of the samples are compared by their medians: what is taken once
    (caches, the allocator's pools) lies in the first.
    """
    watch = MemoryWatch(desk)
    watch.start()
    before = desk.resident_mb()
    try:
        figures = load()
    finally:
        samples = watch.stop()
    quarter = max(1, len(samples) // 4)
    first, last = np.median(samples[:quarter]), np.median(samples[-quarter:])
    return figures | {
        "memory_before_mb": round(before, 1),
        "memory_after_mb": round(desk.resident_mb(), 1),
        "memory_first_quarter_mb": round(float(first), 1),
        "memory_last_quarter_mb": round(float(last), 1),
        "memory_growth_mb": round(float(last - first), 2),
    }


class MemoryWatch:
    """Samples a process's memory in a thread, evenly over a time that need not be known."""

    def __init__(self, desk: Service) -> None:
        """Nothing is sampled yet."""
        self._desk = desk
        self._samples: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[float]:
        """End; megabytes, evenly spaced in time, at least one."""
        self._stopping.set()
        self._thread.join()
        return self._samples

    def _watch(self) -> None:
        seconds = FIRST_SECONDS
        while True:
            if self._desk.alive():
                self._samples.append(self._desk.resident_mb())
            if len(self._samples) >= SAMPLES:
                self._samples = self._samples[::2]
                seconds *= 2
            if self._stopping.wait(seconds):
                return

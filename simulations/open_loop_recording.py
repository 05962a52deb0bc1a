"""What came of every request of a load, and its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

OK = 0
_STATUS = {code.value[0]: code.name for code in grpc.StatusCode}
# No gRPC status: the run ended before the call did.
UNFINISHED = 255


@dataclass(frozen=True)
class Recording:
    """What came of every request, in the order in which they were due.

    Attributes:
        due: seconds after the start, (n,).
        lag: seconds from when it was due to when it was sent, (n,).
        latency: seconds from when it was due to its end, (n,).
        status: gRPC's number, (n,) uint8.
        score: (n,) int32; 0 where there was no answer.
        probability: (n,) float64; NaN where there was none.
        variant: place in `variants`, (n,) uint8.
        degraded: (n,) bool.
        variants: names of the variants that answered.
        seconds: from the start to the last end.
    """

    due: npt.NDArray[np.float64]
    lag: npt.NDArray[np.float64]
    latency: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint8]
    score: npt.NDArray[np.int32]
    probability: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint8]
    degraded: npt.NDArray[np.bool_]
    variants: tuple[str, ...]
    seconds: float

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Which requests were answered with a score."""
        return np.asarray(self.status == OK, dtype=np.bool_)

    def errors(self) -> dict[str, int]:
        """How many requests ended with each status other than OK."""
        counts = Counter(self.status[~self.answered].tolist())
        return {_STATUS.get(code, "UNFINISHED"): count for code, count in sorted(counts.items())}

    def figures(self) -> dict[str, Any]:
        """Latencies of all requests (failed ones too), rate and errors."""
        return {
            "requests": len(self.due),
            "answered": int(self.answered.sum()),
            "degraded": int(self.degraded.sum()),
            "errors": self.errors(),
            "rate": round(len(self.due) / self.seconds, 1),
            **percentiles(self.latency),
            # What of the latency is this generator's own doing.
            "generator_p50_ms": _percentile(self.lag, 50),
            "generator_p99_ms": _percentile(self.lag, 99),
        }


def percentiles(latency: npt.NDArray[np.float64]) -> dict[str, float]:
    """p50 to the maximum of latencies (seconds) in milliseconds; each was really measured."""
    shown = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9, "max_ms": 100.0}
    return {name: _percentile(latency, share) for name, share in shown.items()}


def _percentile(seconds: npt.NDArray[np.float64], share: float) -> float:
    return round(float(np.percentile(seconds, share, method="higher")) * 1e3, 3)

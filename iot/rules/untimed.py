"""What rules share that need no clock."""

from __future__ import annotations

from typing import Any

from iot.codec.sample import Sample
from iot.rules.rule import Scene, Verdict
from iot.units import Millis


class Untimed:
    """A rule to which the passing of time means nothing: it waits for the next sample."""

    def due(self, memory: Any) -> Millis | None:
        """Never."""
        return None

    def expire(self, memory: Any, now: Millis, last: Sample, scene: Scene) -> Verdict | None:
        """Nothing."""
        return None

"""What this folder refuses."""

from __future__ import annotations

from iot.errors import TelemetryError


class FeatureError(TelemetryError):
    """Features can't be computed as asked: an unknown name, a cut, facts that contradict."""

"""What this folder refuses."""

from __future__ import annotations

from iot.errors import TelemetryError


class CommandRefused(TelemetryError):
    """A command is not whole, not signed as it must be, or not to be carried out."""

"""What the archive refuses."""

from __future__ import annotations

from iot.errors import TelemetryError


class ArchiveError(TelemetryError):
    """The archive can't be read or written, or does not reach as far as is asked."""

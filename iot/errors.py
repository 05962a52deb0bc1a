"""Errors of this room: each says in one sentence what is wrong, where, and what would be right."""

from __future__ import annotations

from federation.errors import VeilscoreError


class TelemetryError(VeilscoreError):
    """Anything that the telemetry room refuses; its text is one sentence for the user."""


class FleetInvalid(TelemetryError):
    """The fleet file (devices, leases, zones, models) can't be used."""


class StoreUnavailable(TelemetryError):
    """The telemetry database can't be opened, read or written."""

"""What the rent refuses."""

from __future__ import annotations

from iot.errors import TelemetryError


class RateCardInvalid(TelemetryError):
    """A rate card, or the file it stands in, can't be used."""


class RentRefused(TelemetryError):
    """A month can't be rated or posted as asked."""


class LedgerBroken(TelemetryError):
    """An entry of the rent ledger was changed, dropped, inserted or moved."""

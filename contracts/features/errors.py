"""What this folder refuses."""

from __future__ import annotations

from contracts.errors import ContractsError


class FeatureError(ContractsError):
    """Features can't be computed as asked: an unknown name, a date, an index that is not enough."""

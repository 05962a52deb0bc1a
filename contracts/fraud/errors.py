"""What the fraud checks refuse."""

from __future__ import annotations

from contracts.errors import ContractsError


class FraudError(ContractsError):
    """Anything that the fraud checks refuse."""


class FraudSettingsInvalid(FraudError):
    """A threshold, or a file of accounts and groups, is not what it must be."""


class FactsOutOfOrder(FraudError):
    """A fact came that lies before one that was seen already."""


class IndexUnreadable(FraudError):
    """A database holds no index, or none that the checks can read."""

"""Goods that leave after their invoice was confirmed, or left very long before."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import DAY, FraudSettings
from contracts.index.movements import MovementKind
from contracts.index.phrases import day
from contracts.units import UnixSeconds


class ShipmentDates:
    """Date of shipment against time of confirmation; the registry records the former unchecked."""

    kinds = frozenset({MovementKind.CONFIRMED})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        if fact.shipped_at == 0:  # not known
            return
        late = fact.at - fact.shipped_at
        if late < -self._settings.shipped_ahead_days * DAY:
            rule = "before"
            sentence = (
                f"Receivable {fact.leaf} was confirmed before its goods leave on "
                f"{day(fact.shipped_at)}: it is an order, not an invoice."
            )
        elif late > self._settings.shipped_before_days * DAY:
            rule = "long after"
            sentence = (
                f"Receivable {fact.leaf} was confirmed {late // DAY} days after its goods left on "
                f"{day(fact.shipped_at)}; it may have been paid, or used elsewhere, long since."
            )
        else:
            return
        yield FraudAlert(
            FraudKind.SHIPMENT_DATE,
            rule,
            Severity.WARNING,
            UnixSeconds(fact.at),
            str(fact.supplier),
            fact.subject,
            sentence,
            (str(fact.debtor),),
        )

"""All checks over one stream of facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from contracts.fraud.alerts import FraudAlert
from contracts.fraud.circles import Circles
from contracts.fraud.concentration import Concentration
from contracts.fraud.dealing import SelfDealing
from contracts.fraud.duplicates import Duplicates
from contracts.fraud.errors import FactsOutOfOrder
from contracts.fraud.facts import Fact
from contracts.fraud.round_trips import RoundTrips
from contracts.fraud.settings import FraudSettings
from contracts.fraud.shipments import ShipmentDates
from contracts.fraud.velocity import Velocity
from contracts.index.movements import MovementKind


class Check(Protocol):
    """One rule, or a few that share their state: shown facts in order, it says what meets it."""

    @property
    def kinds(self) -> frozenset[MovementKind]:
        """The facts that it wants to see."""
        ...

    def observe(self, fact: Fact) -> Iterable[FraudAlert]:
        """Alerts that this fact gives rise to."""
        ...


KINDS = (
    Duplicates.kinds
    | Circles.kinds
    | RoundTrips.kinds
    | SelfDealing.kinds
    | Concentration.kinds
    | Velocity.kinds
    | ShipmentDates.kinds
)
"""The facts that any check wants to see; all others may be left out."""


class FraudDetector:
    """Shows facts to the checks. No I/O: the same facts give the same alerts, each once.

    Args:
        settings: thresholds and groups.
        elsewhere: another registry's name, to the fingerprints in use there (lower case). They are
            looked at, not copied.
        registry: goes into every alert.
    """

    def __init__(
        self,
        settings: FraudSettings | None = None,
        elsewhere: Mapping[str, Collection[str]] | None = None,
        registry: str = "",
    ) -> None:
        chosen = settings or FraudSettings()
        self._registry = registry
        self._duplicates = Duplicates(elsewhere or {})
        checks: tuple[Check, ...] = (
            self._duplicates,
            Circles(chosen),
            RoundTrips(chosen),
            SelfDealing(chosen),
            Concentration(chosen),
            Velocity(chosen),
            ShipmentDates(chosen),
        )
        self._checks = {
            kind: tuple(check for check in checks if kind in check.kinds) for kind in MovementKind
        }
        self._last: tuple[int, int, int] | None = None
        self._said: set[str] = set()

    def observe(self, facts: Iterable[Fact]) -> list[FraudAlert]:
        """Alerts that these facts give rise to, in order.

        Raises:
            FactsOutOfOrder: a fact lies at or before one that was shown.
        """
        alerts: list[FraudAlert] = []
        for fact in facts:
            place = fact.place
            if self._last is not None and place <= self._last:
                raise FactsOutOfOrder(
                    f"the fact at {place} was shown after {self._last}; facts must come in the "
                    "chain's order, each once"
                )
            self._last = place
            for check in self._checks[fact.kind]:
                alerts.extend(self._fresh(check.observe(fact)))
        return alerts

    def learned(self, name: str, fingerprints: Collection[str]) -> list[FraudAlert]:
        """Alerts on facts shown before, now that another registry has these fingerprints."""
        return list(self._fresh(self._duplicates.learned(name, fingerprints)))

    def _fresh(self, alerts: Iterable[FraudAlert]) -> Iterator[FraudAlert]:
        for alert in alerts:
            placed = replace(alert, registry=self._registry)
            if placed.id not in self._said:
                self._said.add(placed.id)
                yield placed

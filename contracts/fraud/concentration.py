"""A supplier whose claims turn to one debtor."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import DAY, YEAR_DAYS, FraudSettings
from contracts.index.movements import MovementKind
from contracts.units import UnixSeconds


@dataclass(slots=True)
class _Window:
    """Claims of a period: (time, debtor, amount), and their sums by debtor."""

    claims: deque[tuple[int, str, int]] = field(default_factory=deque)
    total: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, claim: tuple[int, str, int]) -> None:
        """Take in the latest claim."""
        _, debtor, amount = claim
        self.claims.append(claim)
        self.total += amount
        self.amounts[debtor] = self.amounts.get(debtor, 0) + amount
        self.counts[debtor] = self.counts.get(debtor, 0) + 1

    def take_before(self, at: int) -> Iterator[tuple[int, str, int]]:
        """Let go of claims before a time."""
        while self.claims and self.claims[0][0] < at:
            claim = self.claims.popleft()
            _, debtor, amount = claim
            self.total -= amount
            self.amounts[debtor] -= amount
            self.counts[debtor] -= 1
            if not self.counts[debtor]:
                del self.amounts[debtor], self.counts[debtor]
            yield claim

    def share(self, debtor: str) -> float:
        """The debtor's share of the amounts."""
        return self.amounts.get(debtor, 0) / self.total if self.total else 0.0


class Concentration:
    """A supplier's claims by debtor, lately and in the year before, token by token.

    Invented invoices mostly name one debtor, new or old. Two or three claims on one debtor are
    chance: the rule asks too how likely so many of the latest claims on it were, if debtors came as
    often as in the year before. A supplier and debtor are told once a period. Groups count as one.
    """

    kinds = frozenset({MovementKind.CONFIRMED})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings
        self._period = settings.concentration_days * DAY
        self._windows: dict[tuple[str, str], tuple[_Window, _Window]] = {}
        self._told: dict[tuple[str, str, str], int] = {}

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        if fact.supplier is None or fact.debtor is None:
            return
        supplier, debtor = (self._settings.group(one) for one in (fact.supplier, fact.debtor))
        key = (supplier, fact.token)
        if key not in self._windows:
            self._windows[key] = (_Window(), _Window())
        past, lately = self._windows[key]
        lately.add((fact.at, debtor, fact.amount or 0))
        since = fact.at - self._period
        for claim in lately.take_before(since):
            past.add(claim)
        for _ in past.take_before(since - YEAR_DAYS * DAY):
            pass
        before, now = past.share(debtor), lately.share(debtor)
        told = self._told.get((supplier, debtor, fact.token), -self._period)
        if (
            len(past.claims) < self._settings.concentration_claims
            or now - before < self._settings.concentration_rise
            or fact.at - told < self._period
            or _chance(past, lately, debtor) > self._settings.concentration_chance
        ):
            return
        self._told[supplier, debtor, fact.token] = fact.at
        yield FraudAlert(
            FraudKind.SUDDEN_CONCENTRATION,
            "",
            Severity.WARNING,
            UnixSeconds(fact.at),
            fact.supplier,
            fact.subject,
            f"Of the supplier's claims of the last {self._settings.concentration_days} days, "
            f"{lately.counts[debtor]} of {len(lately.claims)} and {now:.0%} of the amount are on "
            f"one debtor, which had {before:.0%} of the amount in the year before.",
            (fact.debtor,),
        )


def _chance(past: _Window, lately: _Window, debtor: str) -> float:
    """A bound on the chance of so many late claims on a debtor, by the shares of the past.

    Chernoff's: exp(-n · KL(k/n, p)) for k or more of n; p is Laplace's estimate from the past, so
    that a new debtor is not impossible. Claims, not amounts: one large order is no pattern.
    """
    count, all_claims = lately.counts[debtor], len(lately.claims)
    usual = (past.counts.get(debtor, 0) + 1) / (len(past.claims) + 2)
    share = count / all_claims
    if share <= usual:
        return 1.0
    divergence = share * math.log(share / usual)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - usual))
    return math.exp(-all_claims * divergence)

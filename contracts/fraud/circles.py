"""Claims in a circle: each firm owes the next, and the last one the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import DAY, FraudSettings
from contracts.index.movements import MovementKind
from contracts.index.phrases import money
from contracts.units import UnixSeconds

_MOST_STEPS = 2_000
"""Claims that one search looks at; firms with thousands of partners must not stall the others."""
_BASIS = 10_000


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one firm owes another."""

    at: int
    amount: int
    leaf: int | None
    supplier: str


_Graph = dict[str, dict[str, _Claim]]  # firm, other firm, and the latest claim between them


class _Sized:
    """Claims in one token and of one size: who owes whom, and who is owed by whom."""

    def __init__(self) -> None:
        self.owes: _Graph = {}
        self.owed: _Graph = {}

    def add(self, debtor: str, supplier: str, claim: _Claim) -> None:
        """Take in the latest claim."""
        self.owes.setdefault(debtor, {})[supplier] = claim
        self.owed.setdefault(supplier, {})[debtor] = claim


class Circles:
    """Who owes whom lately, by token and size of the claim.

    A circle a → b → c → a, of like amounts and within some weeks, makes turnover out of nothing
    (carousel). Amounts are compared with the claim that closes the circle, and claims of other
    sizes between do not hide it. Groups of accounts count as one firm. A circle is told once, and
    again only after a period in which it did not close.
    """

    kinds = frozenset({MovementKind.CONFIRMED})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings
        self._share = round(_BASIS * settings.circle_share)
        self._reach = _size(_BASIS**2) - _size(_BASIS * self._share) + 1
        self._period = settings.circle_days * DAY
        self._sized: dict[tuple[str, int], _Sized] = {}
        self._closed: dict[tuple[str, ...], int] = {}

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        if fact.supplier is None or fact.debtor is None or not fact.amount:
            return
        debtor = self._settings.group(fact.debtor)
        supplier = self._settings.group(fact.supplier)
        if debtor == supplier:
            return  # self-dealing says so
        closing = _Claim(fact.at, fact.amount, fact.leaf, fact.supplier)
        size = _size(fact.amount)
        near = [
            sized
            for other in range(size - self._reach, size + self._reach + 1)
            if (sized := self._sized.get((fact.token, other)))
        ]
        found = _Search(near, closing, closing.at - self._period, self._share).way(
            supplier, debtor, self._settings.circle_firms - 1
        )
        self._sized.setdefault((fact.token, size), _Sized()).add(debtor, supplier, closing)
        if not found:
            return
        firms = tuple(sorted({supplier, *(self._settings.group(one.supplier) for one in found)}))
        closed, self._closed[firms] = self._closed.get(firms), fact.at
        if closed is None or fact.at - closed >= self._period:
            yield self._alert(fact, fact.supplier, [*found, closing])

    def _alert(self, fact: Fact, account: str, claims: list[_Claim]) -> FraudAlert:
        amounts = sorted(claim.amount for claim in claims)
        low, high = (money(amounts[end], fact.words) for end in (0, -1))
        numbers = ", ".join(str(claim.leaf) for claim in claims)
        return FraudAlert(
            FraudKind.CIRCULAR_TRADING,
            "",
            # Two firms that buy from each other are common.
            Severity.CRITICAL if len(claims) > 2 else Severity.INFO,
            UnixSeconds(fact.at),
            account,
            fact.subject,
            f"Receivable {fact.leaf} closes a circle of {len(claims)} firms, each of which owes "
            f"the next, within {self._settings.circle_days} days and with like amounts "
            f"(receivables {numbers}: {low} to {high}).",
            tuple(claim.supplier for claim in claims[:-1]),
        )


class _Search:
    """Looks for the shortest way from one firm to another, each owing the next.

    From both ends, and always on from the one with fewer firms to look at: a core enterprise owes
    thousands of firms, and few owe it.
    """

    def __init__(self, near: list[_Sized], closing: _Claim, since: int, share: int) -> None:
        self._graphs = ([sized.owes for sized in near], [sized.owed for sized in near])
        self._amount = closing.amount
        self._since = since
        self._share = share
        self._steps = 0

    def way(self, start: str, goal: str, most_claims: int) -> list[_Claim]:
        """The claims along it; empty if there is no such way, or it takes too long to find."""
        ends = (start, goal)
        if not all(
            any(end in graph for graph in graphs)
            for end, graphs in zip(ends, self._graphs, strict=True)
        ):
            return []
        came: tuple[dict[str, tuple[str, _Claim] | None], ...] = ({start: None}, {goal: None})
        fronts = [[start], [goal]]
        for _ in range(most_claims):
            costs = [
                sum(len(graph.get(firm, ())) for firm in front for graph in graphs)
                for graphs, front in zip(self._graphs, fronts, strict=True)
            ]
            side = 0 if costs[0] <= costs[1] else 1
            reached: list[str] = []
            for firm in fronts[side]:
                for other, claim in self._partners(side, firm):
                    if other in came[side]:
                        continue
                    came[side][other] = (firm, claim)
                    if other in came[1 - side]:
                        return [*_back(came[0], other)[::-1], *_back(came[1], other)]
                    reached.append(other)
                if self._steps > _MOST_STEPS:
                    return []
            fronts[side] = reached
        return []

    def _partners(self, side: int, firm: str) -> Iterator[tuple[str, _Claim]]:
        for graph in self._graphs[side]:
            claims = graph.get(firm)
            if not claims:
                continue
            self._steps += len(claims)
            stale = []
            for other, claim in claims.items():
                if claim.at < self._since:
                    stale.append(other)
                    continue
                low, high = sorted((claim.amount, self._amount))
                if _BASIS * low >= self._share * high:
                    yield other, claim
            for other in stale:  # time only goes on
                del claims[other]


def _back(came: dict[str, tuple[str, _Claim] | None], firm: str) -> list[_Claim]:
    claims = []
    while step := came[firm]:
        firm, claim = step
        claims.append(claim)
    return claims


def _size(amount: int) -> int:
    """Amounts of one size are within a quarter of each other."""
    bits = amount.bit_length()
    return 4 * bits + ((amount << 3 >> bits) & 3)

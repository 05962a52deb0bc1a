"""Facts for the tests of the fraud checks, each at its place on the chain."""

from __future__ import annotations

from typing import Any

from contracts.fraud import FraudAlert, FraudSettings
from contracts.fraud.detector import FraudDetector
from contracts.fraud.facts import Fact
from contracts.index.movements import MovementKind
from contracts.index.snapshot import TokenWords

DAY = 86_400
BEGIN = 1_750_032_000
EURO = TokenWords("dEUR", 2)


def account(name: str) -> str:
    """An account of a name's own."""
    return "0x" + name.encode().hex().rjust(40, "0")


class Facts(list[Fact]):
    """Facts in the chain's order; days count from the first."""

    def tell(self, kind: MovementKind, day: float, leaf: int, **values: Any) -> int:
        """Add a fact."""
        self.append(
            Fact(len(self), 0, 0, BEGIN + int(day * DAY), kind, leaf, **{"token": "t", **values})
        )
        return leaf

    def confirm(
        self, day: float, debtor: str, supplier: str, amount: int = 100_000, **values: Any
    ) -> int:
        """A confirmed receivable of an invoice and document of its own; returns its id."""
        leaf = len(self) + 1
        own = {
            "fingerprint": f"0x{leaf:064x}",
            "document_hash": f"0x{leaf:064X}",
            "words": EURO,
        }
        return self.tell(
            MovementKind.CONFIRMED,
            day,
            leaf,
            debtor=account(debtor),
            supplier=account(supplier),
            first_supplier=account(supplier),
            actor=account(debtor),
            counterparty=account(supplier),
            amount=amount,
            **{**own, **values},
        )

    def transfer(self, day: float, leaf: int, giver: str, taker: str, debtor: str = "core") -> None:
        """A claim goes from one holder to another."""
        self.tell(
            MovementKind.TRANSFERRED,
            day,
            leaf,
            debtor=account(debtor),
            supplier=account(giver),
            actor=account(giver),
            counterparty=account(taker),
        )

    def alerts(self, settings: FraudSettings | None = None) -> list[FraudAlert]:
        """What a fresh detector says of all."""
        return FraudDetector(settings).observe(self)


def said(alerts: list[FraudAlert]) -> list[tuple[str, str, str, str]]:
    """Kind, rule, severity and claim of each."""
    return [(one.kind.value, one.rule, one.severity.value, one.subject) for one in alerts]

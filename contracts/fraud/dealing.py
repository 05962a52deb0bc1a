"""The same firm on both sides of a claim."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import FraudSettings
from contracts.index.movements import MovementKind
from contracts.units import UnixSeconds


class SelfDealing:
    """Debtor and supplier, supplier and payer, or bank and supplier of one group of accounts.

    Firms of a group sell to each other, but have no cause to have that financed. A supplier that
    pays its own receivable in the debtor's stead buys a payment record with the bank's money; a
    bank whose group is the borrower's lends to itself.
    """

    kinds = frozenset({MovementKind.CONFIRMED, MovementKind.PAID, MovementKind.FINANCED})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        if fact.kind is MovementKind.CONFIRMED:
            if fact.debtor == fact.supplier:
                yield _alert(fact, fact.debtor, "own debtor", Severity.CRITICAL,
                             "is owed by the account that it is owed to")  # fmt: skip
            elif self._same(fact.debtor, fact.supplier):
                yield _alert(fact, fact.debtor, "debtor of the group", Severity.WARNING,
                             "is owed within one group of firms")  # fmt: skip
        elif fact.kind is MovementKind.PAID:
            suppliers = (fact.supplier, fact.first_supplier)
            if any(self._same(fact.actor, one) for one in suppliers) and not self._same(
                fact.actor, fact.debtor
            ):
                yield _alert(fact, fact.actor, "paid by a supplier", Severity.WARNING,
                             "was paid by a firm it was owed to, not its debtor")  # fmt: skip
        elif fact.kind is MovementKind.FINANCED:
            if self._same(fact.bank, fact.supplier):
                yield _alert(fact, fact.bank, "bank of the group", Severity.CRITICAL,
                             "is financed by the group of its own supplier")  # fmt: skip
            if self._same(fact.debtor, fact.supplier):
                yield _alert(fact, fact.debtor, "financed within the group", Severity.CRITICAL,
                             "is financed for the group that owes it")  # fmt: skip

    def _same(self, one: str | None, other: str | None) -> bool:
        if one is None or other is None:
            return False
        return one == other or self._settings.group(one) == self._settings.group(other)


def _alert(fact: Fact, other: str | None, rule: str, severity: Severity, what: str) -> FraudAlert:
    return FraudAlert(
        FraudKind.SELF_DEALING,
        rule,
        severity,
        UnixSeconds(fact.at),
        str(fact.supplier),
        fact.subject,
        f"Receivable {fact.leaf} {what}.",
        (str(other),),
    )

"""The order loan: a share of a confirmed order, repaid when the buyer pays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from server.desk.policy.facts import Facts, FactType, Unit
from server.desk.policy.kinds import Bound, Exposure, GradeTerms, Inputs, TenorUnit
from server.desk.policy.rounding import floor_minor, floor_share


@dataclass(frozen=True)
class OrderLoan:
    """Settings.

    Attributes:
        grace_days: added to the days until the buyer pays.
    """

    grace_days: int

    share_key: ClassVar[str] = "order_share"
    tenor_key: ClassVar[str] = "most_tenor_days"
    tenor_unit: ClassVar[TenorUnit] = TenorUnit.DAYS
    asked: ClassVar[str] = "requested_minor"
    inputs: ClassVar[Inputs] = {
        "requested_minor": (FactType.INTEGER, Unit.MINOR),
        "order_value_minor": (FactType.INTEGER, Unit.MINOR),
        "days_to_payment": (FactType.INTEGER, Unit.DAYS),
    }

    def most(self, terms: GradeTerms, facts: Facts) -> Bound:
        """The grade's share of the order, and no more than is asked for."""
        share = floor_minor(terms.share * facts.whole("order_value_minor"))
        return Bound(min(share, terms.most_minor, facts.whole("requested_minor")))

    def tenor(self, terms: GradeTerms, facts: Facts) -> int | None:
        """Until the buyer pays, and the days of grace."""
        needed = max(1, facts.whole("days_to_payment") + self.grace_days)
        return needed if needed <= terms.tenor else None

    def exposure(self, limit: int, tenor: int, facts: Facts) -> Exposure:
        """The whole loan, drawn at once."""
        amount = Decimal(limit)
        return Exposure(amount, amount, amount)

    def probability(self, own: Decimal, facts: Facts) -> Decimal:
        """The firm's own."""
        return own

    def terms(
        self, limit: int, rate: Decimal, tenor: int, facts: Facts
    ) -> dict[str, int | Decimal]:
        """Interest that is due with the loan, down to a minor unit; which share of the order it is.

        The firm owes it whatever the buyer does, so it is with recourse (1).
        """
        return {
            "advance_rate": floor_share(limit, facts.whole("order_value_minor")),
            "interest_minor": floor_minor(limit * rate * tenor / 365),
            "recourse": 1,
        }

    def words(self) -> list[str]:
        """What the settings say."""
        return [f"It runs until the buyer pays, and {self.grace_days} days longer."]

"""The equipment lease: down payment, monthly rent in arrears, residual value at the end.

Financed is the price less the down payment; with i a twelfth of the annual rate, n months and the
residual value v,

    rent = (financed − v / (1 + i)^n) · i / (1 − (1 + i)^(−n)),

rounded down. Interest is earned, and loss expected, on the average balance (financed + v) / 2;
collateral is held against all that is financed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from server.desk.policy.facts import Facts, FactType, Unit
from server.desk.policy.kinds import Bound, Exposure, GradeTerms, Inputs, TenorUnit
from server.desk.policy.rounding import ONE, floor_minor, percent


@dataclass(frozen=True)
class EquipmentLease:
    """Settings.

    Attributes:
        residual: (months, share of the price) of the used equipment, months ascending, shares
            falling; between them in a straight line, before the first from the whole price.
        residual_haircut: taken off that share.
    """

    residual: tuple[tuple[int, Decimal], ...]
    residual_haircut: Decimal

    share_key: ClassVar[str] = "down_payment_share"
    tenor_key: ClassVar[str] = "most_tenor_months"
    tenor_unit: ClassVar[TenorUnit] = TenorUnit.MONTHS
    asked: ClassVar[str] = "price_minor"
    inputs: ClassVar[Inputs] = {
        "price_minor": (FactType.INTEGER, Unit.MINOR),
        "requested_months": (FactType.INTEGER, Unit.MONTHS),
    }

    def most(self, terms: GradeTerms, facts: Facts) -> Bound:
        """The price less the grade's down payment."""
        financed = floor_minor((ONE - terms.share) * facts.whole("price_minor"))
        return Bound(min(financed, terms.most_minor))

    def tenor(self, terms: GradeTerms, facts: Facts) -> int | None:
        """As asked for, and no longer than the grade's."""
        return max(1, min(facts.whole("requested_months"), terms.tenor))

    def exposure(self, limit: int, tenor: int, facts: Facts) -> Exposure:
        """The average balance; collateral is held against the whole."""
        balance = Decimal(limit + self.residual_minor(limit, tenor, facts)) / 2
        return Exposure(balance, balance, Decimal(limit))

    def probability(self, own: Decimal, facts: Facts) -> Decimal:
        """The firm's own."""
        return own

    def residual_minor(self, limit: int, tenor: int, facts: Facts) -> int:
        """The residual value reckoned with, down; never more than is financed."""
        price = facts.whole("price_minor")
        return min(limit, floor_minor(price * self.residual_share(tenor)))

    def residual_share(self, months: int) -> Decimal:
        """Of the price after so many months, less the haircut."""
        before, share = 0, ONE
        for after, then in self.residual:
            if months <= after:
                along = Decimal(months - before) / (after - before)
                share += along * (then - share)
                break
            before, share = after, then
        return share * (ONE - self.residual_haircut)

    def terms(
        self, limit: int, rate: Decimal, tenor: int, facts: Facts
    ) -> dict[str, int | Decimal]:
        """Down payment, rent a month and residual value."""
        residual = self.residual_minor(limit, tenor, facts)
        monthly = rate / 12
        if monthly:
            discount = (ONE + monthly) ** -tenor
            rent = (limit - residual * discount) * monthly / (ONE - discount)
        else:
            rent = Decimal(limit - residual) / tenor
        return {
            "down_payment_minor": facts.whole("price_minor") - limit,
            "rent_minor": floor_minor(rent),
            "residual_minor": residual,
        }

    def words(self) -> list[str]:
        """What the settings say."""
        values = ", ".join(f"{percent(share)} after {months}" for months, share in self.residual)
        return [
            f"Used equipment is worth {values} months, less {percent(self.residual_haircut)}; "
            "that is the residual value."
        ]

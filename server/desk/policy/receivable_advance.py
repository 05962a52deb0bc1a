"""The receivable advance: part of an invoice now, priced by supplier and debtor together.

The advance rate is the supplier's grade's share times a factor of the debtor's grade. What can be
lost:

- with recourse the bank loses where debtor AND supplier fail. Two defaults with probabilities d and
  s and default correlation ρ happen together with
      d·s + ρ·√(d(1 − d))·√(s(1 − s)),  never more than the smaller of d and s
  (for s above 1/2, √(s(1 − s)) stays at 1/2, so that a riskier supplier is never the better one);
- without recourse it loses where the debtor fails, and where the supplier's failure brings
  disputes that the debtor need not pay (dilution): d + (1 − d)·s·(dilution share).

The discount is true to the annual rate: the payout earns the rate until the tenor's end,
payout = advance / (1 + rate · days / 365), and the discount is the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import ClassVar

from server.desk.policy.decision import RuleText
from server.desk.policy.facts import Facts, FactType, Unit
from server.desk.policy.kinds import Bound, Exposure, Grade, GradeTerms, Inputs, TenorUnit
from server.desk.policy.rounding import (
    ONE,
    ceiling_minor,
    floor_minor,
    floor_share,
    percent,
)

_HALF = Decimal("0.5")


@dataclass(frozen=True)
class ReceivableAdvance:
    """Settings.

    Attributes:
        recourse: whether the supplier must pay where the debtor does not.
        default_correlation: ρ, with recourse.
        dilution_share: of receivables that dilute where the supplier fails, without recourse.
        debtor_rule: declines debtors of grades without a factor.
        factors: by the debtor's grade.
        grades: of the policy; they grade debtors too.
        probability_floor, probability_decimals: as for the score.
        grace_days: added to the days until the invoice is due.
    """

    recourse: bool
    default_correlation: Decimal
    dilution_share: Decimal
    debtor_rule: RuleText
    factors: Mapping[str, Decimal]
    grades: tuple[Grade, ...]
    probability_floor: Decimal
    probability_decimals: int
    grace_days: int

    share_key: ClassVar[str] = "advance_share"
    tenor_key: ClassVar[str] = "most_tenor_days"
    tenor_unit: ClassVar[TenorUnit] = TenorUnit.DAYS
    asked: ClassVar[str] = "invoice_minor"
    inputs: ClassVar[Inputs] = {
        "invoice_minor": (FactType.INTEGER, Unit.MINOR),
        "days_to_due": (FactType.INTEGER, Unit.DAYS),
        "debtor_probability": (FactType.DECIMAL, Unit.SHARE),
    }

    def most(self, terms: GradeTerms, facts: Facts) -> Bound:
        """The supplier's share times the debtor's factor of the invoice."""
        factor = self._factor(facts)
        if not factor:
            return Bound(0, self.debtor_rule)
        advance = floor_minor(terms.share * factor * facts.whole("invoice_minor"))
        return Bound(min(advance, terms.most_minor))

    def tenor(self, terms: GradeTerms, facts: Facts) -> int | None:
        """Until the invoice is due, and the days of grace."""
        needed = max(1, facts.whole("days_to_due") + self.grace_days)
        return needed if needed <= terms.tenor else None

    def exposure(self, limit: int, tenor: int, facts: Facts) -> Exposure:
        """The whole advance."""
        amount = Decimal(limit)
        return Exposure(amount, amount, amount)

    def probability(self, own: Decimal, facts: Facts) -> Decimal:
        """That the advance is not paid back: see the module's head."""
        debtor = self._debtor(facts)
        if not self.recourse:
            return debtor + (ONE - debtor) * own * self.dilution_share
        held = min(own, _HALF)
        together = debtor * own + self.default_correlation * (
            (debtor * (ONE - debtor)).sqrt() * (held * (ONE - held)).sqrt()
        )
        return max(self.probability_floor, min(together, debtor, own))

    def terms(
        self, limit: int, rate: Decimal, tenor: int, facts: Facts
    ) -> dict[str, int | Decimal]:
        """Advance rate (rounded down), discount, payout (rounded up), whether with recourse (1)."""
        payout = min(limit, ceiling_minor(limit / (ONE + rate * tenor / 365)))
        invoice = facts.whole("invoice_minor")
        return {
            "advance_rate": floor_share(limit, invoice),
            "discount_minor": limit - payout,
            "payout_minor": payout,
            "held_back_minor": invoice - limit,
            "recourse": int(self.recourse),
        }

    def words(self) -> list[str]:
        """What the settings say."""
        factors = ", ".join(f"{name} {percent(one)}" for name, one in self.factors.items())
        if self.recourse:
            how = (
                "With recourse: it is lost where debtor and supplier both fail (default "
                f"correlation {percent(self.default_correlation)})."
            )
        else:
            how = (
                "Without recourse: it is lost where the debtor fails, and where the supplier fails "
                f"{percent(self.dilution_share)} of it dilute."
            )
        return [
            f"The advance is multiplied by the debtor's grade: {factors}; other grades get none "
            f"(rule {self.debtor_rule.id}).",
            how,
            f"It runs until the invoice is due, and {self.grace_days} days longer.",
        ]

    def _debtor(self, facts: Facts) -> Decimal:
        step = ONE.scaleb(-self.probability_decimals)
        known = facts.decimal("debtor_probability").quantize(step, ROUND_HALF_EVEN)
        return max(known, self.probability_floor)

    def _factor(self, facts: Facts) -> Decimal:
        debtor = self._debtor(facts)
        for grade in self.grades:
            if debtor <= grade.up_to:
                return self.factors.get(grade.name, Decimal(0))
        return Decimal(0)

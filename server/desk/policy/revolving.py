"""The revolving working-capital loan: borrow and repay at any time, up to a limit that moves.

The limit aims at a share of yearly turnover, by grade. An existing one follows its aim:

- down at once, to the aim, whatever is drawn (what is drawn above it is repaid as agreed, and
  nothing more can be drawn);
- up by steps: not sooner than so many days after the last rise, and by at most a share of the
  present limit;
- not up where it is nearly always drawn in full (a firm that lives off its limit);
- down to a share of itself where it is hardly drawn.

In a review that the firm did not ask for, `requested_minor` is the most that it may get, such as
the product's largest limit.

Exposure at default: drawn + credit conversion factor × undrawn, 'drawn' being what is drawn now or
the limit times its usual utilisation, whichever is more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from server.desk.policy.facts import Facts, FactType, Unit
from server.desk.policy.kinds import Bound, Exposure, GradeTerms, Inputs, TenorUnit
from server.desk.policy.rounding import floor_minor, percent


@dataclass(frozen=True)
class Revolving:
    """Settings.

    Attributes:
        credit_conversion_factor: of what is not drawn.
        least_utilisation: reckoned with, however little is drawn.
        most_rise_share: of the present limit, in one rise.
        days_between_rises: at least.
        strained_above: utilisation above which there is no rise.
        idle_below: utilisation below which a limit is cut to `idle_keeps` of itself.
    """

    credit_conversion_factor: Decimal
    least_utilisation: Decimal
    most_rise_share: Decimal
    days_between_rises: int
    strained_above: Decimal
    idle_below: Decimal
    idle_keeps: Decimal

    share_key: ClassVar[str] = "turnover_share"
    tenor_key: ClassVar[str] = "tenor_months"
    tenor_unit: ClassVar[TenorUnit] = TenorUnit.MONTHS
    asked: ClassVar[str] = "requested_minor"
    inputs: ClassVar[Inputs] = {
        "requested_minor": (FactType.INTEGER, Unit.MINOR),
        "annual_turnover_minor": (FactType.INTEGER, Unit.MINOR),
        "current_limit_minor": (FactType.INTEGER, Unit.MINOR),
        "drawn_minor": (FactType.INTEGER, Unit.MINOR),
        "average_utilisation": (FactType.DECIMAL, Unit.SHARE),
        "days_since_rise": (FactType.INTEGER, Unit.DAYS),
    }

    def most(self, terms: GradeTerms, facts: Facts) -> Bound:
        """The limit's aim, or as far as an existing limit may follow it."""
        aim = min(
            floor_minor(terms.share * facts.whole("annual_turnover_minor")),
            terms.most_minor,
            facts.whole("requested_minor"),
        )
        current = facts.whole("current_limit_minor")
        if not current:
            return Bound(aim)
        utilisation = facts.decimal("average_utilisation")
        if utilisation < self.idle_below:
            aim = min(aim, floor_minor(self.idle_keeps * current))
        may_rise = (
            utilisation <= self.strained_above
            and facts.whole("days_since_rise") >= self.days_between_rises
        )
        rise = floor_minor(self.most_rise_share * current) if may_rise else 0
        return Bound(min(aim, current + rise))

    def tenor(self, terms: GradeTerms, facts: Facts) -> int | None:
        """The grade's."""
        return terms.tenor

    def exposure(self, limit: int, tenor: int, facts: Facts) -> Exposure:
        """Drawn, and drawn + CCF × undrawn."""
        utilisation = max(facts.decimal("average_utilisation"), self.least_utilisation)
        drawn = max(Decimal(facts.whole("drawn_minor")), limit * utilisation)
        undrawn = max(Decimal(0), limit - drawn)
        at_default = drawn + self.credit_conversion_factor * undrawn
        return Exposure(drawn, at_default, at_default)

    def probability(self, own: Decimal, facts: Facts) -> Decimal:
        """The firm's own."""
        return own

    def terms(
        self, limit: int, rate: Decimal, tenor: int, facts: Facts
    ) -> dict[str, int | Decimal]:
        """What can still be drawn, and how far the limit moves."""
        return {
            "available_minor": max(0, limit - facts.whole("drawn_minor")),
            "limit_change_minor": limit - facts.whole("current_limit_minor"),
        }

    def words(self) -> list[str]:
        """What the settings say."""
        return [
            f"An existing limit rises by at most {percent(self.most_rise_share)} of itself, "
            f"{self.days_between_rises} days or more after the last rise, and not where more than "
            f"{percent(self.strained_above)} of it is drawn on average. Cuts take effect at once.",
            f"Where less than {percent(self.idle_below)} is drawn on average, at most "
            f"{percent(self.idle_keeps)} of the present limit stay.",
            "Exposure at default is what is drawn (at least "
            f"{percent(self.least_utilisation)} of the limit) and "
            f"{percent(self.credit_conversion_factor)} of the rest.",
        ]

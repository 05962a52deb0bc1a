"""Risk-based pricing: what a loan must earn a year, on the balance that is drawn.

    rate = funding + operating + expected loss + capital charge + margin

- operating: a rate, and the cost of the contract spread over balance and tenor;
- expected loss: PD over the tenor × LGD × EAD, spread likewise. PD over the tenor comes from the
  score's horizon by a constant hazard: 1 − (1 − PD)^(tenor / horizon);
- capital charge: risk weight × capital ratio × cost of capital × EAD / balance. The part that is
  protected has its protectors' risk weight.

Months are twelfths of a year, days 365ths. The rate is all-in: there are no fees beside it, so
that a rate cap compares like with like.

A riskier borrower never pays less: where a lower limit or a shorter tenor would make a riskier
grade the cheaper one (better covered, less capital), the rate is that of the safer grade's upper
end on the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from server.desk.policy.decision import Economics
from server.desk.policy.facts import Facts
from server.desk.policy.kinds import Exposure
from server.desk.policy.loss import Protected
from server.desk.policy.product import Product
from server.desk.policy.rounding import ONE, ceiling_minor, floor_minor, over_horizon


@dataclass(frozen=True, slots=True)
class Cost:
    """What a loan costs a year and where it comes from; `rate` is all of it but the margin."""

    rate: Decimal
    years: Decimal
    exposure: Exposure
    probability: Decimal
    over_tenor: Decimal
    loss_given_default: Decimal
    risk_weight: Decimal
    operating: Decimal
    capital_charge: Decimal


@dataclass(frozen=True, slots=True)
class Applicant:
    """What pricing takes from an application, the same for every grade.

    Attributes:
        facts: checked.
        protected: what others bear of a loss.
        sales: for the capital formula, see `CapitalSettings.sales`.
        horizon_months: the score's.
    """

    facts: Facts
    protected: Protected
    sales: Decimal | None
    horizon_months: int


def applicant_of(product: Product, facts: Facts, horizon_months: int) -> Applicant:
    """An application's part in pricing."""
    capital = product.capital
    sales = facts.whole(capital.sales_fact) if capital.sales_fact else None
    return Applicant(facts, product.loss.protected(facts), capital.sales(sales), horizon_months)


def cost_of(product: Product, own: Decimal, limit: int, tenor: int, applicant: Applicant) -> Cost:
    """The yearly cost of lending.

    Args:
        product: the product.
        own: the applicant's probability of default over the score's horizon, after the floor.
        limit: from 1 up.
        tenor: in the product's unit, from 1 up.
        applicant: who applies.
    """
    facts, horizon_months = applicant.facts, applicant.horizon_months
    kind, pricing, capital = product.kind, product.pricing, product.capital
    probability = kind.probability(own, facts)
    years = Decimal(tenor) / kind.tenor_unit.a_year
    over_tenor = over_horizon(probability, years * 12 / horizon_months)
    exposure = kind.exposure(limit, tenor, facts)
    before = product.loss.after_collateral(exposure.to_cover, facts)
    protected = applicant.protected
    after = before * (ONE - protected.share)
    yearly = probability
    if horizon_months != 12:
        yearly = over_horizon(probability, Decimal(12) / horizon_months)
    weight = capital.risk_weight(yearly, before, applicant.sales, years)
    weight = weight * (ONE - protected.share) + protected.weighted
    share = exposure.at_default / exposure.drawn
    operating = pricing.operating_rate + pricing.operating_minor / (exposure.drawn * years)
    charge = weight * capital.capital_ratio * capital.cost_of_capital * share
    rate = pricing.funding_rate + operating + over_tenor * after * share / years + charge
    return Cost(rate, years, exposure, probability, over_tenor, after, weight, operating, charge)


def economics_of(product: Product, cost: Cost, rate: Decimal) -> Economics:
    """What the loan is expected to bring at an annual rate: income rounded down, the rest up."""
    drawn_years = cost.exposure.drawn * cost.years
    at_default = cost.exposure.at_default
    income = floor_minor(rate * drawn_years)
    lost = ceiling_minor(cost.over_tenor * cost.loss_given_default * at_default)
    funding = ceiling_minor(product.pricing.funding_rate * drawn_years)
    operating = ceiling_minor(cost.operating * drawn_years)
    charge = ceiling_minor(cost.capital_charge * drawn_years)
    return Economics(
        probability=cost.probability,
        probability_over_tenor=cost.over_tenor,
        loss_given_default=cost.loss_given_default,
        exposure_at_default_minor=ceiling_minor(at_default),
        expected_loss_minor=lost,
        risk_weight=cost.risk_weight,
        capital_minor=ceiling_minor(cost.risk_weight * product.capital.capital_ratio * at_default),
        income_minor=income,
        funding_minor=funding,
        operating_minor=operating,
        capital_charge_minor=charge,
        profit_minor=income - lost - funding - operating - charge,
    )

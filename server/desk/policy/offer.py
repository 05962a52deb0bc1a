"""What one grade gets on an applicant's facts: limit, tenor and price, or the rule that says no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from server.desk.policy.decision import RuleText
from server.desk.policy.facts import Facts
from server.desk.policy.kinds import Grade, GradeTerms
from server.desk.policy.pricing import Cost, applicant_of, cost_of
from server.desk.policy.product import OverCap, Product
from server.desk.policy.rounding import ONE, down_to_step, floor_minor, up_to_step


@dataclass(frozen=True)
class Cap:
    """A rule's upper bound of the limit: a concentration, or no increase."""

    minor: int
    rule: RuleText


@dataclass(frozen=True)
class Limits:
    """What bounds a limit beside the grade's terms: caps in order, then a haircut."""

    caps: tuple[Cap, ...] = ()
    haircut: RuleText | None = None
    limit_share: Decimal = ONE


@dataclass(frozen=True, slots=True)
class Offer:
    """A limit with its tenor and price.

    Attributes:
        bound_by: rules beside the grade's own that lowered the limit.
    """

    limit: int
    tenor: int
    rate: Decimal
    cost: Cost
    bound_by: tuple[RuleText, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """No offer, and the rule that says so."""

    rule: RuleText


@dataclass(frozen=True, slots=True)
class _Sized:
    limit: int
    tenor: int
    bound_by: tuple[RuleText, ...]


def offer_to(
    product: Product,
    grades: Sequence[Grade],
    place: int,
    probability: Decimal,
    facts: Facts,
    limits: Limits,
    horizon_months: int,
) -> Offer | Refusal:
    """The offer to a borrower of a grade that is not declined.

    Args:
        product: the product.
        grades: of the policy.
        place: of the borrower's grade among them.
        probability: of default, within that grade.
        facts: of the application.
        limits: that stand beside the grade's.
        horizon_months: of the score.
    """
    terms = product.terms[place]
    own = _sized(product, terms, facts, limits)
    if isinstance(own, Refusal):
        return own
    applicant = applicant_of(product, facts, horizon_months)
    cost = cost_of(product, probability, own.limit, own.tenor, applicant)
    # Safer grades on the same facts, each at its riskiest: nobody riskier pays less.
    safer = []
    for better, grade in zip(product.terms[:place], grades[:place], strict=True):
        if better.tenor:
            sized = _sized(product, better, facts, limits)
            # With limit, tenor and margin alike, less risk never costs more.
            if isinstance(sized, Refusal) or (
                (sized.limit, sized.tenor) == (own.limit, own.tenor)
                and better.margin <= terms.margin
            ):
                continue
            safer.append((better, grade.up_to, sized))
    needed = cost.rate + terms.margin
    for better, up_to, sized in safer:
        theirs = cost_of(product, up_to, sized.limit, sized.tenor, applicant)
        needed = max(needed, theirs.rate + better.margin)
    rate = max(up_to_step(needed, product.pricing.rate_step), product.pricing.least_rate)
    cap = product.rate_cap
    if rate <= cap.most:
        return Offer(own.limit, own.tenor, rate, cost, own.bound_by)
    if cap.then is OverCap.DECLINE:
        return Refusal(cap.rule)
    limit = _lowered(product, own.limit)
    if limit < product.smallest_minor:
        return Refusal(cap.rule)
    cost = cost_of(product, probability, limit, own.tenor, applicant)
    least = cost.rate
    for _, up_to, sized in safer:
        lower = max(_lowered(product, sized.limit), limit)
        theirs = cost_of(product, up_to, lower, sized.tenor, applicant)
        least = max(least, theirs.rate)
    if least + cap.least_margin > cap.most:
        return Refusal(cap.rule)
    return Offer(limit, own.tenor, cap.most, cost, (*own.bound_by, cap.rule))


def _sized(product: Product, terms: GradeTerms, facts: Facts, limits: Limits) -> _Sized | Refusal:
    """Limit and tenor: the grade's own, then caps, then the haircut, then down to the step."""
    bound = product.kind.most(terms, facts)
    minor = bound.minor
    by: tuple[RuleText, ...] = () if bound.rule is None else (bound.rule,)
    for cap in limits.caps:
        if cap.minor < minor:
            minor = cap.minor
            by = (*by, cap.rule)
    if limits.haircut is not None:
        minor = floor_minor(minor * limits.limit_share)
        by = (*by, limits.haircut)
    minor = down_to_step(minor, product.step_minor)
    if minor < product.smallest_minor:
        # The last rule that lowered it: without one it was too small by its own terms.
        return Refusal(by[-1] if by else product.smallest)
    tenor = product.kind.tenor(terms, facts)
    if tenor is None:
        return Refusal(product.too_long or product.smallest)
    return _Sized(minor, tenor, by)


def _lowered(product: Product, limit: int) -> int:
    return down_to_step(floor_minor(limit * product.rate_cap.limit_share), product.step_minor)

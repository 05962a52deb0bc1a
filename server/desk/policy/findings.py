"""What a reviewer should know about a policy that its parser lets pass: gaps, overlaps, order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from server.desk.decisions import Fact
from server.desk.policy.decision import Application, LendingDecision, Outcome
from server.desk.policy.equipment_lease import EquipmentLease
from server.desk.policy.kinds import GradeTerms
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.product import Product
from server.desk.policy.receivable_advance import ReceivableAdvance
from server.desk.policy.rounding import plain
from server.desk.policy.rules import Blocked, Comparison, Concentration, Requirement, Then

SOON = timedelta(days=60)
RANK = {Outcome.APPROVE: 0, Outcome.REFER: 1, Outcome.DECLINE: 2}
PROBES = 5  # a grade, ends included


@dataclass(frozen=True)
class Finding:
    """One thing to look at: where it stands in the policy, and a sentence."""

    where: str
    sentence: str


def findings(policy: LendingPolicy, today: date) -> list[Finding]:
    """All of them, in the order of the file."""
    return [
        *_validity(policy, today),
        *_grades(policy),
        *_rules(policy),
        *(one for product in policy.products.values() for one in _product(policy, product)),
    ]


def example_facts(product: Product) -> dict[str, Fact]:
    """A product's facts by its defaults and examples."""
    return {name: spec.stand_in for name, spec in product.facts.items()}


def _validity(policy: LendingPolicy, today: date) -> Iterator[Finding]:
    if not policy.in_force(today):
        yield Finding("validity", f"the policy is not in force on {today}")
    elif policy.valid_until is not None and policy.valid_until - today <= SOON:
        yield Finding("validity", f"the policy ends on {policy.valid_until}, within 60 days")


def _grades(policy: LendingPolicy) -> Iterator[Finding]:
    for grade in policy.grades:
        if grade.up_to < policy.score.floor:
            yield Finding(
                f"grade {grade.name}",
                "nobody is in it: probabilities are never below the floor of "
                f"{plain(policy.score.floor)}",
            )


def _rules(policy: LendingPolicy) -> Iterator[Finding]:
    for place, rule in enumerate(policy.rules):
        where = f"rule {rule.rule.id}"
        if isinstance(rule, Concentration):
            for name in sorted(rule.products):
                if not rule.share_of and rule.most_minor < policy.products[name].smallest_minor:
                    yield Finding(
                        where, f"its cap is below the smallest limit of {name}: all are declined"
                    )
            continue
        if isinstance(rule.test, Blocked) and not rule.test.blocked.entries:
            yield Finding(where, "its blocked list is empty")
        for other in policy.rules[:place]:
            if isinstance(other, Concentration) or not rule.products & other.products:
                continue
            if rule.products <= other.products and _covers(other.test, rule.test):
                stronger = other.then is Then.DECLINE or other.then is rule.then
                if stronger:
                    yield Finding(
                        where, f"overlaps: whenever it fires, {other.rule.id} has fired already"
                    )


def _covers(first: object, second: object) -> bool:
    """Whether the first test fires wherever the second one does."""
    if not isinstance(first, Requirement) or not isinstance(second, Requirement):
        return first == second
    if (first.fact, first.comparison) != (second.fact, second.comparison):
        return False
    if first.comparison is Comparison.AT_LEAST:
        return bool(first.right[0] >= second.right[0])  # type: ignore[operator]
    if first.comparison is Comparison.AT_MOST:
        return bool(first.right[0] <= second.right[0])  # type: ignore[operator]
    if first.comparison is Comparison.NONE_OF:
        return set(first.right) >= set(second.right)
    return set(first.right) <= set(second.right)


def _product(policy: LendingPolicy, product: Product) -> Iterator[Finding]:
    where = f"product {product.name}"
    for name in sorted(set(product.facts) - _used_facts(policy, product)):
        yield Finding(where, f"no rule and no price uses the fact '{name}'")
    if all(terms.outcome is Outcome.DECLINE for terms in product.terms):
        yield Finding(where, "a gap: every grade is declined")
    if isinstance(product.kind, ReceivableAdvance):
        yield from _debtors(policy, product, product.kind)
    lending = [terms for terms in product.terms if terms.outcome is not Outcome.DECLINE]
    for safer, riskier in zip(product.terms, product.terms[1:], strict=False):
        if RANK[riskier.outcome] < RANK[safer.outcome]:
            yield Finding(
                f"rule {riskier.rule.id}",
                f"not monotone: grade {riskier.grade} gets '{riskier.outcome}', the safer grade "
                f"{safer.grade} '{safer.outcome}'",
            )
    for safer, riskier in itertools.pairwise(lending):
        yield from _pair(product, safer, riskier)
    if policy.in_force(policy.valid_from):
        yield from _probed(policy, product)


def _debtors(policy: LendingPolicy, product: Product, kind: ReceivableAdvance) -> Iterator[Finding]:
    factors = [kind.factors.get(grade.name, Decimal(0)) for grade in policy.grades]
    where = f"product {product.name}"
    for place, (safer, riskier) in enumerate(itertools.pairwise(factors)):
        if riskier > safer:
            name = policy.grades[place + 1].name
            yield Finding(where, f"not monotone: debtors of grade {name} get more than safer ones")


def _pair(product: Product, safer: GradeTerms, riskier: GradeTerms) -> Iterator[Finding]:
    where = f"rule {riskier.rule.id}"
    lease = isinstance(product.kind, EquipmentLease)
    better = []
    if riskier.share < safer.share if lease else riskier.share > safer.share:
        better.append("a smaller down payment" if lease else "a larger share")
    if riskier.most_minor > safer.most_minor:
        better.append("a higher limit")
    if riskier.tenor > safer.tenor:
        better.append("a longer tenor")
    if riskier.margin < safer.margin:
        better.append("a lower margin")
    if better:
        yield Finding(
            where,
            f"not monotone: grade {riskier.grade} gets {' and '.join(better)} than the safer "
            f"grade {safer.grade}",
        )
    same = (safer.share, safer.most_minor, safer.tenor, safer.margin, safer.outcome)
    if same == (riskier.share, riskier.most_minor, riskier.tenor, riskier.margin, riskier.outcome):
        yield Finding(where, f"says the same as {safer.rule.id}: one grade would do")


def _probed(policy: LendingPolicy, product: Product) -> Iterator[Finding]:
    """Decide on the examples all along the scale of probability."""
    facts = example_facts(product)
    before: LendingDecision | None = None
    for place, terms in enumerate(product.terms):
        grade = policy.grades[place]
        low = policy.grades[place - 1].up_to if place else policy.score.floor
        refused: set[str] = set()
        offers = 0
        for probe in range(PROBES + 1):
            along = low + (grade.up_to - low) * probe / PROBES
            application = Application(product.name, "", float(along), facts)
            made = policy.decide(application, policy.valid_from)
            if before is not None and _better(made, before):
                yield Finding(
                    f"rule {made.rule}",
                    f"not monotone on the examples: at a probability of {plain(along)} the offer "
                    "is better than at a lower one",
                )
            if made.grade == terms.grade and made.outcome is Outcome.DECLINE:
                refused.add(made.rule)
            elif made.grade == terms.grade:
                offers += 1
            before = made
        refused.discard(terms.rule.id)
        if refused:
            rules, part = ", ".join(sorted(refused)), "partly" if offers else "always"
            yield Finding(
                f"rule {terms.rule.id}",
                f"a gap: on the examples grade {grade.name} is {part} declined by {rules}",
            )


def _better(now: LendingDecision, before: LendingDecision) -> bool:
    if RANK[now.outcome] != RANK[before.outcome]:
        return RANK[now.outcome] < RANK[before.outcome]
    if not now.terms:
        return False
    return (
        now.terms["limit_minor"] > before.terms["limit_minor"]
        or now.terms["annual_rate"] < before.terms["annual_rate"]
    )


def _used_facts(policy: LendingPolicy, product: Product) -> set[str]:
    used = set(product.kind.inputs)
    used |= {pledge.value for pledge in product.loss.pledges}
    used |= {protection.share for protection in product.loss.protections}
    used.add(product.capital.sales_fact)
    for rule in policy.rules:
        if product.name in rule.products:
            used |= set(rule.uses if isinstance(rule, Concentration) else rule.test.uses)
    return used

"""A policy in plain words, for those who sign it off."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

from server.desk.policy.capital import CapitalMethod
from server.desk.policy.decision import Application, Outcome
from server.desk.policy.findings import example_facts
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.product import OverCap, Product, WhenSilent
from server.desk.policy.rounding import CONTEXT, money, percent
from server.desk.policy.rules import Concentration, HardRule, Then

_THEN = {
    Then.DECLINE: "declined",
    Then.REFER: "referred to a person",
    Then.NO_INCREASE: "not given a higher limit than now (referred, if there is none)",
}
_CAPITAL = {
    CapitalMethod.CORPORATE: "Basel's corporate risk weights (CRE31.5)",
    CapitalMethod.RETAIL: "Basel's risk weights of other retail exposures (CRE31.24)",
}


def describe(policy: LendingPolicy) -> list[str]:
    """Lines of text."""
    with localcontext(CONTEXT):
        return list(_lines(policy))


def _lines(policy: LendingPolicy) -> Iterator[str]:
    until = f" to {policy.valid_until}" if policy.valid_until else ""
    yield f"{policy.label}, in force from {policy.valid_from}{until}"
    yield f"digest {policy.digest}"
    yield ""
    score = policy.score
    yield (
        f"The score's probability of default is over {score.horizon_months} months, rounded to "
        f"{score.decimals} decimals, and at least {percent(score.floor)}."
    )
    bands = ", ".join(f"{grade.name} up to {percent(grade.up_to)}" for grade in policy.grades)
    yield f"Grades: {bands}."
    yield ""
    yield "Hard rules, in this order:"
    for rule in policy.rules:
        yield f"  {rule.rule.id}: {_rule_words(policy, rule)}"
    for product in policy.products.values():
        yield ""
        yield from _product_lines(policy, product)


def _rule_words(policy: LendingPolicy, rule: HardRule | Concentration) -> str:
    scope = ""
    if rule.products != frozenset(policy.products):
        scope = f" ({', '.join(sorted(rule.products))})"
    if isinstance(rule, HardRule):
        return f"{_THEN[rule.then]} if {rule.test.words()}{scope}"
    most = _money(policy, rule.most_minor)
    if rule.share_of:
        most = f"{percent(rule.most_share)} of {rule.share_of}"
    return f"all exposures to {rule.subject} together stay within {most}{scope}"


def _product_lines(policy: LendingPolicy, product: Product) -> Iterator[str]:
    yield f"{product.title} ({product.name}, {product.kind_name})"
    smallest = _money(policy, product.smallest_minor)
    yield (
        f"  Limits are multiples of {_money(policy, product.step_minor)}, {smallest} or more "
        f"({product.smallest.id})."
    )
    for line in product.kind.words():
        yield f"  {line}"
    yield f"  {_loss_words(product)}"
    yield f"  {_price_words(policy, product)}"
    yield f"  {_cap_words(product)}"
    silence = product.silence
    then = {
        WhenSilent.REFER: "a person decides",
        WhenSilent.HAIRCUT: f"{percent(silence.limit_share)} of the limit are left",
        WhenSilent.NO_INCREASE: "an existing limit does not rise and a new one is referred",
        WhenSilent.AS_IS: "nothing else follows",
    }[silence.then]
    yield f"  If a party was silent and the score came from a fallback, {then} ({silence.rule.id})."
    unit = str(product.kind.tenor_unit)
    numbers = f"{'share':>8}{'most':>20}{unit:>8}{'margin':>9}"
    yield f"  {'rule':<14}{'grade':<7}{'decision':<10}{numbers}"
    for terms in product.terms:
        head = f"  {terms.rule.id:<14}{terms.grade:<7}{terms.outcome:<10}"
        if terms.outcome is Outcome.DECLINE:
            yield head.rstrip()
            continue
        most = _money(policy, terms.most_minor)
        yield (
            f"{head}{percent(terms.share):>8}{most:>20}{terms.tenor:>8}{percent(terms.margin):>9}"
        )
    yield "  On the examples of the file, at each grade's riskiest:"
    facts = example_facts(product)
    for grade in policy.grades:
        application = Application(product.name, "", float(grade.up_to), facts)
        made = policy.decide(application, policy.valid_from)
        said = f"{made.outcome} by {made.rule}"
        if made.terms:
            limit, rate = int(made.terms["limit_minor"]), made.terms["annual_rate"]
            said += f": {_money(policy, limit)} at {percent(Decimal(rate))}"
        yield f"    {grade.name} ({percent(grade.up_to)}): {said}"


def _loss_words(product: Product) -> str:
    loss = product.loss
    text = f"Of an exposure {percent(loss.unsecured)} are lost, {percent(loss.floor)} at least"
    for pledge in loss.pledges:
        kind = pledge.type
        text += (
            f"; where {pledge.value} ({kind.name}, haircut {percent(kind.haircut)}) covers, "
            f"{percent(kind.loss_given_default)}, at least {percent(kind.floor)}"
        )
    for protection in loss.protections:
        text += (
            f"; {protection.name} bears {protection.share}, counted on to "
            f"{percent(protection.counted_on)}"
        )
    return f"{text}; {percent(loss.least_own_share)} of every loss stay with the bank."


def _price_words(policy: LendingPolicy, product: Product) -> str:
    pricing, capital = product.pricing, product.capital
    method = _CAPITAL.get(capital.method, f"a risk weight of {percent(capital.flat_risk_weight)}")
    firm = ", with the firm-size adjustment" if capital.sales_fact else ""
    return (
        f"Price a year: funding {percent(pricing.funding_rate)}, operating "
        f"{percent(pricing.operating_rate)} and {_money(policy, pricing.operating_minor)} a "
        f"contract, expected loss, {percent(capital.cost_of_capital)} on capital of "
        f"{percent(capital.capital_ratio)} of {method}{firm}, and the margin; up to the next "
        f"{percent(pricing.rate_step)}, {percent(pricing.least_rate)} at least."
    )


def _cap_words(product: Product) -> str:
    cap = product.rate_cap
    if cap.then is OverCap.DECLINE:
        return f"Above {percent(cap.most)} it is declined ({cap.rule.id})."
    return (
        f"Above {percent(cap.most)} the limit is cut to {percent(cap.limit_share)} at that rate, "
        f"if a margin of {percent(cap.least_margin)} is left; else it is declined ({cap.rule.id})."
    )


def _money(policy: LendingPolicy, minor: int) -> str:
    return money(minor, policy.currency.code, policy.currency.digits)

"""What holds for every policy whose terms are in order, every application and every probability."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.desk.policy.decision import Application, Outcome
from server.desk.policy.rounding import money, probability_from
from tests.server.desk.policies import (
    DAY,
    POLICY,
    PRODUCTS,
    STEP,
    all_facts,
    applied,
    no_better,
    policies,
    probabilities,
)

CASES = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("product", PRODUCTS)
@CASES
@given(data=st.data())
def test_a_riskier_borrower_never_gets_a_better_offer(product: str, data: st.DataObject) -> None:
    """The limit never rises, the rate never falls, the decision never improves."""
    policy = data.draw(policies(product))
    facts = data.draw(all_facts(policy.products[product]))
    silent = data.draw(st.sampled_from(((), ("platform",))))
    chances = sorted(data.draw(st.lists(probabilities(), min_size=2, max_size=6)))
    made = [
        policy.decide(Application(product, "firm", one, facts, silent=silent), DAY)
        for one in chances
    ]
    for safer, riskier in pairwise(made):
        assert no_better(riskier, safer)


@pytest.mark.parametrize("product", PRODUCTS)
@CASES
@given(data=st.data())
def test_every_offer_is_within_the_policys_bounds(product: str, data: st.DataObject) -> None:
    """Limits, rates and tenors; amounts are whole and never negative; a decline offers nothing."""
    policy = data.draw(policies(product))
    sold = policy.products[product]
    facts = data.draw(all_facts(sold))
    silent = data.draw(st.sampled_from(((), ("platform",))))
    chance = data.draw(probabilities())
    application = Application(product, "firm", chance, facts, silent=silent)
    made = policy.decide(application, DAY)
    assert made == policy.decide(application, DAY)
    assert made.rule in made.fired
    if made.outcome is Outcome.DECLINE:
        assert not made.terms
        assert made.economics is None
        return
    place = [grade.name for grade in policy.grades].index(made.grade)
    terms = sold.terms[place]
    limit, rate = made.terms["limit_minor"], made.terms["annual_rate"]
    assert type(limit) is int
    assert type(rate) is Decimal
    assert sold.smallest_minor <= limit <= min(terms.most_minor, facts[sold.kind.asked])
    assert limit % sold.step_minor == 0
    assert sold.pricing.least_rate <= rate <= sold.rate_cap.most
    assert rate % STEP == 0
    assert 1 <= made.terms[f"tenor_{sold.kind.tenor_unit}"] <= terms.tenor
    for name, value in made.terms.items():
        if name.endswith("_minor"):
            assert type(value) is int
            assert value >= 0 or name == "limit_change_minor"
    assert limit + facts["borrower_exposure_minor"] <= 100_000_000
    economics = made.economics
    assert economics is not None
    for name, value in vars(economics).items():
        assert value >= 0 or name == "profit_minor"
    assert economics.profit_minor == (
        economics.income_minor
        - economics.expected_loss_minor
        - economics.funding_minor
        - economics.operating_minor
        - economics.capital_charge_minor
    )
    if product == "receivable-advance":
        assert made.terms["payout_minor"] + made.terms["discount_minor"] == limit
    if product == "equipment-lease":
        assert made.terms["residual_minor"] <= limit


@CASES
@given(data=st.data())
def test_an_offer_below_the_cap_earns_its_margin(data: st.DataObject) -> None:
    """A rate that was not held by the cap pays for all costs: the expected profit is no loss."""
    product = data.draw(st.sampled_from(PRODUCTS))
    policy = data.draw(policies(product))
    facts = data.draw(all_facts(policy.products[product]))
    made = policy.decide(Application(product, "firm", data.draw(probabilities()), facts), DAY)
    if made.economics is not None and policy.products[product].rate_cap.rule.id not in made.fired:
        # Five amounts were rounded against the bank, each by less than a minor unit.
        assert made.economics.profit_minor > -5


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(3, 12))
def test_rounding_a_probability_keeps_the_order(one: float, other: float, decimals: int) -> None:
    """And stays within half a unit of the last decimal."""
    low, high = sorted((one, other))
    assert probability_from(low, decimals) <= probability_from(high, decimals)
    assert abs(probability_from(low, decimals) - Decimal(low)) <= Decimal(1).scaleb(-decimals) / 2


@pytest.mark.parametrize("chance", [0.0, 5e-324, 1e-300, 0.9999999999999999, 1.0])
def test_probabilities_at_the_ends(chance: float) -> None:
    """Nothing breaks at 0, at 1, or at the smallest float."""
    for product in PRODUCTS:
        made = POLICY.decide(applied(chance, product), DAY)
        assert made.grade in ("A", "F")


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**18), 10**18), st.integers(0, 4))
def test_money_reads_back(minor: int, digits: int) -> None:
    """No digit is lost on the way to a sentence."""
    text = money(minor, "EUR", digits).removesuffix(" EUR")
    assert int(text.replace(",", "").replace(".", "").replace("−", "-")) == minor

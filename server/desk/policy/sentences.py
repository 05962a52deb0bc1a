"""A decision in words: a sentence for the borrower, reason codes, notes for the lending system."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from server.desk.answers import GivenReason
from server.desk.decisions import POLICY
from server.desk.policy.decision import Application, Outcome
from server.desk.policy.kinds import TenorUnit
from server.desk.policy.product import Product
from server.desk.policy.rounding import money, percent

if TYPE_CHECKING:
    from server.desk.policy.lending_policy import Assessment, Currency


def decision_sentence(
    assessed: Assessment,
    product: Product,
    currency: Currency,
    terms: Mapping[str, int | Decimal],
) -> str:
    """One short sentence: the offer, or the sentence of the rule that refused or referred."""
    if assessed.outcome is not Outcome.APPROVE or assessed.offer is None:
        return assessed.rule.sentence
    offer = assessed.offer
    tenor = f"{offer.tenor} {_counted(product.kind.tenor_unit, offer.tenor)}"
    price = f"{percent(offer.rate)} a year for {tenor}"
    extra = ""
    if "payout_minor" in terms:
        payout = money(int(terms["payout_minor"]), currency.code, currency.digits)
        extra = f", {payout} of it paid out now"
    if "rent_minor" in terms:
        rent = money(int(terms["rent_minor"]), currency.code, currency.digits)
        extra = f", at a rent of {rent} a month"
    amount = money(offer.limit, currency.code, currency.digits)
    return f"{product.title}: we offer {amount} at {price}{extra}."


def decision_reasons(
    assessed: Assessment, application: Application, product: Product
) -> tuple[GivenReason, ...]:
    """Reason codes: of the rules that declined, referred or lowered, then of the score.

    The score's are left out of a decline that it had no part in, such as a blocked list's.
    """
    granting = {terms.rule.id for terms in product.terms if terms.outcome is Outcome.APPROVE}
    said = tuple(
        GivenReason(POLICY, rule.reason, 0) for rule in assessed.fired if rule.id not in granting
    )
    by_score = {terms.rule.id for terms in product.terms}
    by_score |= {product.rate_cap.rule.id, product.smallest.id}
    if assessed.outcome is Outcome.DECLINE and assessed.rule.id not in by_score:
        return said
    return (*said, *application.reasons)


def decision_notes(
    assessed: Assessment, application: Application, product: Product
) -> tuple[str, ...]:
    """What the lending system should know beside the terms."""
    notes = []
    if application.silent:
        notes.append(
            f"scored without {', '.join(sorted(application.silent))}: {product.silence.then}"
        )
    offer = assessed.offer
    if offer is None:
        return tuple(notes)
    asked = assessed.facts.whole(product.kind.asked)
    if offer.limit < asked:
        notes.append("less than was asked for")
    notes += [f"limit lowered by rule {rule.id}" for rule in offer.bound_by]
    if "current_limit_minor" in product.kind.inputs:
        current = assessed.facts.whole("current_limit_minor")
        if 0 < offer.limit < current:
            notes.append("the present limit is cut at once")
        if offer.limit < assessed.facts.whole("drawn_minor"):
            notes.append("more is drawn than the new limit: no further drawing")
    return tuple(notes)


def _counted(unit: TenorUnit, count: int) -> str:
    return str(unit).removesuffix("s") if count == 1 else str(unit)

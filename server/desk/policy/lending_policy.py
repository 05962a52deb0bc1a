"""The lending policy: from a calibrated default probability and facts to a decision.

Order: hard rules, in the order of the file; then the grade by probability; then limit and tenor by
the product's terms and caps; then the price and the rate cap. A decline by any of them stands, a
referral stands unless something declines. Deciding is a pure function of application, day and
policy.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from functools import cached_property
from pathlib import Path
from typing import Self

from federation.errors import InputError
from federation.scoring.rows import FieldErrors
from server.desk.policy.decision import Application, LendingDecision, Outcome, RuleText
from server.desk.policy.facts import Facts, checked_facts
from server.desk.policy.kinds import Grade
from server.desk.policy.offer import Cap, Limits, Offer, Refusal, offer_to
from server.desk.policy.pricing import economics_of
from server.desk.policy.product import Product, WhenSilent
from server.desk.policy.rounding import CONTEXT, probability_from
from server.desk.policy.rules import Case, Concentration, HardRule, Then
from server.desk.policy.sentences import decision_notes, decision_reasons, decision_sentence


@dataclass(frozen=True)
class Currency:
    """An ISO 4217 code, and how many digits its minor unit has: EUR 2, JPY 0."""

    code: str
    digits: int


@dataclass(frozen=True)
class ScoreSettings:
    """How the score's probability is read.

    Attributes:
        horizon_months: over which it is.
        decimals: to which it is rounded, once.
        floor: the least that is reckoned with (0.0005 in CRE32.4).
    """

    horizon_months: int
    decimals: int
    floor: Decimal


@dataclass(frozen=True)
class ChallengerSettings:
    """Which policy challenges this one, for what share of borrowers, by which key."""

    file: Path
    share: Decimal
    key_file: Path


@dataclass(frozen=True, slots=True)
class Assessment:
    """A decision before it is put into words.

    Attributes:
        outcome: of the application.
        rule: that made it.
        fired: all rules that had a say, in order.
        grade: empty where a hard rule declined.
        offer: None for a decline.
        facts: checked.
    """

    outcome: Outcome
    rule: RuleText
    fired: tuple[RuleText, ...]
    grade: str
    offer: Offer | None
    facts: Facts


@dataclass(frozen=True)
class LendingPolicy:
    """A policy file, read and checked.

    Attributes:
        name, version: of the policy.
        digest: SHA-256 over the policy file, its blocked lists and their keys' marks: the same
            digest decides the same.
        valid_from, valid_until: first and last day (None: open).
        currency: of all amounts.
        score: how probabilities are read.
        grades: bands, the safest first; the last one reaches 1.
        rules: hard ones, in order.
        products: by name.
        challenger: None where there is none.
    """

    name: str
    version: str
    digest: str
    valid_from: date
    valid_until: date | None
    currency: Currency
    score: ScoreSettings
    grades: tuple[Grade, ...]
    rules: tuple[HardRule | Concentration, ...]
    products: Mapping[str, Product]
    challenger: ChallengerSettings | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a policy file, with the blocked lists and keys that it names.

        Raises:
            InputError: one sentence with file, table, key, and what would be right.
        """
        from server.desk.policy.policy_file import read_policy

        with localcontext(CONTEXT):
            return cls(**read_policy(path))

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @cached_property
    def _borders(self) -> list[Decimal]:
        return [grade.up_to for grade in self.grades]

    @cached_property
    def _bands(self) -> dict[str, int]:
        return {grade.name: place for place, grade in enumerate(self.grades, start=1)}

    @cached_property
    def _rules_of(self) -> dict[str, list[HardRule | Concentration]]:
        return {
            name: [rule for rule in self.rules if name in rule.products] for name in self.products
        }

    def decide(self, application: Application, today: date) -> LendingDecision:
        """Decide on an application.

        Args:
            application: what is asked, by whom, and the score.
            today: the day of the decision.

        Raises:
            FieldErrors: the product is unknown, or facts are missing, unknown or wrong.
            InputError: the probability is none, or the policy is not in force on that day.
        """
        with localcontext(CONTEXT):
            assessed = self.assess(application, today)
            product = self.products[application.product]
            offer, terms, economics = assessed.offer, {}, None
            if offer is not None:
                terms = {
                    "limit_minor": offer.limit,
                    "annual_rate": offer.rate,
                    f"tenor_{product.kind.tenor_unit}": offer.tenor,
                    **product.kind.terms(offer.limit, offer.rate, offer.tenor, assessed.facts),
                }
                economics = economics_of(product, offer.cost, offer.rate)
            return LendingDecision(
                outcome=assessed.outcome,
                rule=assessed.rule.id,
                policy=self.label,
                digest=self.digest,
                product=product.name,
                grade=assessed.grade,
                band=self._bands.get(assessed.grade, 0),
                fired=tuple(rule.id for rule in assessed.fired),
                terms=terms,
                reasons=decision_reasons(assessed, application, product),
                sentence=decision_sentence(assessed, product, self.currency, terms),
                notes=decision_notes(assessed, application, product),
                economics=economics,
            )

    def assess(self, application: Application, today: date) -> Assessment:
        """What `decide` decides, not yet in words; to be called in the policy's CONTEXT.

        Raises:
            FieldErrors, InputError: as `decide`.
        """
        self.check_day(today)
        product = self.products.get(application.product)
        if product is None:
            known = ", ".join(self.products)
            raise FieldErrors([("product", f"is not one of the policy's: {known}")])
        facts, faults = checked_facts(application.facts, product.facts)
        if faults:
            raise FieldErrors([(f"facts.{name}", fault) for name, fault in faults])
        return self.assess_checked(application, facts)

    def assess_checked(self, application: Application, facts: Facts) -> Assessment:
        """The same for checked facts, on a day on which the policy is in force."""
        product = self.products[application.product]
        probability = self.rounded(application.probability)
        case = Case(application.borrower, facts, application.follow_ups)
        declines: list[RuleText] = []
        refers: list[RuleText] = []
        caps: list[Cap] = []
        for rule in self._rules_of[product.name]:
            if isinstance(rule, Concentration):
                caps.append(Cap(rule.room(facts), rule.rule))
            elif rule.test.fires(case):
                if rule.then is Then.DECLINE:
                    declines.append(rule.rule)
                elif rule.then is Then.NO_INCREASE and facts.whole("current_limit_minor"):
                    caps.append(Cap(facts.whole("current_limit_minor"), rule.rule))
                else:
                    refers.append(rule.rule)
        if declines:
            fired = (*declines, *refers)
            return Assessment(Outcome.DECLINE, declines[0], fired, "", None, facts)
        haircut = None
        silence = product.silence
        if application.silent:
            if silence.then is WhenSilent.HAIRCUT:
                haircut = silence.rule
            elif silence.then is WhenSilent.NO_INCREASE and facts.whole("current_limit_minor"):
                caps.append(Cap(facts.whole("current_limit_minor"), silence.rule))
            elif silence.then is not WhenSilent.AS_IS:
                refers.append(silence.rule)
        place = bisect_left(self._borders, probability)
        grade, terms = self.grades[place].name, product.terms[place]
        if terms.outcome is Outcome.DECLINE:
            fired = (terms.rule, *refers)
            return Assessment(Outcome.DECLINE, terms.rule, fired, grade, None, facts)
        limits = Limits(tuple(caps), haircut, silence.limit_share)
        horizon = self.score.horizon_months
        offer = offer_to(product, self.grades, place, probability, facts, limits, horizon)
        if isinstance(offer, Refusal):
            fired = (offer.rule, terms.rule, *refers)
            return Assessment(Outcome.DECLINE, offer.rule, fired, grade, None, facts)
        if terms.outcome is Outcome.REFER:
            refers.append(terms.rule)
        made_by = refers[0] if refers else terms.rule
        fired = tuple(dict.fromkeys((*refers, terms.rule, *offer.bound_by)))
        outcome = Outcome.REFER if refers else Outcome.APPROVE
        return Assessment(outcome, made_by, fired, grade, offer, facts)

    def rounded(self, probability: float) -> Decimal:
        """A score's probability as the policy reckons with it: rounded once, then the floor.

        Raises:
            InputError: it is not from 0 to 1.
        """
        if not math.isfinite(probability) or not 0 <= probability <= 1:
            raise InputError("the probability of default must be a number from 0 to 1")
        return max(probability_from(probability, self.score.decimals), self.score.floor)

    def in_force(self, today: date) -> bool:
        """Whether the policy may decide on a day."""
        return self.valid_from <= today and (self.valid_until is None or today <= self.valid_until)

    def check_day(self, today: date) -> None:
        """Refuse a day on which the policy is not in force (InputError)."""
        if not self.in_force(today):
            until = f" to {self.valid_until}" if self.valid_until else ""
            raise InputError(
                f"the policy '{self.label}' is in force from {self.valid_from}{until}, not on "
                f"{today}; load one that is"
            )

"""What a lending policy is asked and what it answers: values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from server.desk.answers import GivenReason
from server.desk.decisions import Fact


class Outcome(StrEnum):
    """What becomes of an application, the best first."""

    APPROVE = "approve"
    REFER = "refer"  # a person decides; the terms are a proposal
    DECLINE = "decline"


class FollowUp(StrEnum):
    """What alerts may leave open about a borrower."""

    CONTACT = "contact"
    LIMIT_REVIEW = "limit-review"
    WATCH_LIST = "watch-list"


@dataclass(frozen=True)
class RuleText:
    """A rule's id, unique in the file, its reason code, and its sentence for the borrower."""

    id: str
    reason: str
    sentence: str


@dataclass(frozen=True)
class Application:
    """One application for a loan; its representation shows nothing of the borrower.

    Attributes:
        product: as the policy file names it.
        borrower: the normalised id.
        probability: of default, calibrated, over the score's horizon.
        facts: by the policy's names.
        reasons: what weighed against the borrower in the score, the heaviest first.
        silent: parties that should have answered and did not.
        follow_ups: what alerts have left open about the borrower.
    """

    product: str
    borrower: str = field(repr=False)
    probability: float = field(repr=False)
    facts: Mapping[str, Fact] = field(repr=False)
    reasons: tuple[GivenReason, ...] = field(default=(), repr=False)
    silent: tuple[str, ...] = ()
    follow_ups: frozenset[FollowUp] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class Economics:
    """What a loan is expected to bring, in minor units over its tenor, in Decimal otherwise.

    Attributes:
        probability: of default over 12 months (the score's horizon), after the floor, and for a
            receivable of debtor and supplier together.
        probability_over_tenor: the same over the tenor.
        loss_given_default: after collateral and protection.
        exposure_at_default_minor: drawn, and what will be drawn until default.
        expected_loss_minor: probability over the tenor × loss given default × exposure.
        risk_weight: 1 is 100 %.
        capital_minor: tied up.
        income_minor: interest on the balance expected to be drawn.
        funding_minor, operating_minor, capital_charge_minor: costs.
        profit_minor: income less expected loss and all costs; may be negative.
    """

    probability: Decimal
    probability_over_tenor: Decimal
    loss_given_default: Decimal
    exposure_at_default_minor: int
    expected_loss_minor: int
    risk_weight: Decimal
    capital_minor: int
    income_minor: int
    funding_minor: int
    operating_minor: int
    capital_charge_minor: int
    profit_minor: int


@dataclass(frozen=True)
class LendingDecision:
    """What the policy decides, and by which rule.

    Attributes:
        outcome: approve, refer or decline.
        rule: the id of the rule that made it, as it stands in the policy file.
        policy: name and version; `digest`, of the policy's files.
        product: asked for.
        grade: of the borrower; empty where a hard rule declined before grading.
        band: the grade's place among the policy's, 1 the safest; 0 where there is none.
        fired: ids of all rules that had a say, in order.
        terms: limit_minor, annual_rate, tenor_days or tenor_months, and the product's own; empty
            for a decline. Amounts are int, rates and shares Decimal.
        reasons: of hard rules first, then of the score.
        sentence: for the borrower.
        notes: for the lending system.
        economics: None for a decline.
    """

    outcome: Outcome
    rule: str
    policy: str
    digest: str
    product: str
    grade: str = ""
    band: int = 0
    fired: tuple[str, ...] = ()
    terms: Mapping[str, int | Decimal] = field(default_factory=dict)
    reasons: tuple[GivenReason, ...] = ()
    sentence: str = ""
    notes: tuple[str, ...] = ()
    economics: Economics | None = None

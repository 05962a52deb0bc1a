"""One product of a policy: its facts, terms by grade, loss, price, caps; values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from server.desk.policy.capital import CapitalSettings
from server.desk.policy.decision import RuleText
from server.desk.policy.facts import FactSpec
from server.desk.policy.kinds import GradeTerms, Kind
from server.desk.policy.loss import LossSettings


class WhenSilent(StrEnum):
    """What a score without a party that should have answered is good for."""

    REFER = "refer"
    HAIRCUT = "haircut"  # the limit is cut to a share
    NO_INCREASE = "no-increase"  # of an existing limit, a new one is referred; revolving loans only
    AS_IS = "as-is"


class OverCap(StrEnum):
    """What follows where the price that is needed is above the rate cap."""

    DECLINE = "decline"
    LOWER_LIMIT = "lower-limit"  # at the cap, with a thinner margin and a lower limit


@dataclass(frozen=True)
class Silence:
    """What is done with a degraded score; `limit_share` is what a haircut leaves."""

    rule: RuleText
    then: WhenSilent
    limit_share: Decimal


@dataclass(frozen=True)
class RateCap:
    """The highest annual rate (usury), all costs in it.

    Attributes:
        rule: that declines or lowers.
        most: the cap.
        then: what follows above it.
        limit_share: of the limit that is left, where it is lowered.
        least_margin: that must be left at the cap, where it is lowered.
    """

    rule: RuleText
    most: Decimal
    then: OverCap
    limit_share: Decimal
    least_margin: Decimal


@dataclass(frozen=True)
class Pricing:
    """Costs a year on the drawn balance, beside expected loss and capital.

    Attributes:
        funding_rate: what the money costs.
        operating_rate: what running the loan costs.
        operating_minor: what a contract costs once, over its tenor.
        rate_step: rates are multiples of it.
        least_rate: a multiple of it, too.
    """

    funding_rate: Decimal
    operating_rate: Decimal
    operating_minor: int
    rate_step: Decimal
    least_rate: Decimal


@dataclass(frozen=True)
class Product:
    """One product.

    Attributes:
        name: in the file; `title`, for sentences.
        kind_name: as the file says it; `kind`, with its own settings.
        facts: declared ones.
        terms: one a grade, the safest first.
        smallest, smallest_minor: the rule that declines smaller limits.
        step_minor: limits are multiples of it.
        too_long: the rule that declines where a longer tenor is needed; None where none can be.
    """

    name: str
    title: str
    kind_name: str
    kind: Kind
    facts: Mapping[str, FactSpec]
    terms: tuple[GradeTerms, ...]
    smallest: RuleText
    smallest_minor: int
    step_minor: int
    too_long: RuleText | None
    pricing: Pricing
    rate_cap: RateCap
    loss: LossSettings
    capital: CapitalSettings
    silence: Silence

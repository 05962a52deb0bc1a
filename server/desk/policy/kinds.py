"""What every kind of product answers to the policy's engine, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from server.desk.policy.decision import Outcome, RuleText
from server.desk.policy.facts import Facts, FactType, Unit

# What a kind reads: type and unit by the fact's name. Each must be declared in the policy file.
Inputs = Mapping[str, tuple[FactType, Unit]]


class TenorUnit(StrEnum):
    """What a tenor counts."""

    MONTHS = "months"
    DAYS = "days"

    @property
    def a_year(self) -> int:
        """How many of them a year has: 12 months, 365 days."""
        return 12 if self is TenorUnit.MONTHS else 365


@dataclass(frozen=True)
class Grade:
    """A band of default probability: above the one before, up to and with `up_to`."""

    name: str
    up_to: Decimal


@dataclass(frozen=True)
class GradeTerms:
    """What a product offers a grade.

    Attributes:
        rule: what it is called.
        grade: it stands for.
        outcome: approve, refer or decline; a decline has nothing below.
        share: of turnover, order, invoice or price that is lent, as the kind says.
        most_minor: the most that is lent.
        tenor: the longest, or for a revolving loan the tenor, in the kind's unit.
        margin: a year, on top of all costs.
    """

    rule: RuleText
    grade: str
    outcome: Outcome
    share: Decimal
    most_minor: int
    tenor: int
    margin: Decimal


@dataclass(frozen=True)
class Bound:
    """A limit, and the rule that bound it where that was not the grade's."""

    minor: int
    rule: RuleText | None = None


@dataclass(frozen=True)
class Exposure:
    """What a loan of some limit is expected to amount to, in minor units, unrounded.

    Attributes:
        drawn: on which interest is paid.
        at_default: drawn then.
        to_cover: what collateral is held against.
    """

    drawn: Decimal
    at_default: Decimal
    to_cover: Decimal


class Kind(Protocol):
    """One kind of product with its settings; pure."""

    @property
    def tenor_unit(self) -> TenorUnit:
        """What its tenors count."""

    @property
    def inputs(self) -> Inputs:
        """The facts it reads."""

    @property
    def asked(self) -> str:
        """The fact that says how much is asked for."""

    def most(self, terms: GradeTerms, facts: Facts) -> Bound:
        """The most that a grade's terms lend on these facts, before caps and steps."""

    def tenor(self, terms: GradeTerms, facts: Facts) -> int | None:
        """The tenor; None where the one that is needed is longer than the terms allow."""

    def exposure(self, limit: int, tenor: int, facts: Facts) -> Exposure:
        """What a limit from 1 up amounts to."""

    def probability(self, own: Decimal, facts: Facts) -> Decimal:
        """The probability of a loss, from the applicant's own probability of default."""

    def terms(
        self, limit: int, rate: Decimal, tenor: int, facts: Facts
    ) -> dict[str, int | Decimal]:
        """Its own terms beside limit, rate and tenor."""

    def words(self) -> list[str]:
        """What its settings say, in plain words."""

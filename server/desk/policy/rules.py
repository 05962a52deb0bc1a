"""Hard rules: they stand before every grade and price, in the order of the policy file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from server.desk.decisions import Fact
from server.desk.policy.blocked import BlockedList
from server.desk.policy.decision import FollowUp, RuleText
from server.desk.policy.facts import Facts, FactType, shown
from server.desk.policy.rounding import floor_minor

BORROWER = "borrower"


class Then(StrEnum):
    """What follows from a rule that fires."""

    DECLINE = "decline"
    REFER = "refer"
    NO_INCREASE = "no-increase"  # of an existing limit, a new one is referred; revolving loans only


@dataclass(frozen=True)
class Case:
    """What hard rules look at: never the score."""

    borrower: str
    facts: Facts
    follow_ups: frozenset[FollowUp]


class Test(Protocol):
    """A condition of a rule."""

    def fires(self, case: Case) -> bool:
        """Whether the rule has something against the case."""

    def words(self) -> str:
        """When it fires, in plain words."""

    @property
    def uses(self) -> Mapping[str, FactType]:
        """The facts it reads."""


@dataclass(frozen=True)
class Blocked:
    """Fires where the borrower, or the party that a text fact names, is on a blocked list."""

    subject: str
    blocked: BlockedList

    def fires(self, case: Case) -> bool:
        """Whether the id is on the list."""
        named = case.borrower if self.subject == BORROWER else case.facts.text(self.subject)
        return named in self.blocked

    def words(self) -> str:
        """When it fires."""
        what = "keyed hashes" if self.blocked.key else "ids"
        return f"{self.subject} is on a blocked list of {len(self.blocked.entries):,} {what}"

    @property
    def uses(self) -> Mapping[str, FactType]:
        """The facts it reads."""
        return {} if self.subject == BORROWER else {self.subject: FactType.TEXT}


class Comparison(StrEnum):
    """How a requirement looks at its fact; the keys of the policy file."""

    IS = "is"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ONE_OF = "one_of"
    NONE_OF = "none_of"


@dataclass(frozen=True)
class Requirement:
    """Fires where a fact is not as it must be: consents, minimum data, excluded industries."""

    fact: str
    type: FactType
    comparison: Comparison
    right: tuple[Fact, ...]

    def fires(self, case: Case) -> bool:
        """Whether the requirement is not met."""
        value = case.facts[self.fact]
        if self.comparison is Comparison.AT_LEAST:
            return value < self.right[0]  # type: ignore[operator]
        if self.comparison is Comparison.AT_MOST:
            return value > self.right[0]  # type: ignore[operator]
        if self.comparison is Comparison.NONE_OF:
            return value in self.right
        return value not in self.right

    def words(self) -> str:
        """When it fires."""
        verb = {
            Comparison.IS: "is not",
            Comparison.AT_LEAST: "is below",
            Comparison.AT_MOST: "is above",
            Comparison.ONE_OF: "is none of",
            Comparison.NONE_OF: "is one of",
        }[self.comparison]
        return f"{self.fact} {verb} {', '.join(shown(one) for one in self.right)}"

    @property
    def uses(self) -> Mapping[str, FactType]:
        """The facts it reads."""
        return {self.fact: self.type}


@dataclass(frozen=True)
class OpenFollowUp:
    """Fires where an alert has left something open: the watch list, a limit review."""

    follow_up: FollowUp

    def fires(self, case: Case) -> bool:
        """Whether it is open."""
        return self.follow_up in case.follow_ups

    def words(self) -> str:
        """When it fires."""
        return f"'{self.follow_up}' is open for the borrower"

    @property
    def uses(self) -> Mapping[str, FactType]:
        """The facts it reads."""
        return {}


@dataclass(frozen=True)
class HardRule:
    """One rule.

    Attributes:
        rule: what it is called.
        products: it stands for.
        then: what follows.
        test: when it fires.
    """

    rule: RuleText
    products: frozenset[str]
    then: Then
    test: Test


@dataclass(frozen=True)
class Concentration:
    """A cap on all exposures to a borrower, a debtor or an industry together.

    The new limit may fill what is left; where less is left than the product's smallest limit, the
    rule declines.

    Attributes:
        rule, products: as in `HardRule`.
        subject: whose exposures, in words.
        exposure: the fact that holds them, this facility's own not counted.
        most_minor: the cap, or 0 where it is a share of a fact.
        most_share, share_of: the cap as a share of a fact, such as 0.10 of own funds.
    """

    rule: RuleText
    products: frozenset[str]
    subject: str
    exposure: str
    most_minor: int
    most_share: Decimal
    share_of: str

    def room(self, facts: Facts) -> int:
        """Minor units that are left, from 0 up."""
        most = self.most_minor
        if self.share_of:
            most = floor_minor(self.most_share * facts.whole(self.share_of))
        return max(0, most - facts.whole(self.exposure))

    @property
    def uses(self) -> Mapping[str, FactType]:
        """The facts it reads."""
        used = {self.exposure: FactType.INTEGER}
        return used | ({self.share_of: FactType.INTEGER} if self.share_of else {})

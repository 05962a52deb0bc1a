"""What the desk asks of a lending policy, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from server.desk.answers import GivenReason, ScoreAnswer

Fact = int | Decimal | str | bool  # amounts in minor units and counts; shares; texts; flags


POLICY = "policy"  # who says so, where a reason is a rule's and no party's


@dataclass(frozen=True)
class Decision:
    """What a policy makes of a score.

    Attributes:
        decision: 'approve', 'decline' or 'refer'.
        rule: the rule of the policy that made it.
        policy: the policy's name and version; `policy_digest`, SHA-256 of its file.
        terms: limit_minor, annual_rate, tenor_days and so on, as decimal texts.
        reasons: for the borrower, the heaviest first.
        notes: for the lending system.
        band: the grade's place, 1 the safest; 0 where there was no grade.
    """

    decision: str
    rule: str
    policy: str
    policy_digest: str
    terms: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[GivenReason, ...] = ()
    notes: tuple[str, ...] = ()
    band: int = 0


class DecisionMaker(Protocol):
    """A lending policy that is ready to decide."""

    def decide(
        self,
        answer: ScoreAnswer,
        product: str,
        facts: Mapping[str, Fact],
        reasons: Sequence[GivenReason],
        borrower: str,
    ) -> Decision:
        """The decision for one borrower (normalised id), from memory alone: it must not wait.

        Raises:
            FieldErrors: a fact ('facts.NAME') is missing, unknown or wrong, or 'product' is
                unknown (of `federation.scoring.rows`).
        """
        ...

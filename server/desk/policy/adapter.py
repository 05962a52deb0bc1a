"""Joins a lending policy to the scoring desk: a score and facts in, the desk's decision out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Protocol

from server.desk.answers import GivenReason, ScoreAnswer
from server.desk.decisions import Decision, Fact
from server.desk.policy.challenger import PairedDecision, PolicyPair, Role
from server.desk.policy.decision import Application, FollowUp
from server.desk.policy.rounding import plain


class OpenItem(Protocol):
    """One thing that an alert has left open."""

    @property
    def follow_up(self) -> str:
        """'contact', 'limit-review' or 'watch-list'."""


class FollowUps(Protocol):
    """What alerts have left open about borrowers; asked once a decision, from memory."""

    def open_follow_ups(self, borrower: str) -> Iterable[OpenItem]:
        """Those of one borrower."""


class NoFollowUps:
    """Where no alerts are received: nothing is ever open."""

    def open_follow_ups(self, borrower: str) -> Iterable[OpenItem]:
        """Nothing."""
        return ()


def today_utc() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


class PolicyDesk:
    """A `DecisionMaker` on a policy and its challenger.

    Args:
        policies: that decide.
        follow_ups: what alerts have left open.
        today: the day of a decision.
        record: is given both policies' decisions of each application, before one is returned.
    """

    def __init__(
        self,
        policies: PolicyPair,
        follow_ups: FollowUps | None = None,
        today: Callable[[], date] = today_utc,
        record: Callable[[PairedDecision], None] | None = None,
    ) -> None:
        """Hold them."""
        self._policies = policies
        self._follow_ups = follow_ups or NoFollowUps()
        self._today = today
        self._record = record

    def decide(
        self,
        answer: ScoreAnswer,
        product: str,
        facts: Mapping[str, Fact],
        reasons: Sequence[GivenReason],
        borrower: str,
    ) -> Decision:
        """The decision for one borrower (normalised id), from memory alone.

        Raises:
            FieldErrors: a fact is missing, unknown or wrong, or the product is unknown.
            InputError: the policy is not in force today.
        """
        opened = [str(one.follow_up) for one in self._follow_ups.open_follow_ups(borrower)]
        application = application_of(answer, product, facts, reasons, borrower, opened)
        paired = self._policies.decide(application, self._today())
        if self._record is not None:
            self._record(paired)
        return decision_of(paired)


def application_of(
    answer: ScoreAnswer,
    product: str,
    facts: Mapping[str, Fact],
    reasons: Sequence[GivenReason],
    borrower: str,
    follow_ups: Iterable[str] = (),
) -> Application:
    """An application from a score. A party that does not know the borrower is not silent."""
    known = {str(one) for one in FollowUp}
    return Application(
        product=product,
        borrower=borrower,
        probability=answer.probability,
        facts=facts,
        reasons=tuple(reasons),
        silent=tuple(sorted(name for name, why in answer.absent.items() if why.degrades)),
        follow_ups=frozenset(FollowUp(one) for one in follow_ups if one in known),
    )


def decision_of(paired: PairedDecision) -> Decision:
    """A decision as the desk answers it.

    The first note is the sentence for the borrower, the second the grade; the other policy's
    decision is a note too, so that both stand in whatever records the reply.
    """
    made = paired.decision
    notes = [made.sentence]
    if made.grade:
        notes.append(f"grade {made.grade}")
    notes += made.notes
    if paired.other is not None:
        other = Role.CHAMPION if paired.role is Role.CHALLENGER else Role.CHALLENGER
        notes.append(
            f"decided by the {paired.role}; the {other} '{paired.other.policy}' says "
            f"{paired.other.outcome} by rule {paired.other.rule}"
        )
    return Decision(
        decision=str(made.outcome),
        rule=made.rule,
        policy=made.policy,
        policy_digest=made.digest,
        terms={name: _text(value) for name, value in made.terms.items()},
        reasons=made.reasons,
        notes=tuple(notes),
        band=made.band,
    )


def _text(value: int | Decimal) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)

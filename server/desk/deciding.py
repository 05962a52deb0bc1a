"""One borrower scored and decided on, the same way for every service that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from federation.identifiers import IdentifierRule
from federation.proto.scoring_pb2 import DecideReply, DecideRequest
from server.desk.access.rules import Caller
from server.desk.answers import ScoreAnswer
from server.desk.audit import AuditRow
from server.desk.calls import Call, Calls
from server.desk.decisions import Decision, DecisionMaker
from server.desk.engine import ScoringEngine
from server.desk.failures import NotOffered
from server.desk.prepared import routing_id
from server.desk.replies import ScoreReplies, decide_reply
from server.desk.requests import decide_query

REASONS_OF_A_DECISION = 8


@dataclass(frozen=True)
class Decided:
    """A decision on one application.

    Attributes:
        reply: as `Decide` answers it.
        answer: the score.
        decision: what the policy makes of it.
        borrower: the normalised id.
        identifier_rule: by which it was normalised.
    """

    reply: DecideReply
    answer: ScoreAnswer
    decision: Decision
    borrower: str
    identifier_rule: IdentifierRule


class Deciding:
    """Scores one borrower and asks the lending policy.

    Args:
        engine: scores.
        calls: count borrowers against the caller's quota.
        decide: the lending policy; without one nothing is decided.
        on_decided: told product and decision.
        replies: makes them.
    """

    def __init__(
        self,
        engine: ScoringEngine,
        calls: Calls,
        decide: DecisionMaker | None,
        on_decided: Callable[[str, str], None],
        replies: ScoreReplies,
    ) -> None:
        """Nothing is decided yet."""
        self._engine = engine
        self._gate = calls.gate
        self._decide_by = decide
        self._on_decided = on_decided
        self._replies = replies

    async def decided(self, request: DecideRequest, call: Call, caller: Caller) -> Decided:
        """The decision; what is known of it stands in the call's row, also where it fails.

        Raises:
            NotOffered: there is no policy.
            FieldErrors: fields are wrong.
            Refused: the caller's quota is used up.
            UnknownModel, OutOfTime: as `ScoringEngine.score`.
            InputError: the policy is not in force today.
        """
        if self._decide_by is None:
            raise NotOffered("this desk has no lending policy; its operator can set [policy] file")
        query, product, facts = decide_query(request)
        self._gate.take_borrowers(caller, 1)
        row = call.row
        row.borrower = routing_id(query.borrower)
        explained = await self._engine.explain(query, call.seconds, REASONS_OF_A_DECISION)
        row.borrower = explained.borrower
        fill_row(row, explained.answer)
        decision = self._decide_by.decide(
            explained.answer, product, facts, explained.reasons, explained.borrower
        )
        row.decision, row.rule = decision.decision, decision.rule
        row.policy = decision.policy_digest
        self._on_decided(product, decision.decision)
        score = self._replies.message(explained.answer, row.request)
        reply = decide_reply(score, decision, explained.label_party)
        return Decided(
            reply, explained.answer, decision, explained.borrower, explained.identifier_rule
        )


def fill_row(row: AuditRow, answer: ScoreAnswer) -> None:
    """What the audit record says of a score."""
    row.model = answer.digest
    row.variant = answer.variant.name
    row.role = answer.role
    row.score = answer.score
    row.degraded = answer.degraded

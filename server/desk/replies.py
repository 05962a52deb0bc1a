"""From an answer to a reply's bytes; what is the same in every reply of a variant is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.proto.scoring_pb2 import (
    DecideReply,
    ExplainReply,
    MissingParty,
    ModelInfoReply,
    Reason,
    ScoreBatchReply,
    ScoreReply,
)
from server.desk.answers import Absence, BatchAnswer, GivenReason, LoadedModel, ScoreAnswer
from server.desk.decisions import POLICY, Decision

_REASONS = {
    Absence.NOT_KNOWN_THERE: MissingParty.NOT_KNOWN_THERE,
    Absence.SILENT: MissingParty.SILENT,
    Absence.REFUSED: MissingParty.REFUSED,
    Absence.CIRCUIT_OPEN: MissingParty.CIRCUIT_OPEN,
}
MOST_KEPT = 256


class ScoreReplies:
    """Makes replies of scores."""

    def __init__(self) -> None:
        """Nothing is prepared yet."""
        self._same: dict[tuple[str, str, str, str], bytes] = {}

    def score(self, answer: ScoreAnswer, request_id: str) -> bytes:
        """A `ScoreReply`, serialised.

        Protobuf reads two messages one after the other as one with the fields of both, so the
        prepared part is only put before the call's own.
        """
        key = (answer.model, answer.digest, answer.variant.name, answer.role)
        same = self._same.get(key)
        if same is None:
            if len(self._same) >= MOST_KEPT:
                self._same.clear()
            same = self._same[key] = ScoreReply(
                auc=answer.variant.auc or 0.0,
                model=answer.model,
                model_digest=answer.digest,
                variant=answer.variant.name,
                parties=answer.variant.parties,
                role=answer.role,
            ).SerializeToString()
        own = ScoreReply(
            request_id=request_id, score=answer.score, probability_of_default=answer.probability
        )
        if answer.absent:
            own.degraded = answer.degraded
            own.missing_parties.extend(_missing(answer.absent))
        return same + own.SerializeToString()

    def message(self, answer: ScoreAnswer, request_id: str) -> ScoreReply:
        """A `ScoreReply`, to stand in another reply."""
        return ScoreReply.FromString(self.score(answer, request_id))


def batch_reply(answer: BatchAnswer, sequence: int, request_id: str) -> bytes:
    """A `ScoreBatchReply`, serialised."""
    reply = ScoreBatchReply(
        sequence=sequence,
        request_id=request_id,
        scores=answer.scores.tolist(),
        probabilities_of_default=answer.probabilities.tolist(),
        variant=answer.variant.tolist(),
        variants=[variant.name for variant in answer.variants],
        missing_parties=_missing(answer.absent),
        degraded=any(why.degrades for why in answer.absent.values()),
        model=answer.model,
        model_digest=answer.digest,
    )
    return reply.SerializeToString()


def explain_reply(
    score: ScoreReply, reasons: Sequence[GivenReason], without: Sequence[str], label_party: str
) -> bytes:
    """An `ExplainReply`, serialised."""
    return ExplainReply(
        score=score, reasons=_reasons(reasons, label_party), without_reasons=without
    ).SerializeToString()


def decide_reply(score: ScoreReply, decision: Decision, label_party: str) -> DecideReply:
    """A `DecideReply`, to send or to stand in another reply."""
    return DecideReply(
        score=score,
        decision=decision.decision,
        rule=decision.rule,
        policy=decision.policy,
        policy_digest=decision.policy_digest,
        terms=dict(decision.terms),
        reasons=_reasons(decision.reasons, label_party),
        notes=decision.notes,
    )


def model_info(loaded: LoadedModel) -> bytes:
    """A `ModelInfoReply`, serialised."""
    served = loaded.served
    return ModelInfoReply(
        model=loaded.name,
        model_digest=loaded.digest,
        session=served.session,
        stage=loaded.stage,
        features=[
            ModelInfoReply.Feature(
                name=spec.name,
                kind=str(spec.kind),
                unit=spec.unit,
                minimum=spec.minimum,
                maximum=spec.maximum,
                categories=spec.categories,
                may_be_missing=True,  # every binning has a place for missing values
            )
            for spec in served.features
        ],
        variants=[
            ModelInfoReply.Variant(
                name=variant.name,
                parties=variant.parties,
                auc=variant.auc or 0.0,
                test_borrowers=variant.test_borrowers,
            )
            for variant in served.variants
        ],
        identifier_rule=str(served.identifier_rule),
    ).SerializeToString()


def _missing(absent: Mapping[str, Absence]) -> list[MissingParty]:
    return [MissingParty(party=party, reason=_REASONS[why]) for party, why in absent.items()]


def _reasons(given: Sequence[GivenReason], label_party: str) -> list[Reason]:
    return [
        Reason(
            code=f"{one.party}/{one.label}",
            text=_sentence(one, label_party),
            party=one.party,
            points=one.points,
        )
        for one in given
    ]


def _sentence(reason: GivenReason, label_party: str) -> str:
    """What a borrower is told; a rule of the policy, which has no label, speaks for itself."""
    if reason.party == POLICY:
        return f"The lending policy's rule {reason.label} applies."
    known = "the bank" if reason.party == label_party else reason.party
    label = reason.label[:1].upper() + reason.label[1:]
    return f"{label}, as known to {known}, is less favourable than that of the average borrower."

"""What the scoring desk answers, as its callers read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.proto import scoring_pb2 as pb


@dataclass(frozen=True)
class Score:
    """A borrower's score.

    Attributes:
        score: 0 to 1,000; 500 is even odds, 20 more double the odds of repaying.
        probability_of_default: calibrated.
        degraded: a party that should have answered did not.
        missing_parties: whose points are not in it, and why ('not known there' is no failure).
        parties: feature parties whose points are.
        auc: of the variant that answered, on its test borrowers; None where not known.
        model, model_digest, variant, role: what answered.
        request_id: stands in the desk's audit record too.
    """

    score: int
    probability_of_default: float
    degraded: bool
    missing_parties: Mapping[str, str]
    parties: tuple[str, ...]
    auc: float | None
    model: str
    model_digest: str
    variant: str
    role: str
    request_id: str


@dataclass(frozen=True)
class ScoredBatch:
    """Scores of consecutive borrowers of `score_many`.

    Attributes:
        first: place of the first among all borrowers.
        scores: (n,) int32; probabilities_of_default: (n,) float64.
        variant: (n,) places in `variants`.
        degraded, missing_parties: as in `Score`, where a party failed for the whole batch.
    """

    first: int
    scores: npt.NDArray[np.int32]
    probabilities_of_default: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint32]
    variants: tuple[str, ...]
    degraded: bool
    missing_parties: Mapping[str, str]
    model: str
    model_digest: str
    request_id: str


@dataclass(frozen=True)
class Reason:
    """What weighed against a borrower; `points` lost against the training's mean borrower."""

    code: str
    text: str
    party: str
    points: int


@dataclass(frozen=True)
class Explanation:
    """A score and its reasons, the heaviest first; `without_reasons`: parties that give none."""

    score: Score
    reasons: tuple[Reason, ...]
    without_reasons: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """What the lending policy makes of a score.

    Attributes:
        decision: 'approve', 'decline' or 'refer'.
        rule: of the policy, that made it; policy, policy_digest: which policy.
        terms: decimal texts, such as limit_minor, annual_rate, tenor_days.
    """

    score: Score
    decision: str
    rule: str
    policy: str
    policy_digest: str
    terms: Mapping[str, str]
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Feature:
    """A feature of the bank's own that a request must bring."""

    name: str
    kind: str
    unit: str
    minimum: float | None
    maximum: float | None
    categories: tuple[str, ...]
    may_be_missing: bool


@dataclass(frozen=True)
class Variant:
    """A fitted set of feature parties, and how well it ranks its test borrowers."""

    name: str
    parties: tuple[str, ...]
    auc: float | None
    test_borrowers: int


@dataclass(frozen=True)
class Model:
    """Which model answers."""

    model: str
    model_digest: str
    session: str
    stage: str
    features: tuple[Feature, ...]
    variants: tuple[Variant, ...]
    identifier_rule: str


def _missing(parties: Sequence[pb.MissingParty]) -> dict[str, str]:
    names = {number: name for name, number in pb.MissingParty.Reason.items()}
    return {
        one.party: names.get(one.reason, "REASON_UNSPECIFIED").lower().replace("_", " ")
        for one in parties
    }


def score_of(reply: pb.ScoreReply) -> Score:
    """From the wire."""
    return Score(
        score=reply.score,
        probability_of_default=reply.probability_of_default,
        degraded=reply.degraded,
        missing_parties=_missing(reply.missing_parties),
        parties=tuple(reply.parties),
        auc=reply.auc or None,
        model=reply.model,
        model_digest=reply.model_digest,
        variant=reply.variant,
        role=reply.role,
        request_id=reply.request_id,
    )


def scored_batch(reply: pb.ScoreBatchReply, first: int) -> ScoredBatch:
    """From the wire."""
    return ScoredBatch(
        first=first,
        scores=np.array(reply.scores, dtype=np.int32),
        probabilities_of_default=np.array(reply.probabilities_of_default),
        variant=np.array(reply.variant, dtype=np.uint32),
        variants=tuple(reply.variants),
        degraded=reply.degraded,
        missing_parties=_missing(reply.missing_parties),
        model=reply.model,
        model_digest=reply.model_digest,
        request_id=reply.request_id,
    )


def _reasons(reasons: Sequence[pb.Reason]) -> tuple[Reason, ...]:
    return tuple(Reason(one.code, one.text, one.party, one.points) for one in reasons)


def model_of(reply: pb.ModelInfoReply) -> Model:
    """From the wire."""
    features = tuple(
        Feature(
            one.name,
            one.kind,
            one.unit,
            one.minimum if one.HasField("minimum") else None,
            one.maximum if one.HasField("maximum") else None,
            tuple(one.categories),
            one.may_be_missing,
        )
        for one in reply.features
    )
    variants = tuple(
        Variant(one.name, tuple(one.parties), one.auc or None, one.test_borrowers)
        for one in reply.variants
    )
    return Model(
        reply.model,
        reply.model_digest,
        reply.session,
        reply.stage,
        features,
        variants,
        reply.identifier_rule,
    )


def explanation_of(reply: pb.ExplainReply) -> Explanation:
    """From the wire."""
    return Explanation(score_of(reply.score), _reasons(reply.reasons), tuple(reply.without_reasons))


def decision_of(reply: pb.DecideReply) -> Decision:
    """From the wire."""
    return Decision(
        score_of(reply.score),
        reply.decision,
        reply.rule,
        reply.policy,
        reply.policy_digest,
        dict(reply.terms),
        _reasons(reply.reasons),
        tuple(reply.notes),
    )

"""The shapes of requests and replies, as OpenAPI shows them and as requests are checked.

Requests are strict: an unknown field is refused, a number is no text, and true is no number. What
values a feature may have is the model's matter; the engine checks it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema

from server.desk.decisions import Fact
from server.desk.engine import MOST_REASONS
from server.desk.prepared import MOST_ID
from server.desk.requests import (
    MOST_FACT_TEXT,
    MOST_FACTS,
    MOST_FEATURES,
    MOST_INTEGER,
    MOST_NAME,
)

MOST_BATCH = 1_000  # more would hold up other calls while they are parsed; gRPC takes 16,384
MOST_CATEGORY = 1_000


def _value(given: Any) -> float | str | None:
    if given is None:
        return None
    if isinstance(given, str):
        if len(given) > MOST_CATEGORY:
            raise ValueError(f"a category has at most {MOST_CATEGORY:,} signs")
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("must be a number, a category's text, or null where it is missing")
    return float(given)


def _fact(given: Any) -> Fact:
    if isinstance(given, bool):
        return given
    if isinstance(given, int):
        if abs(given) > MOST_INTEGER:
            raise ValueError(f"must be within ±{MOST_INTEGER:,}")
        return given
    if isinstance(given, float):
        number = Decimal(repr(given))  # 0.85 as it was written, not as it is stored
        if number and not -30 <= number.adjusted() <= 15:
            raise ValueError("must be a number that a contract could hold")
        return number
    if isinstance(given, str) and len(given) <= MOST_FACT_TEXT:
        return given
    raise ValueError(
        f"must be a number, true or false, or a text of up to {MOST_FACT_TEXT:,} signs"
    )


FeatureValue = Annotated[
    float | str | None,
    PlainValidator(_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "maxLength": MOST_CATEGORY},
                {"type": "null"},
            ],
            "description": "A number, a category's text, or null where the bank does not know it.",
        }
    ),
]
FactValue = Annotated[
    Fact,
    PlainValidator(_fact),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": -MOST_INTEGER, "maximum": MOST_INTEGER},
                {"type": "string", "maxLength": MOST_FACT_TEXT},
                {"type": "boolean"},
            ],
            "description": "Amounts in minor units and counts are whole numbers, shares decimals.",
        }
    ),
]
Name = Annotated[str, Field(max_length=MOST_NAME)]
Borrower = Annotated[str, Field(min_length=1, max_length=MOST_ID)]
Features = dict[Name, FeatureValue]

_STRICT = ConfigDict(extra="forbid", strict=True)
_ROW: dict[str, JsonValue] = {
    "age": 41.0,
    "income": 2400.0,
    "employment": "self-employed",
    "balance": None,
}
_SCORE: dict[str, JsonValue] = {"borrower": "DE-4711", "features": _ROW}


class ScoreBody(BaseModel):
    """One borrower, and the bank's own fresh features of it."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [_SCORE]})

    borrower: Borrower = Field(description="The id as the bank writes it; it is normalised here.")
    features: Features = Field(
        max_length=MOST_FEATURES,
        description="Every feature that GET /v1/model lists, by name; null where it is missing.",
    )
    model: Name = Field("", description="A model of the registry; empty: the one in production.")


class ExplainBody(ScoreBody):
    """One borrower, and how many reasons are wanted."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [_SCORE]})

    most_reasons: int = Field(4, ge=1, le=MOST_REASONS, description="Reasons at most.")


class DecideBody(ScoreBody):
    """One borrower, the product asked for, and the facts that the lending policy needs."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                _SCORE
                | {
                    "product": "working-capital",
                    "facts": {"requested_minor": 5_000_000, "utilisation": 0.35, "consent": True},
                }
            ]
        }
    )

    product: Name = Field(description="As the policy file names it.")
    facts: dict[Name, FactValue] = Field(
        default_factory=dict, max_length=MOST_FACTS, description="By the policy's names for them."
    )


class BatchBody(BaseModel):
    """Borrowers, and a column of values for each feature."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "borrowers": ["DE-4711", "DE-4712"],
                    "features": {"age": [41, 57], "employment": ["self-employed", None]},
                }
            ]
        }
    )

    borrowers: list[Borrower] = Field(min_length=1, max_length=MOST_BATCH)
    features: dict[Name, Annotated[list[FeatureValue], Field(max_length=MOST_BATCH)]] = Field(
        max_length=MOST_FEATURES,
        description="Every feature that GET /v1/model lists: a value for each borrower, in order.",
    )
    model: Name = Field("", description="A model of the registry; empty: the one in production.")


class MissingPartyReply(BaseModel):
    """A feature party whose points are not in the score."""

    party: str
    reason: str = Field(description="NOT_KNOWN_THERE (no failure), SILENT, REFUSED, CIRCUIT_OPEN.")


class ScoreReplyBody(BaseModel):
    """A score and where it comes from."""

    request_id: str = Field(description="Stands in the desk's audit record too.")
    score: int = Field(description="500 is even odds; 20 points more double the odds of repaying.")
    probability_of_default: float = Field(ge=0, le=1, description="Calibrated.")
    degraded: bool = Field(description="A party that should have answered did not.")
    missing_parties: list[MissingPartyReply]
    auc: float = Field(description="Of the variant that answered; 0: not known.")
    model: str
    model_digest: str = Field(description="SHA-256 of the served model.")
    variant: str = Field(description="Which fitted variant answered.")
    parties: list[str] = Field(description="Feature parties whose points are in the score.")
    role: str = Field(description="champion or challenger.")


class ReasonReply(BaseModel):
    """What weighed against a borrower."""

    code: str
    text: str = Field(description="A sentence for the borrower.")
    party: str
    points: int = Field(description="Points lost against the mean borrower of the training.")


class ExplainReplyBody(BaseModel):
    """A score and its reasons, the heaviest first."""

    score: ScoreReplyBody
    reasons: list[ReasonReply]
    without_reasons: list[str] = Field(description="Parties that count but give no reasons.")


class DecideReplyBody(BaseModel):
    """A score and what the lending policy makes of it."""

    score: ScoreReplyBody
    decision: str = Field(description="approve, decline or refer.")
    rule: str = Field(description="The rule of the policy that made the decision.")
    policy: str
    policy_digest: str
    terms: dict[str, str] = Field(description="limit_minor, annual_rate, ... as decimal texts.")
    reasons: list[ReasonReply]
    notes: list[str]


class BatchReplyBody(BaseModel):
    """Scores in the order of the request."""

    request_id: str
    scores: list[int]
    probabilities_of_default: list[float]
    variant: list[int] = Field(description="For each borrower, a place in `variants`.")
    variants: list[str]
    missing_parties: list[MissingPartyReply] = Field(description="Failed for the whole batch.")
    degraded: bool
    model: str
    model_digest: str


class FeatureReply(BaseModel):
    """A feature that a request must bring."""

    name: str
    kind: str = Field(description="numeric or categorical.")
    unit: str
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str]
    may_be_missing: bool


class VariantReply(BaseModel):
    """A set of parties that may answer, and how good the model is with them."""

    name: str
    parties: list[str]
    auc: float
    test_borrowers: int


class ModelReplyBody(BaseModel):
    """What a model takes and how good it is without which party."""

    model: str
    model_digest: str
    session: str
    stage: str
    features: list[FeatureReply]
    variants: list[VariantReply]
    identifier_rule: str


class HealthReplyBody(BaseModel):
    """Whether the desk can score."""

    status: str


class WrongField(BaseModel):
    """A field that is wrong."""

    pointer: str = Field(description="JSON pointer into the body (RFC 6901).")
    detail: str


class ProblemBody(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence; it holds no value of the request.")
    request_id: str | None = None
    errors: list[WrongField] | None = None

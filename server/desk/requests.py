"""From a request's bytes to a query: parsed defensively, every wrong field named at once."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from federation.proto.scoring_pb2 import (
    Column,
    DecideRequest,
    ExplainRequest,
    Fact,
    ScoreBatchRequest,
    ScoreRequest,
)
from federation.scoring.rows import FieldErrors, GivenColumn
from server.desk import decisions
from server.desk.answers import FeatureValue, ScoreQuery
from server.desk.engine import MOST_BORROWERS, BatchQuery

Request = TypeVar("Request", bound=Message)

MOST_FEATURES = 2_000
MOST_FACTS = 200
MOST_NAME = 200  # signs of a model's or product's name
MOST_FACT_TEXT = 1_000
MOST_INTEGER = 10**15  # minor units; beyond any loan


def parsed(kind: type[Request], data: bytes) -> Request:
    """A request of this kind.

    Raises:
        FieldErrors: the bytes are no such message, or it has fields that the desk does not know.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise FieldErrors([("", f"is no {kind.DESCRIPTOR.full_name} message")]) from None
    # In the usual case two counts in C are cheaper than a look at every nested message.
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise FieldErrors(_unknown(kind.FromString(data), "") or [("", "has unknown fields")])
    return message


def score_query(request: ScoreRequest) -> ScoreQuery:
    """One borrower's query.

    Raises:
        FieldErrors: a value has no kind, or there are more than any model has.
    """
    if len(request.features) > MOST_FEATURES:
        raise FieldErrors([("features", f"must be at most {MOST_FEATURES:,}")])
    features: dict[str, FeatureValue] = {}
    wrong: list[tuple[str, str]] = []
    for name, value in request.features.items():
        kind = value.WhichOneof("kind")
        if kind == "number":
            features[name] = value.number
        elif kind == "category":
            features[name] = value.category
        elif kind == "missing" and value.missing:
            features[name] = None
        else:
            wrong.append((f'features["{name[:60]}"]', _NO_VALUE))
    _check_name(request.model, "model", wrong)
    if wrong:
        raise FieldErrors(wrong)
    return ScoreQuery(request.borrower, features, request.model)


def batch_query(request: ScoreBatchRequest) -> BatchQuery:
    """A batch's query; values are checked when its model is known.

    Raises:
        FieldErrors: a column holds both numbers and categories, or its flags are not 0 or 1.
    """
    wrong: list[tuple[str, str]] = []
    count = len(request.borrowers)
    if not 1 <= count <= MOST_BORROWERS:
        wrong.append(("borrowers", f"must be 1 to {MOST_BORROWERS:,}"))
    if len(request.columns) > MOST_FEATURES:
        wrong.append(("columns", f"must be at most {MOST_FEATURES:,}"))
    _check_name(request.model, "model", wrong)
    columns = [] if wrong else [_column(column, count, wrong) for column in request.columns]
    if wrong:
        raise FieldErrors(wrong)
    return BatchQuery(list(request.borrowers), columns, request.model)


def explain_query(request: ExplainRequest) -> tuple[ScoreQuery, int]:
    """One borrower's query and how many reasons are wanted."""
    return score_query(request.request), request.most_reasons or 4


def decide_query(request: DecideRequest) -> tuple[ScoreQuery, str, Mapping[str, decisions.Fact]]:
    """One borrower's query, the product, and the facts for the policy.

    Raises:
        FieldErrors: a fact has no value, or one beyond what any fact is.
    """
    query = score_query(request.request)
    wrong: list[tuple[str, str]] = []
    _check_name(request.product, "product", wrong)
    if len(request.facts) > MOST_FACTS:
        raise FieldErrors([("facts", f"must be at most {MOST_FACTS}")])
    facts: dict[str, decisions.Fact] = {}
    for name, fact in request.facts.items():
        value, sentence = _fact(fact)
        if value is None:
            wrong.append((f'facts["{name[:60]}"]', sentence))
        else:
            facts[name] = value
    if wrong:
        raise FieldErrors(wrong)
    return query, request.product, facts


_NO_VALUE = "has no value; give a number, a category, or missing = true"


def _fact(fact: Fact) -> tuple[decisions.Fact | None, str]:
    kind = fact.WhichOneof("kind")
    if kind == "flag":
        return fact.flag, ""
    if kind == "integer":
        inside = abs(fact.integer) <= MOST_INTEGER
        return (fact.integer if inside else None), f"must be within ±{MOST_INTEGER:,}"
    if kind == "text":
        inside = len(fact.text) <= MOST_FACT_TEXT
        return (fact.text if inside else None), f"must be at most {MOST_FACT_TEXT:,} signs"
    if kind == "decimal" and len(fact.decimal) <= 40:
        try:
            number = Decimal(fact.decimal)
        except InvalidOperation:
            number = Decimal("NaN")
        # Neither NaN nor 1e9999, which would fill the memory when it is written out.
        if number.is_finite() and -30 <= number.adjusted() <= 15:
            return number, ""
    if kind == "decimal":
        return None, "must be a decimal number as text, such as '0.85'"
    return None, "has no value; give an integer, a decimal, a text or a flag"


def _column(column: Column, count: int, wrong: list[tuple[str, str]]) -> GivenColumn:
    numbers, categories = len(column.numbers), len(column.categories)
    where = f'columns["{column.feature[:60]}"]'
    if numbers and categories:
        wrong.append((where, "has both numbers and categories; give one"))
    flags: npt.NDArray[np.bool_] | None = None
    if column.missing:
        raw = np.frombuffer(column.missing, dtype=np.uint8)
        if len(raw) != count or raw.max(initial=0) > 1:
            wrong.append((f"{where}.missing", "must be a byte a borrower, 0 or 1"))
        flags = raw.astype(np.bool_)
    if categories:
        return GivenColumn(column.feature, list(column.categories), flags)
    values = np.fromiter(column.numbers, dtype=np.float64, count=numbers)
    return GivenColumn(column.feature, values, flags)


def _check_name(name: str, field: str, wrong: list[tuple[str, str]]) -> None:
    if len(name) > MOST_NAME:
        wrong.append((field, f"must be a name of at most {MOST_NAME} signs"))


def _unknown(message: Message, path: str) -> list[tuple[str, str]]:
    """Fields that the desk does not know, by number, with where they stand."""
    strange = UnknownFieldSet(message)
    wrong = [
        (path.rstrip("."), f"has an unknown field, number {strange[place].field_number}")
        for place in range(min(len(strange), 5))
    ]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        here = f"{path}{descriptor.name}"
        if descriptor.message_type.GetOptions().map_entry:
            for key, member in value.items():
                if isinstance(member, Message):
                    wrong += _unknown(member, f'{here}["{str(key)[:60]}"].')
        elif isinstance(value, Message):
            wrong += _unknown(value, f"{here}.")
        else:
            for place, member in enumerate(value):
                wrong += _unknown(member, f"{here}[{place}].")
    return wrong

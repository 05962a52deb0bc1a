"""What a caller asks of the scoring desk, checked before it is sent.

No sentence here holds an id or a value: what is wrong is named by its field.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.desk_refusals import FieldsRefused
from federation.proto import scoring_pb2 as pb

FeatureValue = float | int | str | None
FactValue = int | Decimal | str | bool
Columns = Mapping[str, Sequence[FeatureValue] | npt.NDArray[Any]]


def _value(name: str, value: FeatureValue) -> pb.Value:
    if value is None:
        return pb.Value(missing=True)
    if isinstance(value, str):
        _check_text(f'features["{name}"]', value)
        return pb.Value(category=value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return pb.Value(number=number)
    raise _wrong(name)


def _check_text(field: str, value: object) -> None:
    """Protobuf's own complaint of a text would quote it."""
    try:
        if isinstance(value, str):
            value.encode()
            return
    except UnicodeEncodeError:
        pass
    right = "a text of whole Unicode signs"
    raise FieldsRefused(f"'{field}' must be {right}", {field: right})


def _wrong(name: str) -> FieldsRefused:
    right = "a finite number, a text, or None where it is missing"
    return FieldsRefused(f"feature '{name}' must be {right}", {f'features["{name}"]': right})


def score_request(
    borrower: str, features: Mapping[str, FeatureValue], model: str
) -> pb.ScoreRequest:
    """One borrower.

    Raises:
        FieldsRefused: names the field.
    """
    values = {name: _value(name, value) for name, value in features.items()}
    _check_text("borrower", borrower)
    _check_text("model", model)
    return pb.ScoreRequest(borrower=borrower, features=values, model=model)


def fact(name: str, value: FactValue) -> pb.Fact:
    """A fact that the policy asks for; raises FieldsRefused."""
    if isinstance(value, bool):
        return pb.Fact(flag=value)
    if isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63:
        return pb.Fact(integer=int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return pb.Fact(decimal=format(value, "f"))
    if isinstance(value, str):
        _check_text(f'facts["{name}"]', value)
        return pb.Fact(text=value)
    right = "a whole number, a finite Decimal, a text or a flag; a float is no amount"
    raise FieldsRefused(f"fact '{name}' must be {right}", {f'facts["{name}"]': right})


def decide_request(
    borrower: str,
    features: Mapping[str, FeatureValue],
    product: str,
    facts: Mapping[str, FactValue],
    model: str = "",
) -> pb.DecideRequest:
    """One application; raises FieldsRefused."""
    _check_text("product", product)
    return pb.DecideRequest(
        request=score_request(borrower, features, model),
        product=product,
        facts={name: fact(name, value) for name, value in facts.items()},
    )


def is_categorical(values: Sequence[FeatureValue] | npt.NDArray[Any]) -> bool | None:
    """Whether a column holds texts, by its first value that is known; None: all are missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return False
    return next((isinstance(value, str) for value in values if not _absent(value)), None)


def batch_request(
    sequence: int,
    borrowers: Sequence[str],
    columns: Columns,
    first: int,
    model: str,
    categorical: Set[str],
) -> pb.ScoreBatchRequest:
    """Borrowers, and each column's values from place `first` on; raises FieldsRefused.

    Args:
        sequence: the message's number.
        borrowers: of this message.
        columns: of all borrowers.
        first: place of this message's first borrower among all.
        model: in the registry.
        categorical: which columns hold texts; a message's own values may all be missing.
    """
    end = first + len(borrowers)
    for borrower in borrowers:
        _check_text("borrowers", borrower)
    return pb.ScoreBatchRequest(
        sequence=sequence,
        borrowers=borrowers,
        columns=[
            _texts(name, values[first:end])
            if name in categorical
            else _numbers(name, values[first:end])
            for name, values in columns.items()
        ],
        model=model,
    )


def _absent(value: Any) -> bool:
    return value is None or bool(value != value)  # NaN


def _texts(name: str, values: Sequence[FeatureValue] | npt.NDArray[Any]) -> pb.Column:
    missing = np.array([_absent(value) for value in values], dtype=np.bool_)
    texts = []
    for value, absent in zip(values, missing.tolist(), strict=True):
        if not absent and not isinstance(value, str):
            raise _mixed(name)
        texts.append("" if absent else str(value))
        _check_text(f'columns["{name}"]', texts[-1])
    return pb.Column(feature=name, categories=texts, missing=_flags(missing))


def _numbers(name: str, values: Sequence[FeatureValue] | npt.NDArray[Any]) -> pb.Column:
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        numeric = values.astype(np.float64)
    else:
        numeric = np.empty(len(values))
        for place, value in enumerate(values):
            if isinstance(value, str):
                raise _mixed(name)
            numeric[place] = math.nan if _absent(value) else _value(name, value).number
    missing = np.isnan(numeric)
    if np.isinf(numeric).any():
        raise _wrong(name)
    return pb.Column(feature=name, numbers=np.where(missing, 0.0, numeric), missing=_flags(missing))


def _mixed(name: str) -> FieldsRefused:
    return FieldsRefused(
        f"column '{name}' holds numbers and texts; one kind is right",
        {f'columns["{name}"]': "numbers only, or texts only"},
    )


def _flags(missing: npt.NDArray[np.bool_]) -> bytes:
    return missing.astype(np.uint8).tobytes() if missing.any() else b""

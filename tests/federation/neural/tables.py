"""Small made-up tables of bank borrowers that tests of the neural model share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from federation.neural.schema import (
    CategoricalInput,
    InputSchema,
    NumericInput,
    SequenceInput,
)
from federation.neural.settings import NeuralSettings
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

SCHEMA = InputSchema(
    (
        NumericInput("limit", "NTD", 10_000.0, 1_000_000.0),
        NumericInput("score"),
        NumericInput("may", "months", -2.0, 9.0),
        NumericInput("june", "months", -2.0, 9.0),
        NumericInput("july", "months", -2.0, 9.0),
    ),
    (CategoricalInput("school", ("1", "2", "3")),),
    (SequenceInput("status", ("may", "june", "july")),),
)


def small(**values: Any) -> NeuralSettings:
    """Settings of a small network."""
    chosen: dict[str, Any] = {
        "hidden": (6,),
        "sequence_hidden": 5,
        "embedding_size": 2,
        "batch_size": 40,
        "seed": 3,
    }
    return NeuralSettings(**chosen | values)


def numeric(name: str, values: Any, present: Any = None) -> FeatureColumn:
    """A numeric column; NaN is missing."""
    array = np.asarray(values, dtype=np.float64)
    known = np.ones(len(array), np.bool_) if present is None else np.asarray(present)
    return FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), array, known)


def categorical(name: str, values: Any) -> FeatureColumn:
    """A categorical column; None is missing."""
    array = np.array(values, dtype=object)
    spec = FeatureSpec(name, FeatureKind.CATEGORICAL)
    return FeatureColumn(spec, array, np.ones(len(array), np.bool_))


def borrowers(rows: int, seed: int = 0) -> tuple[dict[str, FeatureColumn], npt.NDArray[np.uint8]]:
    """Columns of SCHEMA and labels that depend on them."""
    rng = np.random.default_rng(seed)
    late = rng.integers(-2, 4, (rows, 3)).astype(np.float64)
    limit = np.exp(rng.normal(11.5, 0.8, rows))
    columns = {
        "limit": numeric("limit", limit),
        "score": numeric("score", np.where(rng.random(rows) < 0.1, np.nan, rng.normal(0, 3, rows))),
        "may": numeric("may", late[:, 0]),
        "june": numeric("june", late[:, 1]),
        "july": numeric("july", late[:, 2]),
        "school": categorical("school", rng.choice(["1", "2", "3", "9", None], rows).tolist()),
    }
    log_odds = 1.2 * late[:, 2] - 0.5 - (np.log(limit) - 11.5)
    return columns, (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.uint8)

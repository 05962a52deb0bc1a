"""A model as the desk scores encrypted features with it: whole-number weights over an encoding.

A weight is a multiple of 1/64 point (a point is ln 2 / 20 of the log-odds of default), within
±511 points. A borrower's score before rounding is a sum of weights times inputs plus an intercept;
numeric inputs are multiples of 1/256 deviation, so their sums have 1/16,384 point for a step. The
calibration is folded into weights and intercept. What the grids do to a score before it is rounded
to points is bounded by `grid_error_points`.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.additive.model_part import ModelPart
from federation.encrypted_scoring.budget import NoiseBudget, noise_budget
from federation.encrypted_scoring.encoding import (
    MOST_DEVIATIONS,
    STEPS_A_DEVIATION,
    STEPS_A_POINT,
    BinnedInput,
    Encoding,
    NumericInput,
)
from federation.encrypted_scoring.parameters import MOST_WEIGHT
from federation.errors import InputError
from federation.record_chain import canonical_json
from federation.scoring.points import LOG_ODDS_A_POINT, Calibration

FORMAT = "veilscore encrypted model 1"
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EncryptedModel:
    """What the desk holds; its repr shows no weight.

    Attributes:
        encoding: public.
        weights: one an input, in 1/64 points.
        intercept: in steps of the sums' grid.
        salt: 32 random bytes in hexadecimal. The model's digest is public; without a salt it would
            let anybody test guesses of the weights.
    """

    encoding: Encoding
    weights: tuple[int, ...] = field(repr=False)
    intercept: int = field(repr=False)
    salt: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @cached_property
    def weight_vector(self) -> Integers:
        """(d,)."""
        return np.array(self.weights, dtype=np.int64)

    @cached_property
    def budget(self) -> NoiseBudget:
        """How the modulus is shared; rests on the largest score that honest inputs reach."""
        largest, first = abs(self.intercept), 0
        for one in self.encoding.inputs:
            own = self.weights[first : first + one.width]
            largest += one.largest * max(map(abs, own))
            first += one.width
        return noise_budget(sum(map(abs, self.weights)), largest)

    @property
    def grid_error_points(self) -> float:
        """How far the grids of weights and inputs move a score before rounding, at most, in points.

        Clipping at ±8 scales is not in it.
        """
        numeric = [isinstance(one, NumericInput) for one in self.encoding.inputs]
        of_weights = 1 + sum(MOST_DEVIATIONS if is_numeric else 1 for is_numeric in numeric)
        of_inputs = sum(map(abs, self.weights)) / STEPS_A_DEVIATION if any(numeric) else 0.0
        return (of_weights + of_inputs) / (2 * STEPS_A_POINT)

    def sums(self, values: Integers) -> Integers:
        """Scores (n,) in steps of the sums' grid, of encoded inputs (n, d): in the clear."""
        return values @ self.weight_vector + self.intercept

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical_json(
            {
                "format": FORMAT,
                "encoding": self.encoding.to_json(),
                "weights": list(self.weights),
                "intercept": self.intercept,
                "salt": self.salt,
            }
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON; the salt keeps it from telling about the weights."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, content: Any, where: str) -> EncryptedModel:
        """Parse and check a stored model.

        Raises:
            InputError: names `where` and what is wrong; never a weight.
        """
        if isinstance(content, str | bytes):
            try:
                content = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: not JSON") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{where}: not an encrypted model; its format must be '{FORMAT}'")
        encoding = Encoding.from_json(content.get("encoding"), where)
        weights, salt = content.get("weights"), content.get("salt")
        whole = [content.get("intercept"), *(weights if isinstance(weights, list) else [None])]
        if not all(type(number) is int for number in whole):
            raise InputError(f"{where}: weights and intercept must be whole numbers")
        if not isinstance(salt, str) or len(salt) != 64:
            raise InputError(f"{where}: the salt must be 32 bytes in hexadecimal")
        model = cls(encoding, tuple(whole[1:]), whole[0], salt)
        model.check(where)
        return model

    def check(self, where: str) -> None:
        """Refuse a model that can't be served.

        Raises:
            InputError: names `where` and what is wrong.
            NoRoomError: scores and noise leave no room for flooding.
        """
        self.encoding.check(where)
        numeric = {isinstance(one, NumericInput) for one in self.encoding.inputs}
        grid = STEPS_A_POINT * (STEPS_A_DEVIATION if True in numeric else 1)
        if len(numeric) > 1 or self.encoding.steps_a_point != grid:
            raise InputError(f"{where}: inputs must be all numeric or all binned, on their grid")
        if len(self.weights) != self.encoding.width:
            raise InputError(
                f"{where}: {len(self.weights)} weights for {self.encoding.width} inputs"
            )
        if any(abs(weight) > MOST_WEIGHT for weight in self.weights):
            raise InputError(
                f"{where}: a weight is beyond ±{MOST_WEIGHT // STEPS_A_POINT} points; a weaker "
                "penalty than the data can bear makes such weights"
            )
        if not self.budget.noise < 1 << (self.budget.scale_bits - 2):
            raise InputError(f"{where}: the noise would reach into the score")


def from_part(part: ModelPart, calibration: Calibration | None = None) -> EncryptedModel:
    """A model of a label party's own part: one input a bin.

    Bin borders and categories become known to applicants.

    Args:
        part: of the label party; its score alone is served, so the variant without partners.
        calibration: folded in.

    Raises:
        InputError: a weight is too large, there are too many bins, or the part has pairs.
    """
    if part.pairs:
        raise InputError(
            f"the model part of {part.party} has terms of pairs of features, which encrypted "
            "scoring does not know; publish a training with pairs = 0"
        )
    used = calibration or Calibration()
    slope = used.slope / LOG_ODDS_A_POINT * STEPS_A_POINT
    start = used.intercept / LOG_ODDS_A_POINT * STEPS_A_POINT
    encoding = Encoding(tuple(BinnedInput(binning) for binning in part.binnings), STEPS_A_POINT)
    weights = [slope * weight for of_feature in part.weights for weight in of_feature]
    where = f"the model part of {part.party}"
    return _model(encoding, weights, start + slope * part.intercept, where)


def from_logistic(
    features: Sequence[str],
    means: Sequence[float],
    scales: Sequence[float],
    weights: Sequence[float],
    intercept: float,
    units: Mapping[str, str] | None = None,
) -> EncryptedModel:
    """A model of a logistic regression on standardised features.

    Args:
        features: names, in order.
        means, scales: a value v enters as (v - mean) / scale; they become public.
        weights: log-odds of default a scale.
        intercept: log-odds of default at the means.
        units: of the features, for applicants to read.

    Raises:
        InputError: lengths differ, a number is not finite, or a weight is too large.
    """
    where = "the logistic regression"
    if not len(features) == len(means) == len(scales) == len(weights):
        raise InputError(f"{where} needs one mean, scale and weight a feature")
    named = units or {}
    inputs = tuple(
        NumericInput(name, float(mean), float(scale), named.get(name, "1"))
        for name, mean, scale in zip(features, means, scales, strict=True)
    )
    encoding = Encoding(inputs, STEPS_A_POINT * STEPS_A_DEVIATION)
    steps = [weight / LOG_ODDS_A_POINT * STEPS_A_POINT for weight in weights]
    start = intercept / LOG_ODDS_A_POINT * STEPS_A_POINT * STEPS_A_DEVIATION
    return _model(encoding, steps, start, where)


def _model(
    encoding: Encoding, weights: Sequence[float], intercept: float, where: str
) -> EncryptedModel:
    if not all(map(math.isfinite, (*weights, intercept))):
        raise InputError(f"{where}: weights and intercept must be finite")
    model = EncryptedModel(encoding, tuple(round(weight) for weight in weights), round(intercept))
    model.check(where)
    return model

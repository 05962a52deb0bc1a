"""How an applicant's features become the whole numbers that are encrypted. All of it is public.

Two kinds of inputs:

- numeric: a feature less a public mean, over a public scale, clipped at ±8 and rounded to 1/256;
- binned: one input a bin, 1 in the bin that holds the value, 0 in the others.

Means, scales, categories and bin borders become known to every applicant's client. Weights do not:
an encoding has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.binning import Binning
from federation.encrypted_scoring.parameters import MOST_INPUTS
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

FORMAT = "veilscore encrypted encoding 1"
STEPS_A_DEVIATION = 256
MOST_DEVIATIONS = 8
STEPS_A_POINT = 64  # of the weights' grid

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NumericInput:
    """One feature as a number of scales from its mean."""

    feature: str
    mean: float
    scale: float
    unit: str = "1"

    width = 1
    largest = STEPS_A_DEVIATION * MOST_DEVIATIONS

    @property
    def kind(self) -> FeatureKind:
        """Always numeric."""
        return FeatureKind.NUMERIC

    def values(self, column: FeatureColumn) -> Integers:
        """(n, 1).

        Raises:
            InputError: a value is missing.
        """
        if not np.isfinite(column.values).all():
            raise InputError(
                f"feature '{self.feature}' is missing somewhere, and this model needs a number"
            )
        deviations = (column.values - self.mean) / self.scale
        clipped = np.clip(deviations, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        steps: Integers = np.rint(clipped * STEPS_A_DEVIATION).astype(np.int64)[:, None]
        return steps


@dataclass(frozen=True)
class BinnedInput:
    """One feature as an indicator a bin."""

    binning: Binning

    largest = 1

    @property
    def feature(self) -> str:
        """Its name."""
        return self.binning.feature

    @property
    def kind(self) -> FeatureKind:
        """Numeric or categorical."""
        return self.binning.kind

    @property
    def width(self) -> int:
        """How many bins."""
        return self.binning.bins

    def values(self, column: FeatureColumn) -> Integers:
        """(n, bins), one 1 in each row."""
        codes = self.binning.assign(column)
        indicators: Integers = (codes[:, None] == np.arange(self.width)).astype(np.int64)
        return indicators


EncodedInput = NumericInput | BinnedInput


@dataclass(frozen=True)
class Encoding:
    """All inputs in order, and what a step of their weighted sum is worth.

    Attributes:
        inputs: the features.
        steps_a_point: of the sums' grid.
    """

    inputs: tuple[EncodedInput, ...]
    steps_a_point: int

    @property
    def width(self) -> int:
        """d, the numbers that a borrower is encoded in."""
        return sum(one.width for one in self.inputs)

    def encode(self, table: Mapping[str, Sequence[Any] | npt.NDArray[Any]]) -> Integers:
        """Whole numbers (n, d) of features by name, each n values; None is missing.

        Raises:
            InputError: names the feature that lacks, is not of its kind, or has another length.
        """
        columns = [_column(one, table) for one in self.inputs]
        lengths = {len(column.present) for column in columns}
        if len(lengths) > 1:
            raise InputError(
                f"every feature must have one value a borrower; there are {sorted(lengths)}"
            )
        pairs = zip(self.inputs, columns, strict=True)
        return np.concatenate([one.values(column) for one, column in pairs], axis=1)

    def to_json(self) -> dict[str, Any]:
        """As canonical JSON takes it."""
        return {
            "format": FORMAT,
            "steps_a_point": self.steps_a_point,
            "inputs": [
                {"numeric": asdict(one)} if isinstance(one, NumericInput) else asdict(one)
                for one in self.inputs
            ],
        }

    @classmethod
    def from_json(cls, content: Any, where: str) -> Encoding:
        """Parse and check.

        Raises:
            InputError: names `where` and what is wrong.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{where}: not an encoding; its format must be '{FORMAT}'")
        try:
            steps = content["steps_a_point"]
            encoding = cls(tuple(_input(one) for one in content["inputs"]), steps)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: the encoding is damaged ({error!r})") from error
        if type(steps) is not int or steps not in (
            STEPS_A_POINT,
            STEPS_A_POINT * STEPS_A_DEVIATION,
        ):
            raise InputError(f"{where}: the encoding's steps a point are not known here")
        encoding.check(where)
        return encoding

    def check(self, where: str) -> None:
        """Refuse what could not be encoded.

        Raises:
            InputError: names `where` and the feature.
        """
        names = [one.feature for one in self.inputs]
        if not names or len(set(names)) != len(names):
            raise InputError(f"{where}: an encoding needs features, each once")
        for one in self.inputs:
            if isinstance(one, NumericInput):
                right = math.isfinite(one.mean) and math.isfinite(one.scale) and one.scale > 0
            else:
                right = _is_sound(one.binning)
            if not right:
                raise InputError(
                    f"{where}: feature '{one.feature}' needs a finite mean and a scale above 0, or "
                    "ascending borders and bins within their number"
                )
        if self.width > MOST_INPUTS:
            raise InputError(f"{where}: {self.width:,} inputs; at most {MOST_INPUTS:,} fit")


def _column(one: EncodedInput, table: Mapping[str, Any]) -> FeatureColumn:
    if one.feature not in table:
        raise InputError(f"the feature '{one.feature}' is needed and not given")
    given = table[one.feature]
    spec = FeatureSpec(one.feature, one.kind)
    if one.kind is FeatureKind.NUMERIC:
        try:
            values = np.asarray(given, dtype=np.float64)  # None becomes NaN
        except (TypeError, ValueError) as error:
            raise InputError(f"feature '{one.feature}' must be numbers, or None") from error
        if np.isinf(values).any():
            raise InputError(f"feature '{one.feature}' must be finite")
    else:
        values = np.array(list(given), dtype=object)
        if not all(value is None or isinstance(value, str) for value in values):
            raise InputError(f"feature '{one.feature}' must be texts, or None")
    if values.ndim != 1:
        raise InputError(f"feature '{one.feature}' must be one value a borrower")
    return FeatureColumn(spec, values, np.ones(len(values), dtype=np.bool_))


def _input(content: Mapping[str, Any]) -> EncodedInput:
    if "numeric" in content:
        one = content["numeric"]
        return NumericInput(
            str(one["feature"]), float(one["mean"]), float(one["scale"]), str(one["unit"])
        )
    one = content["binning"]
    return BinnedInput(
        Binning(
            feature=str(one["feature"]),
            kind=FeatureKind(one["kind"]),
            edges=tuple(map(float, one["edges"])),
            categories=tuple(map(str, one["categories"])),
            other=int(one["other"]),
            missing=int(one["missing"]),
            absent=int(one["absent"]),
            bins=int(one["bins"]),
        )
    )


def _is_sound(binning: Binning) -> bool:
    own = max(binning.ordered_bins, len(binning.categories), 1)
    places = (binning.other, binning.missing, binning.absent)
    return (
        own <= binning.bins <= MOST_INPUTS
        and all(0 <= place < binning.bins for place in places)
        and all(map(math.isfinite, binning.edges))
        and list(binning.edges) == sorted(binning.edges)
    )

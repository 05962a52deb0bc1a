"""Series: groups of like columns (six months of payments), their order and their summaries.

A group of numeric columns may ask for summaries; each becomes one more feature of its party. They
are made at the source, row by row, so nothing about other borrowers enters them. On the UCI data
the four of them are worth 0.003 of test AUC (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

Matrix = npt.NDArray[np.float64]


class Summary(StrEnum):
    """What can be asked of a series; missing values are left out, a row without any is missing."""

    MEAN = "mean"
    MAXIMUM = "max"
    MINIMUM = "min"
    DEVIATION = "std"  # population standard deviation


class MonthlySequence(NamedTuple):
    """A numeric group that is a history: its name, and its columns with the oldest first."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """A group of numeric columns in one unit, and the summaries asked of it.

    Attributes:
        name: the group's name in the manifest.
        columns: its columns, two or more.
        summaries: each makes a feature called 'name summary'.
        unit: of columns and summaries alike.
        public: whether reports may call the features by the group's name.
    """

    name: str
    columns: tuple[str, ...]
    summaries: tuple[Summary, ...]
    unit: str
    public: bool


def _deviation(values: Matrix) -> npt.NDArray[np.float64]:
    # Sorted: the same values in another order, of months or of columns, give the same last bit.
    values = np.sort(values, axis=1)
    mean = np.nanmean(values, axis=1, keepdims=True)
    # Rounded to the precision that the inputs carry, so that equal rows fall into equal bins.
    deviation = np.sqrt(np.nanmean((values - mean) ** 2, axis=1))
    scale = np.nanmax(np.abs(values), axis=1)
    rounded: npt.NDArray[np.float64] = np.where(deviation < 1e-9 * scale, 0.0, deviation)
    return rounded


_FUNCTIONS: dict[Summary, Callable[[Matrix], npt.NDArray[np.float64]]] = {
    Summary.MEAN: lambda values: np.asarray(np.nanmean(values, axis=1)),
    Summary.MAXIMUM: lambda values: np.asarray(np.nanmax(values, axis=1)),
    Summary.MINIMUM: lambda values: np.asarray(np.nanmin(values, axis=1)),
    Summary.DEVIATION: _deviation,
}


def summary_spec(group: Series, summary: Summary, members: Sequence[FeatureSpec]) -> FeatureSpec:
    """The feature that a summary makes; its range follows from its columns' where all have one."""
    name = f"{group.name} {summary}"
    lowest = [spec.minimum for spec in members if spec.minimum is not None]
    highest = [spec.maximum for spec in members if spec.maximum is not None]
    minimum = min(lowest) if len(lowest) == len(members) else None
    maximum = max(highest) if len(highest) == len(members) else None
    if summary is Summary.DEVIATION:
        # Largest where half of the values lie at either end (Popoviciu 1935).
        maximum = None if minimum is None or maximum is None else (maximum - minimum) / 2
        minimum = 0.0
    return FeatureSpec(
        name,
        FeatureKind.NUMERIC,
        group.unit,
        minimum=minimum,
        maximum=maximum,
        label=name if group.public else None,
    )


def summarise(columns: Sequence[FeatureColumn], series: Sequence[Series]) -> list[FeatureColumn]:
    """The summary features of all series, in order (one value a row).

    Args:
        columns: the party's features; those of a series must be among them.
        series: what the manifest asks for.
    """
    by_name = {column.spec.name: column for column in columns}
    made: list[FeatureColumn] = []
    for group in series:
        members = [by_name[name] for name in group.columns]
        values = np.stack([member.values for member in members], axis=1)
        empty = np.isnan(values).all(axis=1)
        filled = np.where(empty[:, None], 0.0, values)  # an all-missing row warns otherwise
        for summary in group.summaries:
            result = np.where(empty, np.nan, _FUNCTIONS[summary](filled))
            spec = summary_spec(group, summary, [member.spec for member in members])
            made.append(FeatureColumn(spec, result, members[0].present))
    return made

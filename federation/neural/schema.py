"""The inputs of a neural model that all banks of a run agree on, before any of them trains.

Everything in it is public: names, units, categories and bounds come from the banks' manifests,
never from their rows. Its digest is compared between the banks.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind

# A schema may come from another party: no bigger network than this can be asked for.
MOST_INPUTS = 2000
MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class NumericInput:
    """A numeric column.

    Attributes:
        name: the column's name, the same at every bank.
        unit: unit of its values ("NTD", "months", "1" for a pure number).
        minimum, maximum: public bounds of a value that is not missing, or None; values beyond
            them are brought to the bound.
    """

    name: str
    unit: str = "1"
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class CategoricalInput:
    """A categorical column.

    Attributes:
        name: the column's name, the same at every bank.
        categories: the known ones; their codes count from 1. Code 0 is 'other or missing'.
    """

    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class SequenceInput:
    """A channel of the history: one quantity in several months.

    Attributes:
        name: the channel's name.
        columns: names of numeric inputs of the schema, the oldest month first.
    """

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class InputSchema:
    """The model's inputs, in the order in which it reads them.

    Attributes:
        numeric: all numeric columns, those of the sequences too (their units and bounds are here).
        categorical: all categorical columns.
        sequences: channels of the monthly histories, all of the same number of months; may be
            empty. A column is in one channel at most.

    Raises:
        InputError: no input at all, a name twice, a bound that is not one, a channel of unknown
            columns or of another length, an empty list of categories.
    """

    numeric: tuple[NumericInput, ...]
    categorical: tuple[CategoricalInput, ...] = ()
    sequences: tuple[SequenceInput, ...] = ()

    def __post_init__(self) -> None:
        """Check what models rely on."""
        names = [column.name for column in self.numeric]
        names += [choice.name for choice in self.categorical]
        if not 0 < len(names) <= MOST_INPUTS:
            raise InputError(
                f"input schema: {len(names)} columns; from 1 to {MOST_INPUTS} are right"
            )
        _refuse_repeated(names, "column")
        _refuse_repeated([channel.name for channel in self.sequences], "sequence")
        for column in self.numeric:
            _check_bounds(column)
        for choice in self.categorical:
            if not 0 < len(choice.categories) <= MOST_CATEGORIES:
                raise InputError(
                    f"input schema: column '{choice.name}' has {len(choice.categories)} "
                    f"categories; from 1 to {MOST_CATEGORIES} are right"
                )
            _refuse_repeated(list(choice.categories), f"category of '{choice.name}':")
        numeric = {column.name for column in self.numeric}
        in_channels: list[str] = []
        for channel in self.sequences:
            if not channel.columns or len(channel.columns) != len(self.sequences[0].columns):
                raise InputError(
                    f"input schema: sequence '{channel.name}' has {len(channel.columns)} months; "
                    "all sequences must have the same number, at least one"
                )
            for name in channel.columns:
                if name not in numeric:
                    raise InputError(
                        f"input schema: sequence '{channel.name}' names '{name}', which is not a "
                        "numeric column of the schema"
                    )
            in_channels += channel.columns
        _refuse_repeated(in_channels, "column of sequences")

    @cached_property
    def static(self) -> tuple[NumericInput, ...]:
        """Numeric columns that are in no sequence, in order."""
        in_channels = {name for channel in self.sequences for name in channel.columns}
        return tuple(column for column in self.numeric if column.name not in in_channels)

    @property
    def months(self) -> int:
        """Length of every sequence; 0 without sequences."""
        return len(self.sequences[0].columns) if self.sequences else 0

    def numeric_input(self, name: str) -> NumericInput:
        """The numeric column of that name."""
        return next(column for column in self.numeric if column.name == name)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    @classmethod
    def from_json(cls, values: Any) -> InputSchema:
        """Back from plain values, which may come from another party.

        Raises:
            InputError: they are no schema; see the class.
        """
        try:
            return cls(
                tuple(
                    NumericInput(
                        _text(entry["name"]),
                        _text(entry["unit"]),
                        _number(entry["minimum"]),
                        _number(entry["maximum"]),
                    )
                    for entry in values["numeric"]
                ),
                tuple(
                    CategoricalInput(
                        _text(entry["name"]), tuple(_text(name) for name in entry["categories"])
                    )
                    for entry in values["categorical"]
                ),
                tuple(
                    SequenceInput(
                        _text(entry["name"]), tuple(_text(name) for name in entry["columns"])
                    )
                    for entry in values["sequences"]
                ),
            )
        except (KeyError, TypeError) as error:
            raise InputError(
                "input schema: not a description of numeric, categorical and sequence columns"
            ) from error

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def check_columns(self, columns: Mapping[str, FeatureColumn]) -> None:
        """Refuse a table that lacks a column of the schema or has it of another kind.

        Raises:
            InputError: naming the column.
        """
        wanted = {column.name: FeatureKind.NUMERIC for column in self.numeric}
        wanted |= {column.name: FeatureKind.CATEGORICAL for column in self.categorical}
        for name, kind in wanted.items():
            if name not in columns:
                raise InputError(
                    f"column '{name}' of the agreed schema is not in this bank's table"
                )
            found = columns[name].values.dtype
            if np.issubdtype(found, np.number) != (kind is FeatureKind.NUMERIC):
                raise InputError(
                    f"column '{name}' is not {kind.value} in this bank's table; the agreed schema "
                    "has it so"
                )
        lengths = {len(columns[name].values) for name in wanted}
        if len(lengths) > 1:
            raise InputError(f"columns have {sorted(lengths)} rows; all must have as many")


def _refuse_repeated(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"input schema: {what} '{name}' is there twice; each must be once")
        seen.add(name)


def _check_bounds(column: NumericInput) -> None:
    bounds = [bound for bound in (column.minimum, column.maximum) if bound is not None]
    if not all(math.isfinite(bound) for bound in bounds):
        raise InputError(f"input schema: a bound of '{column.name}' is not a finite number")
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        raise InputError(
            f"input schema: '{column.name}' has a minimum ({bounds[0]:g}) above its maximum "
            f"({bounds[1]:g})"
        )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return float(value)

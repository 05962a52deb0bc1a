"""Columns as numbers for a network, by transforms that are public or come from sums alone.

A value x, in its column's unit, is first bent to t = asinh(x), which is linear near 0 and a signed
logarithm beyond (Burbidge, Magee & Robb, JASA 83, 1988). Then it becomes

- its weights on evenly spaced knots between the bent bounds, a linear B-spline basis (Eilers & Marx
  1996 use the same idea): two neighbouring knots share it and their weights sum to 1. This needs no
  statistics at all, so it costs no privacy, and keeps inputs and gradients short;
- one number for its place: centred and scaled, either by the mean and spread of t, of which each
  bank gives sums only, or by the public bounds alone, which costs no privacy either.

A missing value is zero in both: no knot has a weight, which no known value looks like.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.neural.schema import InputSchema, NumericInput
from federation.schema import FeatureColumn

# Where a column has no public bound: a thousand million of its unit, either side.
WIDEST = 1e9
FEWEST_KNOTS = 8
# At most this far apart on the bent scale: about a factor of seven.
KNOT_DISTANCE = 2.0
# More rows than a bank can have, for the range of its sums.
MOST_ROWS = 2**24
# Places are cut here: five spreads from the mean.
MOST_SPREADS = 5.0
_BENT_WIDEST = math.asinh(WIDEST)
_SMALLEST_SPAN = 1e-6  # of bent bounds; closer ones are one value

Columns = Mapping[str, FeatureColumn]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows as a network reads them.

    Attributes:
        numeric: (n, static_width) float32, columns that are in no sequence.
        categories: (n, c) int64 codes; 0 is 'other or missing'.
        sequences: (n, months, channel_width) float32, the oldest month first.
    """

    numeric: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.numeric)

    def rows(self, which: npt.NDArray[Any]) -> Inputs:
        """Some of the rows, by position or by flags."""
        return Inputs(self.numeric[which], self.categories[which], self.sequences[which])


@dataclass(frozen=True)
class _Quantity:
    """One static column, or one channel of the sequences with all its months together."""

    columns: tuple[NumericInput, ...]

    @property
    def bent_range(self) -> tuple[float, float]:
        """Bent bounds that hold for all of its columns."""
        lows = [_bent(column.minimum, -_BENT_WIDEST) for column in self.columns]
        highs = [_bent(column.maximum, _BENT_WIDEST) for column in self.columns]
        return min(lows), max(highs)

    @property
    def knots(self) -> npt.NDArray[np.float64]:
        """Where the basis has its knots."""
        low, high = self.bent_range
        if high - low < _SMALLEST_SPAN:
            high = low + 1.0  # a constant by its bounds
        count = max(FEWEST_KNOTS, math.ceil((high - low) / KNOT_DISTANCE) + 1)
        return np.linspace(low, high, count)

    def bent(self, columns: Columns) -> npt.NDArray[np.float64]:
        """t (n, columns) of a table, NaN where missing."""
        low, high = self.bent_range
        bent = np.empty((_row_count(columns), len(self.columns)))
        for index, wanted in enumerate(self.columns):
            column = columns[wanted.name]
            values = np.where(column.present, column.values.astype(np.float64), np.nan)
            bent[:, index] = np.clip(np.arcsinh(values), low, high)
        return bent


def static_width(schema: InputSchema) -> int:
    """Numbers that the static numeric columns become."""
    return sum(len(quantity.knots) + 1 for quantity in _static_quantities(schema))


def channel_width(schema: InputSchema) -> int:
    """Numbers that a month of the sequences becomes."""
    return sum(len(quantity.knots) + 1 for quantity in _channels(schema))


@dataclass(frozen=True)
class Scaling:
    """How the columns of a schema become numbers.

    Attributes:
        schema: whose columns.
        centres, spreads: of t, one of each a static numeric column and then a channel, in the
            schema's order.
    """

    schema: InputSchema
    centres: tuple[float, ...]
    spreads: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that there is one finite centre and one positive spread a quantity."""
        count = len(_quantities(self.schema))
        if not len(self.centres) == len(self.spreads) == count:
            raise InputError(
                f"scaling: {len(self.centres)} centres and {len(self.spreads)} spreads; the schema "
                f"has {count} quantities"
            )
        if not all(math.isfinite(value) for value in (*self.centres, *self.spreads)) or not all(
            spread > 0 for spread in self.spreads
        ):
            raise InputError("scaling: centres must be finite numbers and spreads positive ones")

    @staticmethod
    def statistics(columns: Columns, schema: InputSchema) -> npt.NDArray[np.float64]:
        """A bank's sums (3·quantities,): how many known values, Σu and Σu², u = t / asinh(10⁹).

        u lies within ±1, so each sum is within its range of `statistics_ranges`.

        Raises:
            InputError: a column is missing or of another kind, or there are too many rows.
        """
        schema.check_columns(columns)
        if _row_count(columns) * max(schema.months, 1) > MOST_ROWS:
            raise InputError(
                f"{_row_count(columns)} rows; a bank can have {MOST_ROWS // max(schema.months, 1)}"
            )
        sums: list[float] = []
        for quantity in _quantities(schema):
            bent = quantity.bent(columns)
            scaled = bent[~np.isnan(bent)] / _BENT_WIDEST
            sums += [float(scaled.size), float(scaled.sum()), float(np.square(scaled).sum())]
        return np.array(sums)

    @staticmethod
    def statistics_ranges(
        schema: InputSchema, most_values: int = MOST_ROWS
    ) -> npt.NDArray[np.float64]:
        """Lowest and highest value of each of a bank's sums, (3·quantities, 2).

        Args:
            schema: whose sums.
            most_values: most known values that a quantity can have at a bank (rows × months).
        """
        one = [[0.0, most_values], [-most_values, most_values], [0.0, most_values]]
        return np.array(one * len(_quantities(schema)), dtype=np.float64).reshape(-1, 2)

    @classmethod
    def from_sums(cls, schema: InputSchema, sums: npt.NDArray[np.float64]) -> Scaling:
        """Centres and spreads from the sum of all banks' statistics.

        A quantity without any known value, or with the same one everywhere, keeps the spread 1.

        Raises:
            InputError: sums of another schema, or not finite.
        """
        quantities = _quantities(schema)
        if sums.shape != (3 * len(quantities),) or not np.isfinite(sums).all():
            raise InputError(
                f"scaling: {sums.shape} sums; the schema needs {3 * len(quantities)} finite ones"
            )
        counts, totals, squares = np.asarray(sums, dtype=np.float64).reshape(-1, 3).T
        means = np.divide(totals, counts, out=np.zeros_like(totals), where=counts >= 1)
        powers = np.divide(squares, counts, out=np.zeros_like(totals), where=counts >= 1)
        variances = powers - np.square(means)
        # Sums come in fixed point: what is below its grain is no spread.
        spreads = np.where(variances > 1e-9, np.sqrt(np.maximum(variances, 0.0)), np.nan)
        spreads = np.where(np.isnan(spreads), 1.0, spreads * _BENT_WIDEST)
        return cls(schema, tuple((means * _BENT_WIDEST).tolist()), tuple(spreads.tolist()))

    @classmethod
    def from_public_bounds(cls, schema: InputSchema) -> Scaling:
        """Centres and spreads from the schema's bounds alone: no row is looked at.

        The bounds come to lie at ±1. A bound that isn't given counts as ±10⁹ of the unit.
        """
        ranges = [quantity.bent_range for quantity in _quantities(schema)]
        return cls(
            schema,
            tuple((low + high) / 2 for low, high in ranges),
            tuple(
                (high - low) / 2 if high - low >= _SMALLEST_SPAN else 1.0 for low, high in ranges
            ),
        )

    def encode(self, columns: Columns) -> Inputs:
        """A table's rows as a network reads them.

        Raises:
            InputError: a column is missing or of another kind.
        """
        self.schema.check_columns(columns)
        rows = _row_count(columns)
        static_count = len(self.schema.static)
        encoded = [
            _encode(quantity, quantity.bent(columns), centre, spread)
            for quantity, centre, spread in zip(
                _quantities(self.schema), self.centres, self.spreads, strict=True
            )
        ]
        codes = [
            _category_codes(columns[choice.name], choice.categories)
            for choice in self.schema.categorical
        ]
        return Inputs(
            np.concatenate(
                [np.zeros((rows, 0), np.float32), *(part[:, 0] for part in encoded[:static_count])],
                axis=1,
            ),
            np.column_stack([np.zeros((rows, 0), np.int64), *codes]),
            np.concatenate(
                [
                    np.zeros((rows, self.schema.months, 0), np.float32),
                    *encoded[static_count:],
                ],
                axis=2,
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; the schema goes by its digest."""
        return {
            "schema": self.schema.digest,
            "centres": list(self.centres),
            "spreads": list(self.spreads),
        }

    @classmethod
    def from_json(cls, values: Any, schema: InputSchema) -> Scaling:
        """Back from plain values.

        Raises:
            InputError: not a scaling, or of another schema.
        """
        try:
            digest = values["schema"]
            centres = tuple(float(value) for value in values["centres"])
            spreads = tuple(float(value) for value in values["spreads"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError("scaling: not a list of centres and spreads") from error
        if digest != schema.digest:
            raise InputError("scaling: it belongs to another schema than the agreed one")
        return cls(schema, centres, spreads)


def _static_quantities(schema: InputSchema) -> list[_Quantity]:
    return [_Quantity((column,)) for column in schema.static]


def _channels(schema: InputSchema) -> list[_Quantity]:
    return [
        _Quantity(tuple(schema.numeric_input(name) for name in channel.columns))
        for channel in schema.sequences
    ]


def _quantities(schema: InputSchema) -> list[_Quantity]:
    return [*_static_quantities(schema), *_channels(schema)]


def _encode(
    quantity: _Quantity, bent: npt.NDArray[np.float64], centre: float, spread: float
) -> npt.NDArray[np.float32]:
    """(n, columns) bent values to (n, columns, knots + 1)."""
    knots = quantity.knots
    known = ~np.isnan(bent)
    filled = np.where(known, bent, knots[0])
    encoded = np.zeros((*bent.shape, len(knots) + 1), dtype=np.float32)
    position = (filled - knots[0]) / (knots[1] - knots[0])
    left = np.clip(np.floor(position).astype(np.int64), 0, len(knots) - 2)
    share = (position - left).clip(0.0, 1.0)
    np.put_along_axis(encoded, left[..., None], (1.0 - share)[..., None], axis=2)
    np.put_along_axis(encoded, left[..., None] + 1, share[..., None], axis=2)
    encoded[..., -1] = np.clip((filled - centre) / spread, -MOST_SPREADS, MOST_SPREADS)
    encoded[~known] = 0.0
    return encoded


def _category_codes(column: FeatureColumn, categories: tuple[str, ...]) -> npt.NDArray[np.int64]:
    code = {name: index + 1 for index, name in enumerate(categories)}
    codes = np.fromiter(
        (code.get(value, 0) for value in column.values), np.int64, count=len(column.values)
    )
    return np.where(column.present, codes, 0)


def _row_count(columns: Columns) -> int:
    return len(next(iter(columns.values())).values)


def _bent(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else min(max(math.asinh(bound), -_BENT_WIDEST), _BENT_WIDEST)

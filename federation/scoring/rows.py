"""One part's points of rows that were checked: a single row, or columns.

A single row takes plain Python with prepared lists, which is several times quicker than numpy on
arrays of one; both give the same integers, since they add the same floats in the same order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from federation.additive.model_part import ModelPart
from federation.additive.pair_table import pair_name
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring.points import LOG_ODDS_A_POINT, MOST_POINTS, Points, to_points
from federation.scoring.reason_table import points_lost
from federation.scoring.row_rules import FeatureValue, FieldErrors, GivenColumn, Row, RowRules

__all__ = ["FeatureValue", "FieldErrors", "GivenColumn", "Row", "RowRules", "RowScorer"]


class RowScorer:
    """One part's points of rows that `RowRules` has checked.

    Args:
        part: of an additive model.
        specs: the model's features, in the order of the rows.

    Raises:
        InputError: the part uses a feature that is not among them.
    """

    def __init__(self, part: ModelPart, specs: Sequence[FeatureSpec]) -> None:
        """Prepare edges, places and weights."""
        places = {spec.name: place for place, spec in enumerate(specs)}
        kinds = {spec.name: spec.kind for spec in specs}
        for binning in part.binnings:
            if kinds.get(binning.feature) is not binning.kind:
                raise InputError(
                    f"the model part of {part.party} needs the {binning.kind} feature "
                    f"'{binning.feature}', which the model's features do not list"
                )
        if any(len(w) != len(s) for w, s in zip(part.weights, part.shares, strict=True)):
            raise InputError(
                f"the model part of {part.party} is damaged: it needs a share of the training "
                "borrowers for each of its bins"
            )
        self.part = part
        self._labels = [
            label or binning.feature
            for label, binning in zip(part.labels, part.binnings, strict=True)
        ]
        self._lost = [points_lost(w, s) for w, s in zip(part.weights, part.shares, strict=True)]
        self._features = [
            _Prepared(
                place=places[binning.feature],
                edges=list(binning.edges) if binning.kind is FeatureKind.NUMERIC else None,
                codes={category: code for code, category in enumerate(binning.categories)},
                other=binning.other,
                missing=binning.missing,
                weights=list(weights),
            )
            for binning, weights in zip(part.binnings, part.weights, strict=True)
        ]
        order = {binning.feature: index for index, binning in enumerate(part.binnings)}
        self._pairs = [
            _PreparedPair(
                first=order[pair.features[0]],
                second=order[pair.features[1]],
                rows=[group * len(pair.weights[0]) for group in pair.groups[0]],
                columns=list(pair.groups[1]),
                weights=list(pair.cell_weights),
                lost=points_lost(pair.cell_weights, pair.cell_shares),
                label=pair_name(*(self._labels[order[name]] for name in pair.features)),
            )
            for pair in part.pairs
        ]

    def log_odds(self, row: Row) -> float:
        """The part's partial score of one row, the intercept included."""
        total = self.part.intercept
        if self._pairs:
            return self._with_pairs(total, row)
        for place, edges, codes, other, missing, weights in self._features:
            value = row[place]
            if value is None:
                code = missing
            elif edges is not None:
                code = bisect_left(edges, value)
            else:
                code = codes.get(value, other)
            total += weights[code]
        return total

    def _with_pairs(self, total: float, row: Row) -> float:
        bins = self._bins(row)
        for prepared, code in zip(self._features, bins, strict=True):
            total += prepared.weights[code]
        for first, second, rows, columns, weights, _, _ in self._pairs:
            total += weights[rows[bins[first]] + columns[bins[second]]]
        return total

    def _bins(self, row: Row) -> list[int]:
        """The bin of one row in every feature."""
        bins = []
        for place, edges, codes, other, missing, _ in self._features:
            value = row[place]
            if value is None:
                bins.append(missing)
            elif edges is not None:
                bins.append(bisect_left(edges, value))
            else:
                bins.append(codes.get(value, other))
        return bins

    def points(self, row: Row) -> int:
        """The part's points of one row.

        Raises:
            InputError: they are beyond what a part may have.
        """
        log_odds = self.log_odds(row) / LOG_ODDS_A_POINT
        # Finite weights can add up to infinity, which can't be rounded.
        points = round(log_odds) if math.isfinite(log_odds) else MOST_POINTS + 1
        if not -MOST_POINTS <= points <= MOST_POINTS:
            raise InputError(f"partial scores must be finite and within ±{MOST_POINTS:,} points")
        return points

    def batch(self, columns: Sequence[FeatureColumn]) -> Points:
        """The part's points of many borrowers (n,)."""
        return to_points(self.part.partial_scores(columns))

    def reasons(self, row: Row, most: int) -> list[tuple[str, int]]:
        """What weighed against one row: public label (or own name) and points lost by it.

        The heaviest first; features that share a label add up. A pair is named 'A × B'.
        """
        lost: dict[str, int] = {}
        bins = self._bins(row)
        for label, of_bin, code in zip(self._labels, self._lost, bins, strict=True):
            lost[label] = lost.get(label, 0) + int(of_bin[code])
        for first, second, rows, columns, _, of_cell, label in self._pairs:
            cell = rows[bins[first]] + columns[bins[second]]
            lost[label] = lost.get(label, 0) + int(of_cell[cell])
        weighed = [(label, points) for label, points in lost.items() if points > 0]
        return sorted(weighed, key=lambda one: (-one[1], one[0]))[:most]


class _Prepared(NamedTuple):
    """A feature of a part, ready for single values; a tuple, since it unpacks quickest."""

    place: int  # in the row
    edges: list[float] | None  # None: categorical
    codes: dict[str, int]
    other: int
    missing: int
    weights: list[float]


class _PreparedPair(NamedTuple):
    """A pair of a part, likewise; its cells are counted row after row."""

    first: int  # among the part's features
    second: int
    rows: list[int]  # of each bin of the first, the first cell of its row
    columns: list[int]
    weights: list[float]
    lost: Points
    label: str

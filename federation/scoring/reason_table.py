"""What weighed against each of a party's rows, feature by feature, in points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from federation.additive.model_part import ModelPart
from federation.schema import FeatureColumn
from federation.scoring.points import LOG_ODDS_A_POINT, Points


@dataclass(frozen=True)
class ReasonTable:
    """Points that each row loses by each feature against the mean borrower of the training.

    Features without a public label are not in it, and are never named; nor is a pair with one.

    Attributes:
        labels: of the features, then of the pairs: 'A × B'.
        lost: of each, the points lost in each of its bins (of a pair, its cells).
        codes: of each, the bin (or cell) of each row (n,).
    """

    labels: tuple[str, ...]
    lost: tuple[Points, ...]
    codes: tuple[npt.NDArray[np.uint16], ...]

    @classmethod
    def of(
        cls, part: ModelPart, columns: Sequence[FeatureColumn], rows: npt.NDArray[np.int64]
    ) -> Self:
        """The table of a part.

        Args:
            part: the party's own.
            columns: that hold its features.
            rows: which rows, in this order.
        """
        by_name = {column.spec.name: column for column in columns}
        bins: dict[str, npt.NDArray[np.uint16]] = {}
        named: list[tuple[str, Points, npt.NDArray[np.uint16]]] = []
        for label, binning, weights, shares in zip(
            part.labels, part.binnings, part.weights, part.shares, strict=True
        ):
            if label:
                own = binning.assign(by_name[binning.feature])[rows].astype(np.uint16)
                bins[binning.feature] = own
                named.append((label, points_lost(weights, shares), own))
        for pair in part.pairs:
            label = part.pair_label(pair)
            if label:
                cells = pair.cells(*(bins[name] for name in pair.features))
                named.append((label, points_lost(pair.cell_weights, pair.cell_shares), cells))
        return cls(
            tuple(label for label, _, _ in named),
            tuple(lost for _, lost, _ in named),
            tuple(codes for _, _, codes in named),
        )

    def against(self, row: int, most: int) -> list[tuple[str, int]]:
        """Labels and the points lost by them, heaviest first; features that share one add up."""
        lost: dict[str, int] = {}
        for label, of_bin, codes in zip(self.labels, self.lost, self.codes, strict=True):
            lost[label] = lost.get(label, 0) + int(of_bin[codes[row]])
        weighed = [(label, points) for label, points in lost.items() if points > 0]
        return sorted(weighed, key=lambda one: (-one[1], one[0]))[:most]


def points_lost(weights: Sequence[float], shares: Sequence[float]) -> Points:
    """Points lost in each bin of one feature against the training's mean borrower.

    Args:
        weights: log-odds of default of each bin.
        shares: of the training's borrowers in each bin.
    """
    log_odds = np.asarray(weights, dtype=np.float64)
    mean = float(np.asarray(shares, dtype=np.float64) @ log_odds)
    lost: Points = np.rint((log_odds - mean) / LOG_ODDS_A_POINT).astype(np.int32)
    return lost

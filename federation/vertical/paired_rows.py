"""Pairs of a party's features: which ones, and its borrowers as cells of their grids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt

from federation.additive.block import Codes
from federation.additive.pair_grid import PairGrid, fit_grid
from federation.additive.pair_table import PairTable, pair_name
from federation.additive.settings import AdditiveSettings
from federation.additive.terms import Term
from federation.vertical.borrowers import BinnedRows, bin_floor
from federation.vertical.fallbacks import Fit
from federation.vertical.trainings import OverBins, bin_key, bin_settings

Vector = npt.NDArray[np.float64]
# Candidates are tried in their order until so many times the pairs that are wanted were.
TRIED = 5


@dataclass(frozen=True)
class PairedRows:
    """A party's aligned borrowers as cells of pairs of its features.

    Attributes:
        binned: the features' own bins.
        grids: of the pairs, the most promising first.
        strength: of their penalties against a feature's.
    """

    binned: BinnedRows
    grids: tuple[PairGrid, ...]
    strength: float

    @classmethod
    def of(
        cls,
        binned: BinnedRows,
        weights: Vector,
        settings: AdditiveSettings,
        most_sums: int | None = None,
    ) -> PairedRows:
        """Choose pairs by what their features matter on their own, and fit their grids.

        The product of two features' importances (mean absolute deviation of their contribution)
        orders the candidates. That asks nobody anything: a party chooses from weights that it
        holds already, so nothing more is disclosed than the terms themselves disclose.

        Args:
            binned: the features' own bins.
            weights: of the fitted main terms, one a bin.
            settings: how many pairs, and how fine.
            most_sums: most sums that describe all cells; None: any number.
        """
        weighed = _importances(binned, weights)
        ranked = sorted(
            combinations(range(len(weighed)), 2),
            key=lambda pair: -weighed[pair[0]] * weighed[pair[1]],
        )
        grids: list[PairGrid] = []
        floor, sums = bin_floor(binned.fit.shape[1]), 0
        for places in islice(ranked, TRIED * settings.pairs):
            if len(grids) == settings.pairs or weighed[places[0]] * weighed[places[1]] <= 0:
                break
            grid = _grid(binned, places, settings.pair_bins, floor)
            if grid is None or (most_sums is not None and sums + grid.bins - 1 > most_sums):
                continue
            grids.append(grid)
            sums += grid.bins - 1
        return cls(binned, tuple(grids), settings.pair_ridge)

    @cached_property
    def fit(self) -> Codes:
        """Cells of the borrowers of the fit (pairs, borrowers)."""
        return self._codes(self.binned.fit)

    @cached_property
    def test(self) -> Codes:
        """Cells of the test borrowers (pairs, borrowers)."""
        return self._codes(self.binned.test)

    @property
    def joined_fit(self) -> Codes:
        """The features' bins, then the pairs' cells, of the borrowers of the fit."""
        return _joined(self.binned.fit, self.fit)

    @property
    def joined_test(self) -> Codes:
        """Likewise of the test borrowers."""
        return _joined(self.binned.test, self.test)

    def terms(self) -> list[Term]:
        """One term a pair."""
        return [
            grid.term(name, self.strength)
            for grid, name in zip(self.grids, map(self._name, self.grids), strict=True)
        ]

    def tables(self, weights: Vector) -> tuple[PairTable, ...]:
        """What a model part keeps of the pairs, from their weights, one a cell in order."""
        borrowers = self.binned.fit.shape[1]
        tables, first = [], 0
        for grid in self.grids:
            own = weights[first : first + grid.bins]
            first += grid.bins
            names = [self.binned.binnings[place].feature for place in grid.places]
            rows, columns = (tuple(map(int, groups)) for groups in grid.groups)
            tables.append(
                PairTable(
                    (names[0], names[1]),
                    (rows, columns),
                    tuple(tuple(map(float, row)) for row in own[grid.cells]),
                    tuple(tuple(map(float, row)) for row in grid.counts / borrowers),
                )
            )
        return tuple(tables)

    def _codes(self, codes: Codes) -> Codes:
        narrow = all(grid.bins <= 256 for grid in self.grids)
        dtype = np.uint8 if narrow else np.uint16
        cells = np.empty((len(self.grids), codes.shape[1]), dtype=dtype)
        for index, grid in enumerate(self.grids):
            cells[index] = grid.codes(codes)
        return cells

    def _name(self, grid: PairGrid) -> str:
        first, second = (self.binned.binnings[place].feature for place in grid.places)
        return pair_name(first, second)


def pair_key(training: OverBins) -> str:
    """The key of the maps of a training's pairs, which are chosen by its own main terms."""
    settings = bin_settings(training)
    chosen = f"{training.name}\0pairs {settings.pairs} of {settings.pair_bins}"
    return f"{bin_key(training)}\0{chosen}"


def pair_queries(fits: Iterable[Fit], training: OverBins, party: str) -> int:
    """How many queries a training and its fallbacks may ask a party's map of pairs for."""
    asked = [f for f in fits if f.training.name == training.name and party in f.parties]
    return bin_settings(training).max_rounds * len(asked)


def _importances(binned: BinnedRows, weights: Vector) -> list[float]:
    """Mean absolute deviation of each feature's contribution over the borrowers of the fit."""
    found, first = [], 0
    for binning, codes in zip(binned.binnings, binned.fit, strict=True):
        own = weights[first : first + binning.bins]
        first += binning.bins
        shares = np.bincount(codes, minlength=binning.bins) / max(codes.size, 1)
        found.append(float(shares @ np.abs(own - shares @ own)))
    return found


def _joined(bins: Codes, cells: Codes) -> Codes:
    narrow = bins.dtype == cells.dtype == np.uint8
    dtype = np.uint8 if narrow else np.uint16
    joined = np.empty((len(bins) + len(cells), bins.shape[1]), dtype=dtype)
    joined[: len(bins)], joined[len(bins) :] = bins, cells
    return joined


def _grid(binned: BinnedRows, places: tuple[int, int], most: int, floor: int) -> PairGrid | None:
    first, second = (binned.binnings[place] for place in places)
    joined = binned.fit[places[0]].astype(np.int64) * second.bins + binned.fit[places[1]]
    fine = np.bincount(joined, minlength=first.bins * second.bins)
    return fit_grid(
        places,
        fine.reshape(first.bins, second.bins),
        (first.ordered_bins, second.ordered_bins),
        most,
        floor,
    )

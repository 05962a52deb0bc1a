"""What a session needs of a party's table, and the cut of its aligned rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from federation.additive.block import Codes
from federation.additive.model_part import ModelPart
from federation.additive.pair_table import PairTable
from federation.additive.terms import Term, second_difference_penalty
from federation.binning import Binning, fit_binning
from federation.errors import InputError
from federation.linear_maps.elgamal import MINIMUM_ROW_BORROWERS
from federation.linear_maps.parameters import MINIMUM_BORROWERS, minimum_row_weight
from federation.schema import FeatureColumn
from federation.vertical.plan import TEST


class BorrowerTable(Protocol):
    """A party's own rows."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Normalised borrower ids, each once."""

    @property
    def features(self) -> tuple[FeatureColumn, ...]:
        """The feature columns."""

    @property
    def label(self) -> npt.NDArray[np.uint8] | None:
        """1 for default, 0 for none; None at a feature party."""

    @property
    def split(self) -> npt.NDArray[np.uint8] | None:
        """Parts that the table fixes, if any."""

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """The feature columns of some rows, in the order of the positions."""


def bin_floor(borrowers: int) -> int:
    """Fewest borrowers of the fit a bin may have: the private linear map's floor."""
    if borrowers >= MINIMUM_BORROWERS:
        return minimum_row_weight(borrowers)
    return max(MINIMUM_ROW_BORROWERS, borrowers // 100)


def most_exact_sums(borrowers: int) -> int:
    """Most sums a partner may learn exactly: 5% of the borrowers of the fit.

    Exact sums are linear equations in the borrowers' residuals. As many of them as borrowers give
    every label away, and a share of them gives a share away, floors or not (docs/security.md has
    the measurements); label noise does away with it.
    """
    return borrowers // 20


@dataclass(frozen=True)
class BinnedRows:
    """A party's aligned borrowers as bins, cut by part.

    Attributes:
        binnings: of the features that have two bins or more.
        labels: what reports may call them, in the same order.
        fit: bins of the borrowers of the fit, training and validation (features, borrowers).
        test: bins of the test borrowers (features, borrowers).
        max_bins: most bins a feature may have.
    """

    binnings: tuple[Binning, ...]
    labels: tuple[str | None, ...]
    fit: Codes
    test: Codes
    max_bins: int

    @classmethod
    def of(
        cls,
        columns: Sequence[FeatureColumn],
        parts: npt.NDArray[np.uint8],
        max_bins: int,
        most_sums: int | None = None,
    ) -> BinnedRows:
        """Fit bins on the borrowers of the fit and assign all of them.

        Args:
            columns: the party's features.
            parts: of every borrower.
            max_bins: most bins a feature may have.
            most_sums: most sums that describe all bins (one less than bins a feature); fewer bins
                a feature are made until it holds. None: any number.

        Raises:
            InputError: even two bins a feature are too many.
        """
        in_fit = parts != TEST
        binnings = _binnings(columns, in_fit, max_bins)
        while most_sums is not None and (sums := _sums(binnings.values())) > most_sums:
            if max_bins <= 2:
                raise InputError(
                    f"{len(binnings)} features are too many for exact sums over "
                    f"{int(in_fit.sum()):,} borrowers, which allow {most_sums}: they would give "
                    "single labels away; declare fewer features, align more borrowers, or train "
                    "with a label_epsilon"
                )
            max_bins = max(2, min(max_bins - 1, max_bins * most_sums // sums + 1))
            binnings = _binnings(columns, in_fit, max_bins)
        # codes are held as narrow as they are: the largest thing that a party keeps of its rows
        narrow = all(binning.bins <= 256 for binning in binnings.values())
        dtype = np.uint8 if narrow else np.uint16
        used = [columns[index] for index in binnings]
        fit = np.empty((len(used), int(in_fit.sum())), dtype=dtype)
        test = np.empty((len(used), int((~in_fit).sum())), dtype=dtype)
        for place, (column, binning) in enumerate(zip(used, binnings.values(), strict=True)):
            codes = binning.assign(column)
            fit[place], test[place] = codes[in_fit], codes[~in_fit]
        return cls(
            tuple(binnings.values()),
            tuple(column.spec.label for column in used),
            fit,
            test,
            max_bins,
        )

    def check_some(self) -> None:
        """Refuse to train without a bin.

        Raises:
            InputError: no feature has two bins.
        """
        if not self.binnings:
            raise InputError(
                "no feature of this party has two bins that hold enough training borrowers each; "
                "check the features' missing codes and categories, or align more borrowers"
            )

    @property
    def sums(self) -> int:
        """How many sums describe all bins: the fullest of each feature follows from the others."""
        return _sums(self.binnings)

    def terms(self) -> list[Term]:
        """One term a feature."""
        return [
            Term(
                binning.feature,
                binning.bins,
                second_difference_penalty(binning.bins, binning.ordered_bins),
            )
            for binning in self.binnings
        ]

    def model_part(
        self,
        party: str,
        session: str,
        training: str,
        weights: npt.NDArray[np.float64],
        intercept: float = 0.0,
        pairs: tuple[PairTable, ...] = (),
    ) -> ModelPart:
        """The part of a model that these bins and their weights, one a bin in order, make."""
        bins = [binning.bins for binning in self.binnings]
        by_feature = np.split(weights, np.cumsum(bins)[:-1]) if bins else []
        counts = [
            np.bincount(codes, minlength=count) for codes, count in zip(self.fit, bins, strict=True)
        ]
        borrowers = self.fit.shape[1]
        return ModelPart(
            party=party,
            session=session,
            training=training,
            intercept=intercept,
            binnings=self.binnings,
            labels=self.labels,
            weights=tuple(tuple(map(float, row)) for row in by_feature),
            shares=tuple(tuple(map(float, row / borrowers)) for row in counts),
            pairs=pairs,
        )


def _binnings(
    columns: Sequence[FeatureColumn], in_fit: npt.NDArray[np.bool_], max_bins: int
) -> dict[int, Binning]:
    """Binnings of the features that have two bins or more, by the feature's place."""
    floor = bin_floor(int(in_fit.sum()))
    fitted = {i: fit_binning(c, in_fit, max_bins, floor) for i, c in enumerate(columns)}
    return {index: binning for index, binning in fitted.items() if binning.bins > 1}


def _sums(binnings: Iterable[Binning]) -> int:
    return sum(binning.bins - 1 for binning in binnings)

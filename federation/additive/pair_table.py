"""A pair of features as a model part keeps it: a table of log-odds over two coarser binnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.binning import Binning
from federation.errors import InputError

Codes = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class PairTable:
    """What two features of one party add to the log-odds together, on top of each one's own.

    Attributes:
        features: their names at their owner.
        groups: of each feature, the row (or column) of the table that every bin belongs to.
        weights: log-odds, row by row.
        shares: of the training borrowers, likewise; 0 where there was nobody, and then the log-odds
            are those of the nearest place with borrowers.
    """

    features: tuple[str, str]
    groups: tuple[tuple[int, ...], tuple[int, ...]]
    weights: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        """Both features' names."""
        return pair_name(*self.features)

    @property
    def cell_weights(self) -> tuple[float, ...]:
        """Log-odds of all cells, row after row."""
        return tuple(weight for row in self.weights for weight in row)

    @property
    def cell_shares(self) -> tuple[float, ...]:
        """Shares of all cells, row after row."""
        return tuple(share for row in self.shares for share in row)

    def cells(self, first: Codes, second: Codes) -> Codes:
        """Every borrower's cell, counted row after row (n,), from its bins in both features."""
        rows, columns = (np.array(of_bin, dtype=np.int64) for of_bin in self.groups)
        cells: Codes = (rows[first] * len(self.weights[0]) + columns[second]).astype(np.uint16)
        return cells

    def cell_labels(self, first: Binning, second: Binning) -> list[str]:
        """What each cell holds, for its owner to read, row after row."""
        rows, columns = (
            _group_labels(binning, groups)
            for binning, groups in zip((first, second), self.groups, strict=True)
        )
        return [f"{row}; {column}" for row in rows for column in columns]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PairTable:
        """Back from the plain values of a stored model part.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or of another kind.
        """
        first, second = map(str, values["features"])
        rows, columns = (tuple(map(int, of_bin)) for of_bin in values["groups"])
        return cls(
            features=(first, second),
            groups=(rows, columns),
            weights=tuple(tuple(map(float, row)) for row in values["weights"]),
            shares=tuple(tuple(map(float, row)) for row in values["shares"]),
        )

    def check(self, binnings: Mapping[str, Binning], where: str) -> None:
        """Refuse a table that does not fit its features' bins.

        Raises:
            InputError: names `where` and the pair.
        """
        sizes = (len(self.weights), len(self.weights[0]) if self.weights else 0)
        known = all(name in binnings for name in self.features)
        fits = known and all(
            len(groups) == binnings[name].bins and set(groups) == set(range(size))
            for name, groups, size in zip(self.features, self.groups, sizes, strict=True)
        )
        shapes = {len(row) for row in (*self.weights, *self.shares)}
        whole = shapes == {sizes[1]} and len(self.shares) == sizes[0]
        if not fits or not whole or not np.isfinite([*self.cell_weights, *self.cell_shares]).all():
            raise InputError(
                f"{where}: the pair '{self.name}' does not fit its features' bins, or has a number "
                "that is not finite"
            )


def pair_name(first: str, second: str) -> str:
    """What a pair is called."""
    return f"{first} × {second}"


def pair_label(first: str | None, second: str | None) -> str | None:
    """A pair's public label; None unless both features have one."""
    return pair_name(first, second) if first and second else None


def _group_labels(binning: Binning, groups: Sequence[int]) -> list[str]:
    """What each row holds: neighbouring ordered bins as one interval, others by their names."""
    borders = ["", *(f"{edge:.10g}" for edge in binning.edges), ""]
    names = binning.bin_labels()
    labels = []
    for group in range(max(groups) + 1):
        bins = [b for b, own in enumerate(groups) if own == group]
        ordered = [b for b in bins if b < binning.ordered_bins]
        parts = []
        if ordered:
            parts.append(_interval(borders[ordered[0]], borders[ordered[-1] + 1]))
        parts += [names[b] for b in bins if b >= binning.ordered_bins]
        labels.append(" or ".join(parts))
    return labels


def _interval(low: str, high: str) -> str:
    if low and high:
        return f"({low}, {high}]"
    return f"> {low}" if low else f"≤ {high}" if high else "all values"

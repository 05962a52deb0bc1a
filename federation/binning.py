"""Bins of one feature, fitted at its owner on training rows, with bins for missing and absent.

Every bin holds at least `floor` training borrowers, because a private linear map gives its owner
the residual sum of every bin, and a sum over few borrowers is nearly a label. What is too rare for
a bin of its own goes where it is declared to go: a small ordered bin to its smaller neighbour,
rare categories to 'other', a missing, absent or 'other' bin that stays below the floor to the
fullest bin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind

Codes = npt.NDArray[np.uint16]
MOST_COMPARED = 64  # edges that values are compared with one by one; among more they are searched
_STEP = 1 << 14  # values at a time: they stay in the cache while edges pass


@dataclass(frozen=True)
class Binning:
    """How one feature's values become bins.

    Bins are numbered: first the ordered bins (numeric) or the frequent categories, then 'other',
    'missing' and 'absent' where they have bins of their own.

    Attributes:
        feature: the feature's name at its owner.
        kind: numeric or categorical.
        edges: inner edges of the ordered bins, ascending; bin i holds (edges[i-1], edges[i]].
        categories: the categories with bins of their own.
        other, missing, absent: the bins these fall into (their own, or the fullest).
        bins: how many bins there are.
    """

    feature: str
    kind: FeatureKind
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    other: int
    missing: int
    absent: int
    bins: int

    @property
    def ordered_bins(self) -> int:
        """How many of the first bins stand in an order."""
        return len(self.edges) + 1 if self.kind is FeatureKind.NUMERIC else 0

    def assign(self, column: FeatureColumn) -> Codes:
        """The bin of every borrower (n,); a category unseen in training goes to 'other'."""
        if self.kind is FeatureKind.NUMERIC:
            codes = ordered_codes(column.values, self.edges)
            codes[np.isnan(column.values)] = self.missing
        else:
            known = {category: index for index, category in enumerate(self.categories)}
            codes = np.array(
                [self.missing if v is None else known.get(v, self.other) for v in column.values],
                dtype=np.uint16,
            )
        codes[~column.present] = self.absent
        return codes

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Binning:
        """Back from the plain values of a stored model part.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or of another kind.
        """
        return cls(
            feature=str(values["feature"]),
            kind=FeatureKind(values["kind"]),
            edges=tuple(map(float, values["edges"])),
            categories=tuple(map(str, values["categories"])),
            other=int(values["other"]),
            missing=int(values["missing"]),
            absent=int(values["absent"]),
            bins=int(values["bins"]),
        )

    def check(self, where: str) -> None:
        """Refuse a binning that sends values to bins which it does not have.

        Raises:
            InputError: names `where` and the feature.
        """
        places = (self.other, self.missing, self.absent)
        own = max(self.ordered_bins, len(self.categories), 1)
        if not 1 <= own <= self.bins or not all(0 <= p < self.bins for p in places):
            raise InputError(
                f"{where}: feature '{self.feature}' has values in bins beyond its {self.bins}"
            )

    def bin_labels(self) -> list[str]:
        """What each bin holds, for its owner to read."""
        labels = list(self.categories)
        if self.kind is FeatureKind.NUMERIC:
            shown = [f"{edge:.10g}" for edge in self.edges]
            labels = (
                [f"≤ {shown[0]}"]
                + [f"({low}, {high}]" for low, high in pairwise(shown)]
                + [f"> {shown[-1]}"]
                if shown
                else ["all values"]
            )
        places = {"other": self.other, "missing": self.missing, "absent": self.absent}
        if self.kind is FeatureKind.NUMERIC:
            del places["other"]  # a number is never 'other'
        for place in range(len(labels), self.bins):
            labels.append(" or ".join(name for name, own in places.items() if own == place))
        return labels


def ordered_codes(values: npt.NDArray[np.float64], edges: Sequence[float]) -> Codes:
    """How many of the ascending edges lie below each value (n,); 0 for NaN."""
    codes = np.zeros(len(values), dtype=np.uint16)
    if len(edges) > MOST_COMPARED:
        codes[:] = np.searchsorted(np.array(edges), values, side="left")
        codes[np.isnan(values)] = 0
        return codes
    # Comparing with every edge has no branch to mispredict: several times quicker than searching.
    counts = np.empty(min(len(values), _STEP), dtype=np.uint8)
    below = np.empty(len(counts), dtype=np.bool_)
    for first in range(0, len(values), _STEP):
        part = values[first : first + _STEP]
        count, is_below = counts[: len(part)], below[: len(part)]
        count[:] = 0
        for edge in edges:
            np.greater(part, edge, out=is_below)
            np.add(count, is_below.view(np.uint8), out=count)
        codes[first : first + _STEP] = count
    return codes


def fit_binning(
    column: FeatureColumn, training: npt.NDArray[np.bool_], max_bins: int, floor: int
) -> Binning:
    """Fit bins on the training borrowers.

    Args:
        column: the feature's values, all aligned borrowers.
        training: which of them are training borrowers (n,).
        max_bins: most ordered bins, or most frequent categories, to make (2 to 1,000).
        floor: fewest training borrowers a bin may have.
    """
    present = column.present & training
    if column.spec.kind is FeatureKind.NUMERIC:
        is_missing = np.isnan(column.values)
        values = column.values[present & ~is_missing].astype(np.float64)
        edges, counts = _ordered_bins(values, max_bins, floor)
        categories: tuple[str, ...] = ()
        rare = 0
    else:
        is_missing = np.array([value is None for value in column.values], dtype=np.bool_)
        edges = ()
        categories, counts, rare = _frequent_categories(
            column.values[present & ~is_missing].astype(str), max_bins, floor
        )
    sizes = list(counts)
    places: dict[str, int | None] = {}
    extra = {
        "other": rare,
        "missing": int((present & is_missing).sum()),
        "absent": int((training & ~column.present).sum()),
    }
    for name, count in extra.items():
        places[name] = len(sizes) if count >= floor else None
        if count >= floor:
            sizes.append(count)
    if not sizes or min(sizes) < floor:  # a single group reaches the floor: one bin for all
        return Binning(column.spec.name, column.spec.kind, (), (), 0, 0, 0, bins=1)
    fullest = int(np.argmax(sizes))
    other, missing, absent = (
        fullest if place is None else place
        for place in (places["other"], places["missing"], places["absent"])
    )
    return Binning(
        feature=column.spec.name,
        kind=column.spec.kind,
        edges=edges,
        categories=categories,
        other=other,
        missing=missing,
        absent=absent,
        bins=len(sizes),
    )


def _ordered_bins(
    values: npt.NDArray[np.float64], max_bins: int, floor: int
) -> tuple[tuple[float, ...], list[int]]:
    """Inner edges and sizes of quantile bins, ties together, none below the floor."""
    if values.size < floor:
        return (), [int(values.size)]
    positions = (np.arange(1, max_bins) * values.size) // max_bins
    ordered = np.sort(values)
    edges = np.unique(ordered[positions])
    upto = np.searchsorted(ordered, edges, side="right")
    inner, sizes = edges.tolist(), np.diff(upto, prepend=0, append=values.size).tolist()
    while len(sizes) > 1 and min(sizes) < floor:
        small = int(np.argmin(sizes))
        left_is_smaller = small == len(sizes) - 1 or (
            small > 0 and sizes[small - 1] <= sizes[small + 1]
        )
        neighbour = small - 1 if left_is_smaller else small + 1
        sizes[neighbour] += sizes[small]
        del sizes[small]
        del inner[min(small, neighbour)]
    return tuple(inner), sizes


def _frequent_categories(
    values: npt.NDArray[np.str_], max_bins: int, floor: int
) -> tuple[tuple[str, ...], list[int], int]:
    """Categories with bins of their own, their sizes, and how many borrowers are left over."""
    names, counts = np.unique(values, return_counts=True)
    order = np.lexsort((names, -counts))[:max_bins]
    kept = [index for index in order if counts[index] >= floor]
    rare = int(values.size - counts[kept].sum()) if kept else int(values.size)
    if kept and 0 < rare < floor and len(kept) > 2:
        # 'other' must be a bin that unseen categories can join: widen it by the rarest kept one
        rare += int(counts[kept.pop()])
    return tuple(str(names[i]) for i in kept), [int(counts[i]) for i in kept], rare

"""The best split of a node, from sums of gradients and hessians over bins.

The gain is that of second-order boosting (Chen & Guestrin, KDD 2016, equation 7). Of an ordered
feature, a split is a cut between two bins, and each special bin (missing, absent) goes to the side
that gains more. Of a categorical feature the bins are put in the order of their G/H and then cut,
which finds the best of all subsets (Fisher 1958; the gain is convex in a side's G and H whatever λ,
so that the best subset is cut off by a line).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SplitRules:
    """What a split must reach.

    Attributes:
        l2: λ.
        min_child_weight: least sum of hessians in a child.
        min_split_gain: least gain, γ.
    """

    l2: float
    min_child_weight: float
    min_split_gain: float


@dataclass(frozen=True)
class Candidate:
    """The best split of a node among some features.

    Attributes:
        gain: in log-loss.
        feature: its place in the layout.
        left: the bins that go left, ascending.
    """

    gain: float
    feature: int
    left: tuple[int, ...]


def best_splits(
    gradients: Vector,
    hessians: Vector,
    totals: tuple[Vector, Vector],
    least_weights: Vector,
    layout: BinLayout,
    rules: SplitRules,
) -> list[Candidate | None]:
    """The best split of every node, or None where none reaches the rules.

    Args:
        gradients, hessians: sums over the bins (nodes, cells).
        totals: gradient and hessian of each node (nodes,).
        least_weights: least sum of hessians in a child of each node (nodes,), the rules' included.
        layout: where each feature's bins lie.
        rules: what a split must reach.
    """
    nodes = len(gradients)
    best_gain = np.full(nodes, rules.min_split_gain)
    found: list[Candidate | None] = [None] * nodes
    whole = totals[0] ** 2 / (totals[1] + rules.l2)
    for group in _groups(layout):
        ends = group.ends(gradients, hessians)
        left_g, left_h = ends.gradients, ends.hessians
        right_g = totals[0][:, None, None, None] - left_g
        right_h = totals[1][:, None, None, None] - left_h
        least = least_weights[:, None, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = left_g**2 / (left_h + rules.l2) + right_g**2 / (right_h + rules.l2)
        gain = 0.5 * (gain - whole[:, None, None, None])
        allowed = (left_h >= least) & (right_h >= least) & group.real
        # both sides' bounds hold for whole numbers of borrowers, where hessians can't be negative
        gain = np.where(allowed & np.isfinite(gain), gain, -np.inf)
        flat = gain.reshape(nodes, -1)
        places = flat.argmax(axis=1)
        for node, place in enumerate(places):
            if flat[node, place] > best_gain[node]:
                best_gain[node] = flat[node, place]
                member, cut, special = np.unravel_index(place, gain.shape[1:])
                left = group.left_bins(node, int(member), int(cut), int(special), ends.order)
                feature = group.features[int(member)]
                found[node] = Candidate(float(flat[node, place]), feature, left)
    return found


@dataclass(frozen=True)
class _Ends:
    """Sums left of every cut of a group of features: (nodes, features, cuts, special sides)."""

    gradients: Vector
    hessians: Vector
    order: npt.NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class _Group:
    """Features with as many special bins, ordered or not, searched together.

    Attributes:
        features: their places in the layout.
        cells: their cells, padded (features, most bins); the pad points at cell 0.
        inside: which of these are real (features, most bins).
        ordered: how many bins of each stand in an order, or all of them where categorical.
        special: how many special bins each has.
        categorical: whether bins are put in order first.
    """

    features: tuple[int, ...]
    cells: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]
    ordered: npt.NDArray[np.int64]
    special_cells: npt.NDArray[np.int64]  # (features, special)
    categorical: bool
    real: npt.NDArray[np.bool_]  # (1, features, cuts, special sides)

    def ends(self, gradients: Vector, hessians: Vector) -> _Ends:
        """Left sums at every cut and for every side of the special bins."""
        g = np.where(self.inside, gradients[:, self.cells], 0.0)
        h = np.where(self.inside, hessians[:, self.cells], 0.0)
        order = None
        if self.categorical:
            with np.errstate(divide="ignore", invalid="ignore"):
                key = np.where(h > 0, g / h, np.where(g == 0, 0.0, np.sign(g) * np.inf))
            key = np.where(self.inside, key, np.inf)
            order = np.argsort(key, axis=2, kind="stable")
            g, h = np.take_along_axis(g, order, 2), np.take_along_axis(h, order, 2)
        left_g = np.cumsum(g, axis=2)[..., None]
        left_h = np.cumsum(h, axis=2)[..., None]
        sides = _sides(self.special_cells.shape[1])
        if len(sides) > 1:
            left_g = left_g + (gradients[:, self.special_cells] @ sides.T)[:, :, None, :]
            left_h = left_h + (hessians[:, self.special_cells] @ sides.T)[:, :, None, :]
        return _Ends(left_g, left_h, order)

    def left_bins(
        self, node: int, member: int, cut: int, side: int, order: npt.NDArray[np.int64] | None
    ) -> tuple[int, ...]:
        """The bins of one feature that go left."""
        ordered = int(self.ordered[member])
        first = list(range(cut + 1))
        if order is not None:
            # The first bin always goes left: a split's owner must not read off which side is the
            # riskier one.
            low = set(map(int, order[node, member, : cut + 1]))
            first = sorted(low if 0 in low else set(range(ordered)) - low)
        chosen = _sides(self.special_cells.shape[1])[side]
        return (*first, *(ordered + k for k, goes in enumerate(chosen) if goes))


@lru_cache
def _sides(special: int) -> Vector:
    """Every way to send the special bins left (1) or right (0): (2^special, special)."""
    numbers = np.arange(1 << special)[:, None]
    sides: Vector = ((numbers >> np.arange(special)) & 1).astype(np.float64)
    return sides


@lru_cache(maxsize=256)
def _groups(layout: BinLayout) -> tuple[_Group, ...]:
    by_kind: dict[tuple[bool, int], list[int]] = {}
    for index, feature in enumerate(layout.features):
        categorical = feature.ordered == 0
        special = 0 if categorical else feature.bins - feature.ordered
        by_kind.setdefault((categorical, special), []).append(index)
    return tuple(
        _group(layout, tuple(members), categorical, special)
        for (categorical, special), members in by_kind.items()
    )


def _group(layout: BinLayout, members: tuple[int, ...], categorical: bool, special: int) -> _Group:
    ordered = np.array(
        [layout.features[m].bins if categorical else layout.features[m].ordered for m in members]
    )
    most = int(ordered.max())
    places = np.arange(most)
    inside = places < ordered[:, None]
    starts = layout.offsets[list(members)][:, None]
    cells = np.where(inside, starts + places, 0)
    special_cells = starts + ordered[:, None] + np.arange(special)
    # A cut after the last ordered bin is one only where some special bin goes right.
    all_left = np.arange(1 << special) == (1 << special) - 1
    last = places == ordered[:, None] - 1
    real = inside[:, :, None] & ~(last[:, :, None] & all_left)
    return _Group(members, cells, inside, ordered, special_cells, categorical, real[None])

"""One tree, grown level by level from sums over bins; where the sums come from is not its business.

For two siblings the sums are asked for the one with fewer borrowers; the other's are their
parent's less those. Sums are whole numbers, so subtraction is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_search import Candidate, SplitRules, best_splits
from federation.boosting.trees import Node, Tree

Vector = npt.NDArray[np.float64]
Sums = tuple[Vector, Vector]  # gradients and hessians over the cells of one party's features


@dataclass(eq=False)
class OpenNode:
    """A node that may still be split.

    Attributes:
        place: in the tree.
        members: the borrowers of the fit in it, ascending.
        count: training borrowers among them.
        totals: whole gradients and hessians of its sampled members.
        sums: over the bins of each party, once they are known.
    """

    place: int
    members: npt.NDArray[np.int64]
    count: int
    totals: tuple[float, float]
    sums: dict[str, Sums] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen:
    """The best split of one node: whose it is, and which."""

    node: OpenNode
    party: str
    split: Candidate


@dataclass(frozen=True)
class NodeTotals:
    """Sums over a node's borrowers: in integers, as sums over bins are, and as leaves are made of.

    Attributes:
        whole_gradient, whole_hessian: of the sampled members, in integers.
        gradient, hessian: as exactly as they are known.
    """

    whole_gradient: float
    whole_hessian: float
    gradient: float
    hessian: float


class TotalsSource(Protocol):
    """What whoever grows a tree knows of its nodes' gradients."""

    @property
    def units(self) -> tuple[float, float]:
        """What one integer of a gradient, and of a hessian, stands for."""

    def root(self, members: npt.NDArray[np.int64]) -> NodeTotals:
        """Of all borrowers."""

    def children(
        self, chosen: Chosen, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> tuple[NodeTotals, NodeTotals]:
        """Of the two sides of a split, given their members."""


@dataclass(eq=False)
class _Siblings:
    """The asked node, and the other one with the parent's sums; a root has no other."""

    asked: OpenNode
    other: OpenNode | None
    parent: Mapping[str, Sums]


class TreeGrowth:
    """A tree in the making.

    Args:
        source: what is known of nodes' gradients: at the label party `TreeGradients`.
        training: which borrowers of the fit train (n,).
        settings: depth, λ and the rules for splits.
        floor: fewest training borrowers in a child, as far as hessians tell.
    """

    def __init__(
        self,
        source: TotalsSource,
        training: npt.NDArray[np.bool_],
        settings: BoostedSettings,
        floor: int,
    ) -> None:
        """Open the root."""
        self._source, self._training = source, training
        self._settings, self._floor = settings, floor
        self._layouts: dict[str, BinLayout] = {}
        self._rules = SplitRules(settings.l2, settings.min_child_weight, settings.min_split_gain)
        self._nodes: list[Node] = []
        self.level = 0
        everybody = np.arange(len(training))
        self._open: list[_Siblings] = []
        root = self._node(everybody, source.root(everybody))
        self._members: dict[int, npt.NDArray[np.int64]] = {0: everybody}
        if self._splittable(root):
            self._open = [_Siblings(root, None, {})]

    @property
    def borrowers(self) -> int:
        """n, of the fit."""
        return len(self._training)

    @property
    def done(self) -> bool:
        """Whether no node is left to split."""
        return not self._open

    @property
    def asked(self) -> list[OpenNode]:
        """The nodes whose sums are asked for at this level."""
        return [siblings.asked for siblings in self._open]

    def take(self, party: str, layout: BinLayout, sums: Sequence[Sums]) -> None:
        """Take one party's sums over all bins of its features, one pair an asked node.

        The layout is of the features that the party takes part with in this tree.
        """
        self._layouts[party] = layout
        for siblings, own in zip(self._open, sums, strict=True):
            siblings.asked.sums[party] = own
            if siblings.other is not None:
                parent = siblings.parent[party]
                siblings.other.sums[party] = (parent[0] - own[0], parent[1] - own[1])

    def choose(self) -> list[Chosen]:
        """The best split over all parties of every node that can be split; ties go to the first."""
        nodes = [
            node
            for siblings in self._open
            for node in (siblings.asked, siblings.other)
            if node is not None and self._splittable(node)
        ]
        best: list[Chosen | None] = [None] * len(nodes)
        if not nodes:
            return []
        units = self._source.units
        totals = (
            np.array([node.totals[0] for node in nodes]) * units[0],
            np.array([node.totals[1] for node in nodes]) * units[1],
        )
        counts = np.array([node.count for node in nodes])
        least = np.maximum(
            self._settings.min_child_weight,
            # a hair below: the floor itself must pass, whatever rounding did to it
            (1 - 1e-9) * self._floor * totals[1] / np.maximum(counts, 1),
        )
        for party, layout in self._layouts.items():
            found = best_splits(
                np.stack([node.sums[party][0] for node in nodes]) * units[0],
                np.stack([node.sums[party][1] for node in nodes]) * units[1],
                totals,
                least,
                layout,
                self._rules,
            )
            for k, candidate in enumerate(found):
                held = best[k]
                if candidate and (held is None or candidate.gain > held.split.gain):
                    best[k] = Chosen(nodes[k], party, candidate)
        return [chosen for chosen in best if chosen is not None]

    def split(
        self,
        chosen: Sequence[Chosen],
        numbers: Sequence[int],
        bits: Sequence[npt.NDArray[np.bool_]],
    ) -> int:
        """Split nodes and go a level down.

        Args:
            chosen: what `choose` gave.
            numbers: each split's place among its party's.
            bits: who goes left, of all borrowers of the fit (n,).

        Returns:
            How many nodes were split: a split whose smaller child has less than half of the floor
            is let go, hessians had not told.
        """
        opened = []
        for one, number, goes_left in zip(chosen, numbers, bits, strict=True):
            members = one.node.members
            inside = goes_left[members]
            parts = members[inside], members[~inside]
            fewest = min(int(self._training[part].sum()) for part in parts)
            if fewest < max(1, self._floor // 2):
                continue
            totals = self._source.children(one, *parts)
            left, right = (self._node(p, t) for p, t in zip(parts, totals, strict=True))
            old = self._nodes[one.node.place]
            self._nodes[one.node.place] = Node(
                old.value, old.cover, one.party, number, left.place, right.place
            )
            del self._members[one.node.place]
            self._members |= {left.place: parts[0], right.place: parts[1]}
            smaller = left if left.count <= right.count else right
            other = right if smaller is left else left
            opened.append((_Siblings(smaller, other, one.node.sums), left, right))
        self.level += 1
        self._open = [
            siblings
            for siblings, left, right in opened
            if self._splittable(left) or self._splittable(right)
        ]
        return len(opened)

    def tree(self) -> Tree:
        """The tree as it stands."""
        return Tree(tuple(self._nodes))

    def outputs(self) -> Vector:
        """What the tree adds to each borrower of the fit (n,)."""
        added = np.zeros(len(self._training))
        for place, members in self._members.items():
            added[members] = self._nodes[place].value
        return added

    def _node(self, members: npt.NDArray[np.int64], totals: NodeTotals) -> OpenNode:
        """Append a leaf for these borrowers."""
        count = int(self._training[members].sum())
        value = -self._settings.rate * totals.gradient / (totals.hessian + self._settings.l2)
        self._nodes.append(Node(value, float(count)))
        whole = totals.whole_gradient, totals.whole_hessian
        return OpenNode(len(self._nodes) - 1, members, count, whole)

    def _splittable(self, node: OpenNode) -> bool:
        return self.level < self._settings.depth and node.count >= 2 * self._floor

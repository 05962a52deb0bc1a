"""Trees of a boosted model: where borrowers go by split bits, and what each split adds.

Only the label party holds trees. A node names the party whose split it is and the split's place
among that party's; what the split asks is known to its owner alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

Vector = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
_STEP = 1 << 14  # borrowers at a time: what is made of them stays in the cache


@dataclass(frozen=True)
class Node:
    """A node of a tree; children come after their parent.

    Attributes:
        value: what a leaf adds to the log-odds; of an inner node, what it would as a leaf.
        cover: training borrowers that reached it, by their weights.
        party: whose split it is; '' of a leaf.
        split: the split's place among that party's; -1 of a leaf.
        left, right: places of the children in the tree; -1 of a leaf.
    """

    value: float
    cover: float
    party: str = ""
    split: int = -1
    left: int = -1
    right: int = -1

    @property
    def is_leaf(self) -> bool:
        """Whether nothing comes below."""
        return self.left < 0


@dataclass(frozen=True)
class Tree:
    """One tree; its first node is the root."""

    nodes: tuple[Node, ...]

    def check(self, splits: Mapping[str, int], where: str) -> None:
        """Refuse what is not a tree over these parties' numbers of splits.

        Raises:
            InputError: names `where` and the node.
        """
        seen = [0] * len(self.nodes)
        for place, node in enumerate(self.nodes):
            if not (np.isfinite(node.value) and np.isfinite(node.cover) and node.cover >= 0):
                raise InputError(f"{where}: node {place} has a value that is not finite")
            if node.is_leaf:
                continue
            for child in (node.left, node.right):
                if not place < child < len(self.nodes):
                    raise InputError(f"{where}: node {place} has no child {child} after it")
                seen[child] += 1
            if not 0 <= node.split < splits.get(node.party, 0):
                raise InputError(
                    f"{where}: node {place} asks split {node.split} of '{node.party}', which has "
                    f"{splits.get(node.party, 0)}"
                )
        if not self.nodes or seen[0] or any(count != 1 for count in seen[1:]):
            raise InputError(f"{where}: its nodes do not make one tree")


class Forest:
    """Trees as arrays, for many borrowers at once.

    Args:
        trees: in order.
        splits: how many splits each party has, in the order in which their bits are stacked.
    """

    def __init__(self, trees: Sequence[Tree], splits: Mapping[str, int]) -> None:
        """Lay the nodes of all trees out."""
        self.trees = tuple(trees)
        self.parties = tuple(splits)
        starts = dict(zip(splits, np.cumsum([0, *splits.values()]), strict=False))
        shape = (len(self.trees), max((len(tree.nodes) for tree in self.trees), default=1))
        self._value, self._cover = np.zeros(shape), np.zeros(shape)
        # a leaf is its own child under either answer, and asks the first split for nothing
        self._left = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape).copy()
        self._right = self._left.copy()
        self._ask = np.zeros(shape, dtype=np.int64)
        self._party = np.full(shape, -1, dtype=np.int64)
        depths = np.zeros(shape, dtype=np.int64)
        for t, tree in enumerate(self.trees):
            for k, node in enumerate(tree.nodes):
                self._value[t, k], self._cover[t, k] = node.value, node.cover
                if node.is_leaf:
                    continue
                self._left[t, k], self._right[t, k] = node.left, node.right
                self._ask[t, k] = starts[node.party] + node.split
                self._party[t, k] = self.parties.index(node.party)
                depths[t, [node.left, node.right]] = depths[t, k] + 1
        self.depth = int(depths.max(initial=0))
        self._splits = dict(splits)

    def scores(self, bits: Mapping[str, Bits]) -> Vector:
        """Sum of all trees' leaves of each borrower (n,).

        Args:
            bits: of each party (splits, n); True goes left. A party that is missing is averaged
                over: both ways, by the training borrowers that went each.
        """
        missing = [party for party in self.parties if self._splits[party] and party not in bits]
        counts = {array.shape[1] for array in bits.values()}
        if len(counts) > 1:
            raise ValueError(f"bits of {sorted(counts)} borrowers")
        count = counts.pop() if counts else 1
        total = np.zeros(count)
        for first in range(0, count, _STEP):
            part = {party: array[:, first : first + _STEP] for party, array in bits.items()}
            size = min(_STEP, count - first)
            found = self._averaged(part, size) if missing else self._walked(part, size)
            total[first : first + size] = found
        return total

    def leaves(self, bits: Mapping[str, Bits]) -> npt.NDArray[np.int32]:
        """The node that each borrower reaches in each tree (trees, n); no party may be missing."""
        size = next(iter(bits.values())).shape[1] if bits else 1
        stacked = self._stacked(bits, size)
        columns = np.arange(size)
        reached = np.zeros((len(self.trees), size), dtype=np.int32)
        for t in range(len(self.trees)):
            at = reached[t]
            for _ in range(self.depth):
                goes_left = stacked[self._ask[t, at], columns]
                at = np.where(goes_left, self._left[t, at], self._right[t, at])
            reached[t] = at
        return reached

    def contributions(self, bits: Mapping[str, Bits]) -> dict[str, Vector]:
        """What each party's splits add to each borrower's score: {party: (splits, n)}.

        Going from a node to a child changes the expected score by the difference of their values;
        that is credited to the split which sent the borrower there (Saabas 2014). Beside the roots'
        values these sum to the score. A party that is missing is averaged over as in `scores`.
        """
        size = next(iter(bits.values())).shape[1] if bits else 1
        stacked = self._stacked(bits, size)
        known = [self.parties.index(party) for party in bits if party in self.parties]
        complete = all(party in bits or not self._splits[party] for party in self.parties)
        added = np.zeros(stacked.shape)
        columns = np.arange(size)
        for t, tree in enumerate(self.trees):
            if not complete:
                for k, share, left in self._shares(t, tree, stacked, known):
                    node = tree.nodes[k]
                    below = (tree.nodes[child].value for child in (node.left, node.right))
                    ways = share * left, share * (1.0 - left)
                    for way, value in zip(ways, below, strict=True):
                        added[self._ask[t, k]] += way * (value - node.value)
                continue
            at = np.zeros(size, dtype=np.int32)
            for _ in range(self.depth):
                ask = self._ask[t, at]
                below_at = np.where(stacked[ask, columns], self._left[t, at], self._right[t, at])
                added[ask, columns] += self._value[t, below_at] - self._value[t, at]
                at = below_at
        ends = np.cumsum(list(self._splits.values()))[:-1]
        rows = np.split(added[: sum(self._splits.values())], ends)
        return dict(zip(self.parties, rows, strict=True)) if self.parties else {}

    @property
    def base(self) -> float:
        """Sum of the roots' values: what the trees add before any split."""
        return float(self._value[:, 0].sum()) if self.trees else 0.0

    def _stacked(self, bits: Mapping[str, Bits], size: int) -> Bits:
        rows = [np.zeros((0, size), dtype=np.bool_)]
        for party in self.parties:
            expected = (self._splits[party], size)
            array = bits.get(party, np.zeros(expected, dtype=np.bool_))
            if array.shape != expected:
                raise ValueError(f"bits of {party} of shape {array.shape}; {expected} is right")
            rows.append(array)
        stacked = np.concatenate(rows)
        return stacked if len(stacked) else np.zeros((1, size), dtype=np.bool_)

    def _walked(self, bits: Mapping[str, Bits], size: int) -> Vector:
        reached = self.leaves(bits) if bits else np.zeros((len(self.trees), size), np.int32)
        total = np.zeros(size)
        for t in range(len(self.trees)):
            total += self._value[t, reached[t]]
        return total

    def _averaged(self, bits: Mapping[str, Bits], size: int) -> Vector:
        known = [self.parties.index(party) for party in bits if party in self.parties]
        stacked = self._stacked(bits, size)
        total = np.zeros(size)
        for t, tree in enumerate(self.trees):
            if tree.nodes[0].is_leaf:
                total += tree.nodes[0].value
            for k, share, left in self._shares(t, tree, stacked, known):
                node = tree.nodes[k]
                for child, way in ((node.left, left), (node.right, 1.0 - left)):
                    if tree.nodes[child].is_leaf:
                        total += share * way * tree.nodes[child].value
        return total

    def _shares(
        self, t: int, tree: Tree, stacked: Bits, known: Sequence[int]
    ) -> Iterator[tuple[int, Vector, Vector]]:
        """Every inner node, how much of each borrower is in it, and how much of that goes left."""
        share = {0: np.ones(stacked.shape[1])}
        for k, node in enumerate(tree.nodes):
            if node.is_leaf:
                continue
            if self._party[t, k] in known:
                left = stacked[self._ask[t, k]].astype(np.float64)
            else:
                covers = self._cover[t, node.left], self._cover[t, node.right]
                left = np.full(stacked.shape[1], covers[0] / max(sum(covers), 1e-300))
            own = share.pop(k)
            yield k, own, left
            share[node.left], share[node.right] = own * left, own * (1.0 - left)

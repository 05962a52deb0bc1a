"""The splits that a training uses of one party: each is asked for once, its bits are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from federation.boosting.model_part import Split
from federation.boosting.trees import Node, Tree

Bits = npt.NDArray[np.bool_]


class SplitBook:
    """Splits of one party by their numbers, with the bits of all borrowers of the fit.

    Args:
        borrowers: n, of the fit.
    """

    def __init__(self, borrowers: int) -> None:
        """An empty book."""
        self.borrowers = borrowers
        self._numbers: dict[Split, int] = {}
        self._bits: list[npt.NDArray[np.uint8]] = []

    @property
    def splits(self) -> tuple[Split, ...]:
        """All of them, by number."""
        return tuple(self._numbers)

    def missing(self, splits: Iterable[Split]) -> list[Split]:
        """Those whose bits are not here, each once, in order."""
        return [split for split in dict.fromkeys(splits) if split not in self._numbers]

    def add(self, splits: Iterable[Split], bits: Bits) -> None:
        """Take new splits in with their bits (splits, n)."""
        for split, row in zip(splits, bits, strict=True):
            self._numbers[split] = len(self._bits)
            self._bits.append(np.packbits(row))

    def number(self, split: Split) -> int:
        """Its place among this party's splits."""
        return self._numbers[split]

    def bits(self, number: int) -> Bits:
        """Who goes left (n,)."""
        return np.unpackbits(self._bits[number], count=self.borrowers).astype(np.bool_)


def only_used(
    trees: Iterable[Tree], splits: Mapping[str, tuple[Split, ...]]
) -> tuple[tuple[Tree, ...], dict[str, tuple[Split, ...]]]:
    """Trees and splits without the splits that no tree asks, numbered anew in order."""
    kept = tuple(trees)
    asked: dict[str, set[int]] = {party: set() for party in splits}
    for tree in kept:
        for node in tree.nodes:
            if not node.is_leaf:
                asked[node.party].add(node.split)
    places = {
        party: {old: new for new, old in enumerate(sorted(numbers))}
        for party, numbers in asked.items()
    }
    renumbered = tuple(
        Tree(
            tuple(
                node
                if node.is_leaf
                else Node(
                    node.value,
                    node.cover,
                    node.party,
                    places[node.party][node.split],
                    node.left,
                    node.right,
                )
                for node in tree.nodes
            )
        )
        for tree in kept
    )
    return renumbered, {
        party: tuple(splits[party][old] for old in sorted(numbers))
        for party, numbers in asked.items()
    }

"""What the label party holds of one partner after trees were grown with it, kept for an audit.

Where cell sums go to the label party (`Direction.TO_LABEL_PARTY`), it knows its own query vectors,
the exact sums over the partner's bins that answered them, and for every split on a partner's
feature one bit a borrower. From these bin codes can be rebuilt (`simulations.reconstruction`); a
transcript is the input of that attack. It never leaves the label party: the vectors are gradients,
thus labels. `transcript_file` writes and reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout, FeatureBins

Vectors = npt.NDArray[np.int8]  # (queries, borrowers)
Sums = npt.NDArray[np.int64]  # (queries, bins)
Bits = npt.NDArray[np.bool_]  # (borrowers,)
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Asked:
    """Queries that were answered together.

    Attributes:
        tree: in which tree, from 0.
        vectors: the queries (k, borrowers), zero outside a node.
        features: the features that were answered, ascending.
        sums: each query's sums (k, bins of all these features, feature after feature).
    """

    tree: int
    vectors: Vectors
    features: tuple[int, ...]
    sums: Sums


@dataclass(frozen=True)
class SplitBits:
    """A split on the partner's feature: whose code is in the set `left`, of all borrowers."""

    tree: int
    feature: int
    left: tuple[int, ...]
    bits: Bits


@dataclass(frozen=True)
class Transcript:
    """All that the label party learned of one partner's bins in one training.

    Attributes:
        borrowers: borrowers of the fit; vectors and bits have one entry for each.
        features: the bins of each of the partner's features.
        names: what the label party calls them.
        asked: the queries, in the order in which they were asked.
        splits: the splits on the partner's features, in order.
    """

    borrowers: int
    features: tuple[FeatureBins, ...]
    names: tuple[str, ...]
    asked: tuple[Asked, ...]
    splits: tuple[SplitBits, ...]

    @property
    def trees(self) -> int:
        """How many trees it covers."""
        trees = [batch.tree for batch in self.asked] + [split.tree for split in self.splits]
        return 1 + max(trees, default=-1)

    @property
    def queries(self) -> int:
        """How many vectors were answered."""
        return sum(len(batch.vectors) for batch in self.asked)

    def up_to(self, trees: int) -> Transcript:
        """What was known after so many trees."""
        return replace(
            self,
            asked=tuple(batch for batch in self.asked if batch.tree < trees),
            splits=tuple(split for split in self.splits if split.tree < trees),
        )

    def answered_to(self, feature: int) -> tuple[int, ...]:
        """Positions in `asked` of the batches in which this feature was answered."""
        return tuple(i for i, batch in enumerate(self.asked) if feature in batch.features)

    def sums_of(self, feature: int) -> Sums:
        """The sums over one feature's bins, of all queries it was answered to (queries, bins)."""
        parts = [np.empty((0, self.features[feature].bins), dtype=np.int64)]
        for position in self.answered_to(feature):
            batch = self.asked[position]
            before = batch.features[: batch.features.index(feature)]
            first = BinLayout(self.features).of_some(before).cells
            parts.append(batch.sums[:, first : first + self.features[feature].bins])
        return np.concatenate(parts)

    def allowed(self, feature: int) -> npt.NDArray[np.bool_]:
        """Which bins the split bits leave to each borrower (borrowers, bins)."""
        bins = self.features[feature].bins
        allowed = np.ones((self.borrowers, bins), dtype=np.bool_)
        for split in self.splits:
            if split.feature == feature:
                goes_left = np.isin(np.arange(bins), split.left)
                allowed &= split.bits[:, None] == goes_left[None, :]
        return allowed


@dataclass
class TranscriptRecorder:
    """Collects a transcript while a training runs; it holds one byte a borrower and query.

    Args:
        borrowers: of the fit.
        features: the bins of each of the partner's features.
        names: what the label party calls them; None numbers them.
    """

    borrowers: int
    features: tuple[FeatureBins, ...]
    names: tuple[str, ...] | None = None
    _asked: list[Asked] = field(default_factory=list)
    _splits: list[SplitBits] = field(default_factory=list)
    _tree: int = -1

    def tree_begins(self) -> None:
        """What follows belongs to the next tree."""
        self._tree += 1

    def queried(self, vectors: Array, features: Sequence[int], sums: Array) -> None:
        """Note queries and their answers.

        Args:
            vectors: the queries, whole numbers in -127..127 (k, borrowers).
            features: the features that were answered, ascending.
            sums: over ALL bins of these features, the omitted bin completed (k, their bins).
        """
        if vectors.size and max(int(vectors.max()), -int(vectors.min())) > 127:
            raise ValueError("a query has values beyond ±127, which a transcript cannot hold")
        batch = Asked(
            max(self._tree, 0),
            vectors.astype(np.int8),
            tuple(int(feature) for feature in features),
            sums.astype(np.int64),
        )
        _check_asked(batch, self.borrowers, self.features)
        self._asked.append(batch)

    def split(self, feature: int, left: Iterable[int], bits: Array) -> None:
        """Note a split on the partner's feature.

        Args:
            feature: which.
            left: the bins that go left.
            bits: whose code is among them (borrowers,).
        """
        bins = tuple(sorted(int(code) for code in left))
        split = SplitBits(max(self._tree, 0), int(feature), bins, bits.astype(np.bool_))
        check_split(split, self.borrowers, self.features)
        self._splits.append(split)

    def transcript(self) -> Transcript:
        """What was noted until now."""
        names = self.names or tuple(f"feature {i}" for i in range(len(self.features)))
        return Transcript(
            self.borrowers, self.features, names, tuple(self._asked), tuple(self._splits)
        )


def _check_asked(batch: Asked, borrowers: int, features: tuple[FeatureBins, ...]) -> None:
    known = range(len(features))
    if list(batch.features) != sorted({f for f in batch.features if f in known}):
        raise ValueError(f"features {batch.features} are not among {len(features)}, ascending")
    bins = BinLayout(features).of_some(batch.features).cells
    shapes = (batch.vectors.shape, batch.sums.shape)
    if shapes != ((len(batch.vectors), borrowers), (len(batch.vectors), bins)):
        raise ValueError(f"vectors and sums {shapes} do not fit {borrowers} borrowers, {bins} bins")


def check_split(split: SplitBits, borrowers: int, features: tuple[FeatureBins, ...]) -> None:
    """Raise ValueError where a split does not fit these borrowers and features."""
    if not 0 <= split.feature < len(features):
        raise ValueError(f"feature {split.feature} of a split is not among {len(features)}")
    bins = features[split.feature].bins
    if not all(0 <= code < bins for code in split.left) or split.bits.shape != (borrowers,):
        raise ValueError(f"a split of feature {split.feature} does not fit its {bins} bins")

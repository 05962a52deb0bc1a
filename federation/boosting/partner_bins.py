"""A partner's bins as the label party meets them: by queries over a private linear map."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.growth import Sums
from federation.boosting.one_thread import one_thread
from federation.boosting.transcript import TranscriptRecorder
from federation.errors import ProtocolError
from federation.linear_maps import LabelSide
from federation.proto.session_pb2 import BinShapes, NodeSums, Query

Whole = npt.NDArray[np.int64]
MOST_FEATURES = 100_000
# Bins beside the ordered ones, or beside the frequent categories: other, missing, absent.
EXTRA_BINS = 3


@dataclass(frozen=True)
class Shapes:
    """What a partner says of its bins.

    Attributes:
        layout: bins of its features.
        omitted: each feature's fullest bin, which has no row in D (features,).
    """

    layout: BinLayout
    omitted: npt.NDArray[np.int64]

    @classmethod
    def of(cls, layout: BinLayout, omitted: Sequence[int]) -> Shapes:
        """From plain values."""
        return cls(layout, np.array(omitted, dtype=np.int64))

    def to_message(self) -> BinShapes:
        """As it is sent."""
        return BinShapes(
            bins=[feature.bins for feature in self.layout.features],
            ordered=[feature.ordered for feature in self.layout.features],
            omitted=[int(place) for place in self.omitted],
        )

    @classmethod
    def from_message(cls, message: BinShapes, party: str, most_bins: int) -> Shapes:
        """Parse what arrived.

        Args:
            most_bins: bins that a feature may have: the agreed number and the special ones.

        Raises:
            ProtocolError: no features, lists of other lengths, or bins that can't be.
        """
        lengths = {len(message.bins), len(message.ordered), len(message.omitted)}
        if len(lengths) != 1 or not 0 < len(message.bins) <= MOST_FEATURES:
            raise ProtocolError(
                f"{party} describes the bins of {sorted(lengths)} features; as many bins, orders "
                "and omitted bins are right, and one feature or more"
            )
        features = []
        for place, (bins, ordered, omitted) in enumerate(
            zip(message.bins, message.ordered, message.omitted, strict=True)
        ):
            if bins > most_bins or omitted >= bins:
                raise ProtocolError(
                    f"{party}'s feature {place} has {bins} bins, of which bin {omitted} is not "
                    f"sent; {most_bins} at most were agreed"
                )
            try:
                features.append(FeatureBins(bins, ordered))
            except ValueError as error:
                raise ProtocolError(f"{party}'s feature {place} has {error}") from error
        return cls.of(BinLayout(tuple(features)), message.omitted)

    def rows_of(self, features: Sequence[int]) -> npt.NDArray[np.int64]:
        """The rows of D that belong to these features."""
        starts = self.layout.offsets - np.arange(len(self.layout.offsets))
        ranges = [np.arange(starts[f], starts[f + 1]) for f in features]
        return np.concatenate([np.zeros(0, np.int64), *ranges])

    @property
    def rows(self) -> int:
        """Rows of D."""
        return self.layout.cells - len(self.layout.features)

    def completed(self, features: tuple[int, ...], sent: Whole, totals: Whole) -> Whole:
        """Sums over all bins of some features (k, cells): an omitted bin has what is left.

        Args:
            features: whose bins.
            sent: sums over their other bins (k, rows of the features).
            totals: of each vector (k,).
        """
        firsts, places, left_out = _places(self.layout, self._omitted, features)
        full = np.empty((len(sent), len(places) + len(left_out)), dtype=np.int64)
        full[:, places] = sent
        full[:, left_out] = totals[:, None] - np.add.reduceat(sent, firsts, axis=1)
        return full

    @cached_property
    def _omitted(self) -> tuple[int, ...]:
        return tuple(int(place) for place in self.omitted)


@lru_cache(maxsize=64)
def _places(
    layout: BinLayout, omitted: tuple[int, ...], features: tuple[int, ...]
) -> tuple[Whole, Whole, Whole]:
    """Each feature's first row among those sent; the cells of these rows; the omitted cells."""
    some = layout.of_some(features)
    left_out = some.offsets[:-1] + np.array([omitted[feature] for feature in features])
    firsts = some.offsets[:-1] - np.arange(len(features))
    return firsts, np.delete(np.arange(some.cells), left_out), left_out


class PartnerBins:
    """The label party's dealings with one partner in one training.

    Args:
        party: its name.
        shapes: of its bins.
        side: the ready private linear map, its direction to the label party.
        recorder: keeps what was learned; None: nothing is kept.
    """

    def __init__(
        self, party: str, shapes: Shapes, side: LabelSide, recorder: TranscriptRecorder | None
    ) -> None:
        """Nothing was asked yet."""
        self.party, self.shapes, self.recorder = party, shapes, recorder
        self._side = side
        self.features: tuple[int, ...] = ()
        self._asked: deque[npt.NDArray[np.int8]] = deque()
        self.answers = 0
        self.sums_received = 0

    def begin_tree(self) -> None:
        """The partner draws features anew."""
        self.features = ()
        if self.recorder is not None:
            self.recorder.tree_begins()

    def query(self, vectors: npt.NDArray[np.int64]) -> Query:
        """Encrypt gradients and hessians of some nodes (2k, n)."""
        if self.recorder is not None:
            self._asked.append(vectors.astype(np.int8))
        with one_thread():
            return self._side.query_many(vectors)

    def open(self, message: NodeSums, totals: npt.NDArray[np.int64]) -> list[Sums]:
        """The sums over all bins of the features drawn for this tree, a pair a node.

        Args:
            message: the answer to the oldest query that is open.
            totals: the sums of that query's vectors (2k,).

        Raises:
            ProtocolError: features that don't exist, or others than at the tree's first answer.
        """
        count = len(self.shapes.layout.features)
        features = tuple(message.features[: count + 1])  # one more than there are is refused
        ascending = all(a < b for a, b in pairwise(features))
        if not features or not ascending or features[-1] >= count:
            raise ProtocolError(
                f"{self.party} answered for features {list(features)[:20]} of {count}; some of "
                "them, ascending, is right"
            )
        if self.features not in ((), features):
            raise ProtocolError(f"{self.party} answered for other features in the same tree")
        self.features = features
        rows = None if len(features) == count else self.shapes.rows_of(features)
        with one_thread():
            sent = self._side.open_many(message.answer, rows)
        if len(sent) != len(totals):
            raise ProtocolError(
                f"{self.party} answered {len(sent)} vectors where {len(totals)} were asked"
            )
        full = self.shapes.completed(features, sent, totals)
        if self.recorder is not None:
            self.recorder.queried(self._asked.popleft(), features, full)
        self.answers += len(sent)
        self.sums_received += int(sent.size)
        halves = full.astype(np.float64)
        return [(halves[k], halves[k + 1]) for k in range(0, len(halves), 2)]

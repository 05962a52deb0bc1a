"""A partner's bins as the label party meets them: by queries over a private linear map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.growth import Sums
from federation.boosting.transcript import TranscriptRecorder
from federation.errors import ProtocolError
from federation.linear_maps import LabelSide
from federation.proto.session_pb2 import BinShapes, NodeSums, Query

MOST_FEATURES = 100_000


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
        self.answers = 0
        self.sums_received = 0

    def begin_tree(self) -> None:
        """The partner draws features anew."""
        self.features = ()
        if self.recorder is not None:
            self.recorder.tree_begins()

    def query(self, vectors: npt.NDArray[np.int64]) -> Query:
        """Encrypt gradients and hessians of some nodes (2k, n)."""
        return self._side.query_many(vectors)

    def open(self, message: NodeSums, vectors: npt.NDArray[np.int64]) -> list[Sums]:
        """The sums over all bins of the features drawn for this tree, a pair a node.

        Raises:
            ProtocolError: features that don't exist, or others than at the tree's first answer.
        """
        features = tuple(message.features)
        count = len(self.shapes.layout.features)
        ascending = all(a < b for a, b in pairwise(features))
        if not features or not ascending or features[-1] >= count:
            raise ProtocolError(
                f"{self.party} answered for features {list(features)[:20]} of {count}; some of "
                "them, ascending, is right"
            )
        if self.features not in ((), features):
            raise ProtocolError(f"{self.party} answered for other features in the same tree")
        self.features = features
        sent = self._side.open_many(message.answer, self.shapes.rows_of(features))
        if len(sent) != len(vectors):
            raise ProtocolError(
                f"{self.party} answered {len(sent)} vectors where {len(vectors)} were asked"
            )
        totals = vectors.sum(axis=1)
        full = self._complete(sent, totals)
        if self.recorder is not None:
            self.recorder.queried(vectors.astype(np.int8), features, full)
        self.answers += len(sent)
        self.sums_received += int(sent.size)
        halves = full.astype(np.float64)
        return [(halves[k], halves[k + 1]) for k in range(0, len(halves), 2)]

    def _complete(
        self, sent: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Add each feature's omitted bin: what is left of the node's total."""
        parts, first = [], 0
        for feature in self.features:
            bins = self.shapes.layout.features[feature].bins
            part = sent[:, first : first + bins - 1]
            first += bins - 1
            rest = totals - part.sum(axis=1)
            parts.append(np.insert(part, int(self.shapes.omitted[feature]), rest, axis=1))
        return np.concatenate(parts, axis=1)

"""A feature party's role in one boosted training whose sums go to the label party.

It answers queries over a share of its features that it draws for each tree, and tells who goes left
in the splits it is asked about. It never learns who is in a node. It holds the label party to what
was agreed: trees, depth, and so how many vectors and splits there can be.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from federation.boosting.feature_bins import BinLayout
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import Split
from federation.boosting.one_thread import one_thread
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_messages import read_model, read_splits, send_bits
from federation.errors import ProtocolError
from federation.linear_maps import FeatureSide
from federation.proto.session_pb2 import NodeSums, TreeOrder
from federation.session.machine import Progress, Send, Step, expect


@dataclass(frozen=True)
class BoostedFeatureFit:
    """What a feature party holds after a boosted training.

    Attributes:
        splits: of its features, as the model numbers them.
        trees: that were grown.
        answers: vectors whose sums it computed.
        sums: sums that the label party was given.
        asked_splits: whose bits it gave, of all borrowers of the fit.
    """

    splits: tuple[Split, ...]
    trees: int
    answers: int
    sums: int
    asked_splits: int


def train(
    own: LocalBins,
    side: FeatureSide,
    label_party: str,
    party: str,
    settings: BoostedSettings,
) -> Generator[Step, object, BoostedFeatureFit]:
    """One training.

    Args:
        own: bins of the borrowers of the fit and of the test.
        side: the ready private linear map, its direction to the label party.
        label_party, party: names.
        settings: what all parties agreed on.

    Raises:
        ProtocolError: the label party asks for more than was agreed.
    """
    budget = _Budget(settings)
    answers = sums = 0
    asked: set[Split] = set()
    features: tuple[int, ...] = ()
    drawn_for = -1
    while True:
        order = yield from expect(label_party, TreeOrder)
        kind = order.WhichOneof("order")
        if kind == "model":
            break
        budget.enter(order.tree, order.level)
        if kind == "query":
            vectors = max(1, order.query.vectors)
            budget.spend_vectors(vectors)
            if order.tree != drawn_for:
                features = draw_features(own.layout, settings, party, order.tree)
                drawn_for = order.tree
                words = f"tree {order.tree + 1}: {len(features)} of {len(own.layout.features)}"
                fraction = order.tree / settings.trees
                yield Progress("training", fraction, f"{words} features take part")
            with one_thread():
                answer = side.answer_many(order.query, features)
            reply = NodeSums(tree=order.tree, level=order.level, features=features, answer=answer)
            yield Send(label_party, "node_sums", reply)
            answers += vectors
            sums += vectors * sum(own.layout.features[f].bins - 1 for f in features)
        elif kind == "splits":
            budget.spend_splits(len(order.splits.splits))
            splits = read_splits(order.splits, own.layout, label_party)
            asked.update(splits)
            yield from send_bits(own.bits(splits), label_party, "fit")
        else:
            raise ProtocolError(f"{label_party} sent an order for tree {order.tree} without one")
    model = read_model(order.model, own.layout, label_party, party, settings)
    if not asked.issuperset(model):
        raise ProtocolError(
            f"{label_party}'s model has splits of {party}'s features whose bits were never asked "
            "for in training"
        )
    yield from send_bits(own.test_bits(model), label_party, "test")
    return BoostedFeatureFit(model, budget.trees, answers, sums, len(asked))


def draw_features(
    layout: BinLayout, settings: BoostedSettings, party: str, tree: int
) -> tuple[int, ...]:
    """The features that take part in a tree, ascending; the same in every run."""
    count = len(layout.features)
    wanted = max(1, round(settings.column_sample * count))
    if wanted >= count:
        return tuple(range(count))
    generator = np.random.default_rng([settings.seed, tree, zlib.crc32(party.encode())])
    return tuple(sorted(int(f) for f in generator.choice(count, wanted, replace=False)))


class _Budget:
    """What the label party may ask for: as much as the agreed trees need, tree by tree."""

    def __init__(self, settings: BoostedSettings) -> None:
        self._settings = settings
        self._tree = self._level = -1
        self._vectors = self._splits = 0

    @property
    def trees(self) -> int:
        """Trees that were begun."""
        return self._tree + 1

    def enter(self, tree: int, level: int) -> None:
        """Go to a tree's level; never back, and one tree at a time."""
        settings = self._settings
        begins = tree == self._tree + 1 and level == 0
        goes_on = tree == self._tree and self._level <= level <= self._level + 1
        if not (begins or goes_on) or tree >= settings.trees or level >= settings.depth:
            raise ProtocolError(
                f"an order for level {level} of tree {tree} came after level {self._level} of tree "
                f"{self._tree}; {settings.trees} trees of depth {settings.depth}, one after the "
                "other, were agreed"
            )
        if tree != self._tree or level != self._level:
            self._vectors = self._splits = 0
        self._tree, self._level = tree, level

    def spend_vectors(self, count: int) -> None:
        """A gradient and a hessian of the root, or of one of each two siblings."""
        self._vectors += count
        self._check("vectors", self._vectors, 2 if self._level == 0 else 2**self._level)

    def spend_splits(self, count: int) -> None:
        """One a node."""
        self._splits += count
        self._check("splits", self._splits, 2**self._level)

    def _check(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise ProtocolError(
                f"{count} {what} were asked for at level {self._level} of a tree, where {most} "
                "are all it needs"
            )

"""A feature party's role where trees are grown at their owners.

In each round it takes one encrypted query, grows a tree on its own features from sums that only it
can read, and gives the tree's output of every borrower, masked among the feature parties. What it
learns of the labels is covered by their randomised response, however many trees there are.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.feature_party import send_partial_scores
from federation.boosting.feature_bins import BinLayout
from federation.boosting.feature_party import draw_features
from federation.boosting.gradients import VALUE_BOUND
from federation.boosting.growth import Sums as CellSums
from federation.boosting.growth import TreeGrowth
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import Split
from federation.boosting.owner_growth import LevelRows, OwnerTotals, check_totals, groups_of
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_book import SplitBook, only_used
from federation.boosting.trees import Forest, Tree
from federation.errors import ProtocolError
from federation.linear_maps.growing import GrowingFeatureSide
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import HintBlock, NodeRows, Sums, TreeOrder
from federation.session.machine import Progress, Send, Step, expect

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OwnerFeatureFit:
    """What a feature party holds after such a training.

    Attributes:
        splits: of its features, by the numbers that its trees use.
        trees: its own.
        sums: that it learned over its bins.
        rounds: in which it grew a tree.
    """

    splits: tuple[Split, ...]
    trees: tuple[Tree, ...]
    sums: int
    rounds: int


def train(
    own: LocalBins,
    side: GrowingFeatureSide,
    masks: PairwiseMasks,
    label_party: str,
    party: str,
    settings: BoostedSettings,
) -> Generator[Step, object, OwnerFeatureFit]:
    """One training.

    Args:
        own: bins of the borrowers of the fit and of the test.
        side: the map, agreed.
        masks: agreed with the other feature parties.
        label_party, party: names.
        settings: what all parties agreed on.

    Raises:
        ProtocolError: the label party asks for more trees than were agreed, or for something else.
    """
    book = SplitBook(own.borrowers)
    trees: list[Tree] = []
    sums_learned, last = 0, -1
    while True:
        order = yield from expect(label_party, TreeOrder)
        kind = order.WhichOneof("order")
        if kind == "model":
            break
        if kind != "query" or not last < order.tree < settings.trees:
            raise ProtocolError(
                f"{label_party} sent an order '{kind}' for tree {order.tree} after tree {last}; "
                f"queries for {settings.trees} trees, one after the other, were agreed"
            )
        last = order.tree
        if side.take(order.query) != 2:
            raise ProtocolError("a query holds a gradient and a hessian, two vectors")
        check_totals(order.totals, own.borrowers, VALUE_BOUND, label_party)
        features = draw_features(own.layout, settings, party, order.tree)
        words = f"tree {order.tree + 1}: {len(features)} of {len(own.layout.features)} features"
        yield Progress("training", order.tree / settings.trees, words)
        layout = own.layout.of_some(features)
        growth = _growth(order, own, layout, party, settings)
        while not growth.done:
            found: list[CellSums] = []
            for nodes in groups_of(growth.asked, layout):
                rows = LevelRows(nodes, own.codes_of(features), layout)
                sums = yield from _revealed(rows, order.tree, side, label_party)
                sums_learned += int(sums.size)
                found += rows.complete(sums)
            growth.take(party, layout, found)
            own.split(growth, book, features)
        yield Send(label_party, "node_rows", NodeRows(tree=order.tree, done=True))
        trees.append(growth.tree())
        outputs = growth.outputs()
        part = tree_part(order.tree)
        yield send_partial_scores(outputs, masks, label_party, settings.name, part)
    kept, splits = only_used(trees, {party: book.splits})
    forest = Forest(kept, {party: len(splits[party])})
    test = forest.scores({party: own.test_bits(splits[party])})
    yield send_partial_scores(test, masks, label_party, settings.name, "test")
    return OwnerFeatureFit(splits[party], kept, sums_learned, len(trees))


def _growth(
    order: TreeOrder,
    own: LocalBins,
    layout: BinLayout,
    party: str,
    settings: BoostedSettings,
) -> TreeGrowth:
    totals = OwnerTotals(order.totals, party, layout)
    everybody = np.ones(own.borrowers, dtype=np.bool_)
    return TreeGrowth(totals, everybody, settings, settings.node_floor(own.borrowers))


def _revealed(
    rows: LevelRows, tree: int, side: GrowingFeatureSide, label_party: str
) -> Generator[Step, object, npt.NDArray[np.int64]]:
    """Have the sums of a level's rows decoded (2, rows)."""
    found = [np.zeros((2, 0), dtype=np.int64)]
    for matrix in rows.matrices:
        if not matrix.rows:  # every node has a single bin in each feature
            continue
        held: HintBlock | None = None
        for block in side.level(matrix):
            if held is not None:
                yield Send(label_party, "node_rows", NodeRows(tree=tree, hint=held))
            held = block
        last = NodeRows(tree=tree, hint=held, answer=side.answer())
        yield Send(label_party, "node_rows", last)
        found.append(side.reveal((yield from expect(label_party, Sums))))
    return np.concatenate(found, axis=1)


def tree_part(tree: int) -> str:
    """What a tree's outputs go by: their masks are bound to it."""
    return f"tree {tree + 1}"

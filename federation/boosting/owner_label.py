"""The label party's role where trees are grown at their owners.

Labels go through randomised response once, before anything is made of them; whatever the feature
parties learn afterwards, in any number of trees, follows from the perturbed labels alone. The label
party grows a tree of its own now and then, from the same labels. It sees one number a borrower and
round: the sum of the outputs of the feature parties' trees.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.label_party import receive_partial_scores
from federation.additive.logistic import log_losses
from federation.boosting.gradients import tree_gradients
from federation.boosting.growth import TreeGrowth
from federation.boosting.label_totals import LabelTotals
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import Split
from federation.boosting.owner_feature import tree_part
from federation.boosting.partner_bins import EXTRA_BINS, MOST_FEATURES
from federation.boosting.results import TreeRound
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_book import SplitBook, only_used
from federation.boosting.trees import Tree
from federation.errors import ProtocolError
from federation.linear_maps.growing import GrowingLabelSide
from federation.privacy.events import RandomisedResponse
from federation.proto.session_pb2 import NodeRows, RootTotals, SplitList, TreeOrder
from federation.session.machine import Progress, Send, Step, expect
from federation.split.label_privacy import flip_probability, randomised_response

Vector = npt.NDArray[np.float64]
# Every so many rounds the label party grows a tree of its own features.
OWN_TURN = 4


@dataclass(frozen=True)
class OwnerFit:
    """What the label party holds after such a training.

    Attributes:
        intercept: log-odds that every borrower starts from.
        splits, trees: its own.
        rounds: figures.
        scores: log-odds of the borrowers of the fit.
        test_scores: of the test borrowers, from all parties.
        partner_scores: the partners' share of the scores.
        partner_test_scores: likewise.
        sums: sums that each feature party learned.
    """

    intercept: float
    splits: tuple[Split, ...]
    trees: tuple[Tree, ...]
    rounds: tuple[TreeRound, ...]
    scores: Vector
    partner_scores: Vector
    partner_test_scores: Vector
    sums: Mapping[str, int]


def train(
    labels: Vector,
    places: npt.NDArray[np.int64],
    own: LocalBins,
    label_party: str,
    maps: Mapping[str, GrowingLabelSide],
    test_borrowers: int,
    settings: BoostedSettings,
    features: Mapping[str, int] | None = None,
) -> Generator[Step, object, OwnerFit]:
    """One training.

    Args:
        labels: of the borrowers of the fit, after randomised response and unbiased (n,): see
            `unbiased_labels`.
        places: each one's place in an order that does not change from run to run (n,).
        own: own bins.
        label_party: its name.
        maps: agreed with each feature party.
        test_borrowers: how many.
        settings: what all parties agreed on.
        features: how many each feature party declared; it bounds the sums that it may ask for.
    """
    declared = dict.fromkeys(maps, MOST_FEATURES) | dict(features or {})
    most_rows = {party: _most_rows(declared[party], settings) for party in maps}
    share = float(np.clip(labels.mean(), 1e-3, 1 - 1e-3))
    intercept = float(np.log(share / (1 - share)))
    everybody, weights = np.ones(len(labels), dtype=np.bool_), np.ones(len(labels))
    mine, theirs = np.full(len(labels), intercept), np.zeros(len(labels))
    book, trees, rounds = SplitBook(len(labels)), [], []
    sums = dict.fromkeys(maps, 0)
    for number in range(settings.trees):
        gradients = tree_gradients(labels, mine + theirs, weights, settings, number, places)
        totals = LabelTotals(gradients)
        if number % OWN_TURN == OWN_TURN - 1:
            growth = TreeGrowth(totals, everybody, settings, settings.node_floor(len(labels)))
            tree = _grow(growth, totals, own, label_party, book)
            trees.append(tree)
            mine = mine + growth.outputs()
            whose = label_party
        else:
            yield from _let_grow(totals, number, maps, most_rows, sums)
            outputs = yield from receive_partial_scores(tuple(maps), tree_part(number), len(labels))
            theirs = theirs + outputs
            whose = "feature parties"
        loss = float(log_losses(labels, mine + theirs).mean())
        splits_seen = {label_party: len(tree.nodes) // 2} if whose == label_party else {}
        rounds.append(TreeRound(number + 1, loss, math.nan, math.nan, splits_seen))
        words = f"tree {number + 1} of {whose}"
        yield Progress("training", (number + 1) / settings.trees, words)
    for party in maps:
        yield Send(party, "tree_order", TreeOrder(tree=settings.trees, model=SplitList()))
    theirs_test = yield from receive_partial_scores(tuple(maps), "test", test_borrowers)
    kept, splits = only_used(trees, {label_party: book.splits})
    return OwnerFit(
        intercept,
        splits[label_party],
        kept,
        tuple(rounds),
        mine + theirs,
        theirs,
        theirs_test,
        sums,
    )


def unbiased_labels(labels: Vector, epsilon: float) -> Vector:
    """Labels after randomised response, scaled so that their mean is that of the true ones.

    A label is flipped with probability f = 1/(1 + e^ε); (ỹ - f)/(1 - 2f) has the true label as its
    mean (the linear correction of Natarajan et al., NeurIPS 2013), a post-processing of ỹ.
    """
    flip = flip_probability(epsilon)
    perturbed = randomised_response(labels, epsilon)
    corrected: Vector = (perturbed - flip) / (1.0 - 2.0 * flip)
    return corrected


def event_of(settings: BoostedSettings) -> RandomisedResponse:
    """What the training costs in the labels' ledger."""
    if settings.label_epsilon is None:
        raise ValueError("trees grown at their owners need a label_epsilon")
    return RandomisedResponse(settings.label_epsilon)


def _grow(
    growth: TreeGrowth, totals: LabelTotals, own: LocalBins, party: str, book: SplitBook
) -> Tree:
    """A tree of the own features."""
    while not growth.done:
        growth.take(party, own.layout, own.sums(growth.asked, totals.gradients))
        own.split(growth, book, own.features)
    return growth.tree()


def _most_rows(features: int, settings: BoostedSettings) -> int:
    """Rows that a tree may need: of each two siblings one is asked about, bin by bin."""
    return features * (settings.bins + EXTRA_BINS) * int(2 ** (settings.depth - 1))


def _let_grow(
    totals: LabelTotals,
    number: int,
    maps: Mapping[str, GrowingLabelSide],
    most_rows: Mapping[str, int],
    sums: dict[str, int],
) -> Generator[Step, object, None]:
    """Send every feature party the gradients, and decode the sums of its levels."""
    gradients = totals.gradients
    vectors = np.stack([gradients.whole_gradient, gradients.whole_hessian])
    told = RootTotals(
        gradient=int(vectors[0].sum()),
        hessian=int(vectors[1].sum()),
        gradient_unit=gradients.gradient_unit,
        hessian_unit=gradients.hessian_unit,
    )
    for party, side in maps.items():
        order = TreeOrder(tree=number, query=side.query_many(vectors), totals=told)
        yield Send(party, "tree_order", order)
    for party, side in maps.items():
        rows = 0
        while not (message := (yield from expect(party, NodeRows))).done:
            rows += message.hint.rows
            if message.tree != number or rows > most_rows[party]:
                raise ProtocolError(
                    f"{party} sent {rows:,} rows of tree {message.tree}; {most_rows[party]:,} at "
                    f"most of tree {number} are right"
                )
            side.take_hint(message.hint)
            if message.HasField("answer"):
                yield Send(party, "sums", side.decode(message.answer))
        sums[party] += 2 * rows

"""The label party's role in one boosted training: it grows the trees.

At each level it sends every partner the encrypted gradients and hessians of the nodes to ask about
and sums over its own bins meanwhile; it picks the splits from all parties' sums and asks their
owners who goes left. Without partners the same role grows the trees alone, on plaintext.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.logistic import log_losses
from federation.boosting.gradients import class_weights, tree_gradients
from federation.boosting.growth import Chosen, TreeGrowth
from federation.boosting.label_totals import LabelTotals
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import Split
from federation.boosting.partner_bins import PartnerBins
from federation.boosting.results import Given, TreeRound
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_book import SplitBook, only_used
from federation.boosting.split_messages import receive_bits, split_list
from federation.boosting.trees import Forest, Tree
from federation.errors import InputError, ProtocolError
from federation.linear_maps.interface import MOST_VECTORS
from federation.metrics import auc
from federation.proto.session_pb2 import NodeSums, TreeOrder
from federation.session.machine import Progress, Send, Step, expect

Vector = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
# A training whose features or borrowers are drawn ends after so many trees without a split.
MOST_BARREN = 5
# One message of queries holds as many nodes as stay below this, two at least: the partner begins
# with the first message while the next is made, but several vectors at once cost less each.
MESSAGE_BYTES = 16 * 1024 * 1024
FEWEST_NODES = 2
WORD_BYTES = 6  # at most, of a query


@dataclass(frozen=True)
class BoostedFit:
    """What the label party holds after a boosted training.

    Attributes:
        intercept: log-odds that every borrower starts from.
        trees: of the model.
        splits: of each party, by the numbers that the trees use; a party may have none.
        rounds: every tree's figures, those that early stopping dropped among them.
        best_round: trees in the model.
        scores: log-odds of the borrowers of the fit.
        given: by partner.
    """

    intercept: float
    trees: tuple[Tree, ...]
    splits: Mapping[str, tuple[Split, ...]]
    rounds: tuple[TreeRound, ...]
    best_round: int
    scores: Vector
    given: Mapping[str, Given]


@dataclass(frozen=True)
class Borrowers:
    """The borrowers of the fit, as the label party knows them.

    Attributes:
        labels: 1 for default, 0 for none (n,).
        validation: who judges early stopping; without it they train like the others (n,).
        places: each one's place in an order that does not change from run to run (n,).
    """

    labels: Vector
    validation: npt.NDArray[np.bool_]
    places: npt.NDArray[np.int64]


def train(
    borrowers: Borrowers,
    local: Mapping[str, LocalBins],
    partners: Mapping[str, PartnerBins],
    settings: BoostedSettings,
) -> Generator[Step, object, BoostedFit]:
    """One training.

    Args:
        borrowers: of the fit.
        local: bins that lie here: the own ones, and those of partners that sent theirs.
        partners: bins that lie at partners.
        settings: what all parties agreed on.

    Raises:
        InputError: not even the first tree has a split, or nobody can judge early stopping.
    """
    labels = borrowers.labels
    if settings.early_stopping and not borrowers.validation.any():
        raise InputError(
            f"model.early_stopping is {settings.early_stopping}, but no borrower is held out to "
            "judge by; set a validation_share above 0, or early_stopping = 0"
        )
    training = ~borrowers.validation if settings.early_stopping else np.ones(len(labels), np.bool_)
    weights = class_weights(labels, training, settings)
    share = float((weights * labels).sum() / weights.sum())
    intercept = float(np.log(share / (1 - share)))
    floor = settings.node_floor(int(training.sum()))
    scores = np.full(len(labels), intercept)
    books = {party: SplitBook(len(labels)) for party in (*local, *partners)}
    trees: list[Tree] = []
    rounds: list[TreeRound] = []
    best = barren = 0
    drawn = settings.column_sample < 1 or settings.row_sample < 1
    for number in range(settings.trees):
        gradients = tree_gradients(labels, scores, weights, settings, number, borrowers.places)
        totals = LabelTotals(gradients)
        growth = TreeGrowth(totals, training, settings, floor)
        for bins in local.values():
            bins.begin_tree(number)
        for partner in partners.values():
            partner.begin_tree()
        while not growth.done:
            yield from _ask(growth, totals, number, partners)
            for party, bins in local.items():
                layout = bins.layout.of_some(bins.features)
                growth.take(party, layout, bins.sums(growth.asked, gradients))
            yield from _collect(growth, number, partners)
            chosen = growth.choose()
            yield from _look_up(chosen, number, growth.level, local, partners, books)
            splits = [_split_of(one, local, partners) for one in chosen]
            numbers = [books[one.party].number(s) for one, s in zip(chosen, splits, strict=True)]
            bits = [books[one.party].bits(n) for one, n in zip(chosen, numbers, strict=True)]
            growth.split(chosen, numbers, bits)
        tree = growth.tree()
        if len(tree.nodes) == 1:
            # other features or borrowers may do better, if any are drawn
            barren += 1
            if barren >= (MOST_BARREN if drawn else 1):
                break
            continue
        barren = 0
        trees.append(tree)
        scores = scores + growth.outputs()
        rounds.append(_round(len(trees), tree, labels, scores, training))
        lowest = rounds[best - 1].validation_log_loss if best else np.inf
        if not settings.early_stopping or rounds[-1].validation_log_loss < lowest:
            best = len(trees)
        yield Progress("training", (number + 1) / settings.trees, _words(rounds[-1]))
        if settings.early_stopping and len(trees) - best >= settings.early_stopping:
            break
    if not trees:
        raise InputError(
            f"training '{settings.name}': no split of {len(labels):,} borrowers reaches the rules "
            f"(children of {floor:,} borrowers or more, a sum of hessians of "
            f"{settings.min_child_weight:g}, a gain above {settings.min_split_gain:g}); lower "
            "model.min_borrowers, model.min_child_weight or model.min_split_gain"
        )
    kept, splits_of = only_used(trees[:best], {party: book.splits for party, book in books.items()})
    given = {
        party: _given(partner, books[party], len(labels)) for party, partner in partners.items()
    }
    if best < len(trees):
        scores = _scores(kept, splits_of, books, intercept, len(labels))
    return BoostedFit(intercept, kept, splits_of, tuple(rounds), best, scores, given)


def _ask(
    growth: TreeGrowth, totals: LabelTotals, tree: int, partners: Mapping[str, PartnerBins]
) -> Generator[Step, object, None]:
    """Send every partner the queries of a level."""
    if not partners:
        return
    for first, last in _chunks(growth):
        vectors = totals.vectors(growth.asked[first:last])
        for party, partner in partners.items():
            order = TreeOrder(tree=tree, level=growth.level, query=partner.query(vectors))
            yield Send(party, "tree_order", order)


def _collect(
    growth: TreeGrowth, tree: int, partners: Mapping[str, PartnerBins]
) -> Generator[Step, object, None]:
    """Take their answers."""
    for party, partner in partners.items():
        sums = []
        for first, last in _chunks(growth):
            message = yield from expect(party, NodeSums)
            if (message.tree, message.level) != (tree, growth.level):
                raise ProtocolError(
                    f"{party} answered for level {message.level} of tree {message.tree}; level "
                    f"{growth.level} of tree {tree} is right"
                )
            totals = [node.totals for node in growth.asked[first:last]]
            sums += partner.open(message, np.array(totals).astype(np.int64).ravel())
        growth.take(party, partner.shapes.layout.of_some(partner.features), sums)


def _look_up(
    chosen: list[Chosen],
    tree: int,
    level: int,
    local: Mapping[str, LocalBins],
    partners: Mapping[str, PartnerBins],
    books: Mapping[str, SplitBook],
) -> Generator[Step, object, None]:
    """Bits of the splits that were not used before; each partner is asked once a level."""
    asked: dict[str, list[Split]] = {}
    for party, book in books.items():
        wanted = book.missing(
            _split_of(one, local, partners) for one in chosen if one.party == party
        )
        if not wanted:
            continue
        if party in local:
            book.add(wanted, local[party].bits(wanted))
            continue
        asked[party] = wanted
        order = split_list(wanted)
        yield Send(party, "tree_order", TreeOrder(tree=tree, level=level, splits=order))
    for party, wanted in asked.items():
        bits = yield from receive_bits(party, "fit", len(wanted), books[party].borrowers)
        books[party].add(wanted, bits)
        recorder = partners[party].recorder
        if recorder is not None:
            for split, row in zip(wanted, bits, strict=True):
                recorder.split(split.feature, split.left, row)


def _chunks(growth: TreeGrowth) -> list[tuple[int, int]]:
    """Asked nodes by the message that they go in: first and one past the last."""
    nodes, borrowers = len(growth.asked), growth.borrowers
    size = max(FEWEST_NODES, MESSAGE_BYTES // (2 * WORD_BYTES * borrowers))
    size = min(size, MOST_VECTORS // 2)
    return [(first, min(first + size, nodes)) for first in range(0, nodes, size)]


def _split_of(
    chosen: Chosen, local: Mapping[str, LocalBins], partners: Mapping[str, PartnerBins]
) -> Split:
    """The split in its party's own numbering of features."""
    owner = local.get(chosen.party) or partners[chosen.party]
    return Split(owner.features[chosen.split.feature], chosen.split.left)


def _given(partner: PartnerBins, book: SplitBook, borrowers: int) -> Given:
    splits = len(book.splits)
    return Given(partner.answers, partner.sums_received, splits, splits * borrowers)


def _round(
    number: int, tree: Tree, labels: Vector, scores: Vector, training: npt.NDArray[np.bool_]
) -> TreeRound:
    losses = log_losses(labels, scores)
    held_out = ~training
    judged = held_out.any() and 0 < labels[held_out].sum() < held_out.sum()
    splits: dict[str, int] = {}
    for node in tree.nodes:
        if not node.is_leaf:
            splits[node.party] = splits.get(node.party, 0) + 1
    return TreeRound(
        number,
        float(losses[training].mean()),
        float(auc(labels[held_out], scores[held_out])) if judged else float("nan"),
        float(losses[held_out].mean()) if held_out.any() else float("nan"),
        splits,
    )


def _scores(
    trees: tuple[Tree, ...],
    splits: Mapping[str, tuple[Split, ...]],
    books: Mapping[str, SplitBook],
    intercept: float,
    borrowers: int,
) -> Vector:
    """Log-odds under some of the trees."""
    forest = Forest(trees, {party: len(own) for party, own in splits.items()})
    empty = np.zeros((0, borrowers), dtype=np.bool_)
    bits = {
        party: np.stack([books[party].bits(books[party].number(s)) for s in own]) if own else empty
        for party, own in splits.items()
    }
    return intercept + forest.scores(bits)


def _words(one: TreeRound) -> str:
    words = f"tree {one.number}: training log-loss {one.training_loss:.4f}"
    if not np.isnan(one.validation_log_loss):
        words += f", validation {one.validation_log_loss:.4f}"
    return words

"""Trees grown at their owners: the same trees as in plaintext, and what each side is told."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from federation.alignment import InProcessGroup
from federation.boosting import owner_label
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.gradients import VALUE_BOUND, tree_gradients
from federation.boosting.growth import OpenNode, TreeGrowth
from federation.boosting.label_totals import LabelTotals
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.owner_feature import OwnerFeatureFit
from federation.boosting.owner_feature import train as feature_party
from federation.boosting.owner_growth import LevelRows
from federation.boosting.owner_label import OWN_TURN, OwnerFit, unbiased_labels
from federation.boosting.owner_label import train as label_party
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_book import SplitBook
from federation.errors import InputError, ProtocolError
from federation.linear_maps.growing import GrowingFeatureSide, GrowingLabelSide
from federation.masking import PairwiseMasks
from federation.metrics import auc
from federation.privacy.events import RandomisedResponse
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import RootTotals, TreeOrder
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.vertical import SessionPlan, SplitPlan, feature_party_session, label_party_session
from federation.vertical.prediction import (
    PredictionPlan,
    feature_party_prediction,
    label_party_prediction,
)
from tests.federation.test_vertical_session import population

N, TEST = 4500, 300
SETTINGS = BoostedSettings(
    name="owner", disclosure="owner", trees=6, depth=3, rate=0.3, label_epsilon=4.0
)
PARTNER_LAYOUT = BinLayout((FeatureBins(6, 5), FeatureBins(4, 0), FeatureBins(8, 8)))
BANK_LAYOUT = BinLayout((FeatureBins(5, 5), FeatureBins(3, 0)))
Vector = npt.NDArray[np.float64]


def bins(layout: BinLayout, seed: int) -> LocalBins:
    """Codes in uneven shares."""
    generator = np.random.default_rng(seed)
    columns = []
    for feature in layout.features:
        shares = generator.dirichlet(np.full(feature.bins, 2.0))
        columns.append(generator.choice(feature.bins, N + TEST, p=shares))
    codes = np.array(columns, dtype=np.uint8)
    return LocalBins(layout, codes[:, :N], codes[:, N:])


def labels_of(partners: Sequence[LocalBins], bank: LocalBins) -> Vector:
    """Defaults that depend on everybody's bins and on two bins together."""
    odds = -1.0 + 0.4 * bank.codes_of([0])[0]
    for partner in partners:
        first, second, third = partner.codes_of([0, 1, 2]).astype(float)
        odds = odds + 0.3 * (first - 2) * (second > 1) - 0.25 * third
    chance = 1 / (1 + np.exp(-odds))
    return (np.random.default_rng(8).random(N) < chance).astype(np.float64)


def train(
    names: Sequence[str], settings: BoostedSettings = SETTINGS
) -> tuple[OwnerFit, dict[str, OwnerFeatureFit], dict[str, LocalBins], Vector]:
    """One training of a bank and partners, in process."""
    own = {name: bins(PARTNER_LAYOUT, seed) for seed, name in enumerate(names)}
    own["bank"] = bins(BANK_LAYOUT, 99)
    labels = unbiased_labels(labels_of([own[name] for name in names], own["bank"]), 4.0)
    masks = {name: PairwiseMasks(name) for name in names}
    keys = {name: mask.public_key for name, mask in masks.items()}
    maps, machines = {}, {}
    for name in names:
        masks[name].agree("s", keys)
        side = GrowingFeatureSide(N, VALUE_BOUND, name.encode())
        maps[name] = GrowingLabelSide(N, VALUE_BOUND, name.encode())
        side.accept(maps[name].accept(side.offer()))
        role = feature_party(own[name], side, masks[name], "bank", name, settings)
        machines[name] = Machine(name, "s", role)
    role_of_bank = label_party(labels, np.arange(N), own["bank"], "bank", maps, TEST, settings)
    machines["bank"] = Machine("bank", "s", role_of_bank)
    run_in_process(machines)
    fits = {name: machines[name].result for name in names}
    return machines["bank"].result, fits, own, labels


def grown_plainly(
    own: LocalBins, party: str, labels: Vector, scores: Vector, number: int
) -> tuple[TreeGrowth, SplitBook]:
    """The tree that whoever sees the gradients themselves would grow on these bins."""
    gradients = tree_gradients(labels, scores, np.ones(N), SETTINGS, number, np.arange(N))
    growth = TreeGrowth(
        LabelTotals(gradients), np.ones(N, dtype=bool), SETTINGS, SETTINGS.node_floor(N)
    )
    book = SplitBook(N)
    while not growth.done:
        growth.take(party, own.layout, own.sums(growth.asked, gradients))
        chosen = growth.choose()
        splits = [Split(one.split.feature, one.split.left) for one in chosen]
        new = book.missing(splits)
        book.add(new, own.bits(new))
        numbers = [book.number(split) for split in splits]
        growth.split(chosen, numbers, [book.bits(n) for n in numbers])
    return growth, book


def test_the_first_tree_is_the_one_of_plaintext() -> None:
    """The same splits; leaves within what whole-number gradients lose."""
    fit, fits, own, labels = train(["platform"])
    growth, book = grown_plainly(
        own["platform"], "platform", labels, np.full(N, fit.intercept), number=0
    )
    plain, grown = growth.tree(), fits["platform"].trees[0]
    assert len(plain.nodes) > 7
    splits = fits["platform"].splits
    for one, other in zip(plain.nodes, grown.nodes, strict=True):
        assert (one.left, one.right, one.cover) == (other.left, other.right, other.cover)
        if not one.is_leaf:
            assert book.splits[one.split] == splits[other.split]
        assert one.value == pytest.approx(other.value, abs=0.02)


@pytest.mark.parametrize("names", [["platform"], ["iot", "platform"]])
def test_the_parts_make_the_scores(names: list[str]) -> None:
    """Own trees of all parties together are what the label party holds, masks gone."""
    fit, fits, own, labels = train(names)
    rounds = SETTINGS.trees - SETTINGS.trees // OWN_TURN
    theirs, theirs_test = np.zeros(N), np.zeros(TEST)
    for name in names:
        assert fits[name].rounds == rounds
        part = BoostedPart(
            name, "s", "owner", (), (), fits[name].splits, trees=fits[name].trees, owner_grown=True
        )
        theirs += part.forest().scores({name: own[name].bits(part.splits)})
        theirs_test += part.forest().scores({name: own[name].test_bits(part.splits)})
    assert fit.partner_scores == pytest.approx(theirs, abs=1e-4)
    assert fit.partner_test_scores == pytest.approx(theirs_test, abs=1e-4)
    mine = BoostedPart("bank", "s", "owner", (), (), fit.splits, trees=fit.trees, owner_grown=True)
    own_scores = mine.forest().scores({"bank": own["bank"].bits(fit.splits)})
    assert fit.scores == pytest.approx(fit.intercept + own_scores + theirs, abs=1e-4)
    assert float(auc(labels > 0.5, fit.scores)) > 0.65


def test_perturbed_labels_are_right_on_average() -> None:
    """The correction takes the flips' bias away; nobody's label stays as it was for sure."""
    labels = (np.arange(200_000) % 5 == 0).astype(np.float64)
    corrected = unbiased_labels(labels, 1.0)
    assert float(corrected.mean()) == pytest.approx(0.2, abs=0.01)
    assert len(np.unique(corrected)) == 2
    flipped = (corrected > 0.5) != (labels > 0.5)
    assert float(flipped.mean()) == pytest.approx(1 / (1 + math.e), abs=0.01)


@pytest.mark.parametrize(
    ("totals", "words"),
    [
        (RootTotals(gradient=0, hessian=1, gradient_unit=0.0, hessian_unit=1.0), "not positive"),
        (RootTotals(gradient=0, hessian=1, gradient_unit=math.nan, hessian_unit=1.0), "not pos"),
        (RootTotals(gradient=10**9, hessian=1, gradient_unit=1, hessian_unit=1), "beyond ±31"),
        (RootTotals(gradient=0, hessian=-1, gradient_unit=1, hessian_unit=1), "beyond ±31"),
    ],
)
def test_totals_that_cannot_be_are_refused(totals: RootTotals, words: str) -> None:
    """Before a tree is grown from them."""
    feature = GrowingFeatureSide(N, VALUE_BOUND, b"x")
    label = GrowingLabelSide(N, VALUE_BOUND, b"x")
    feature.accept(label.accept(feature.offer()))
    role = feature_party(
        bins(PARTNER_LAYOUT, 1), feature, PairwiseMasks("p"), "bank", "p", SETTINGS
    )
    next(role)
    query = label.query_many(np.zeros((2, N), dtype=np.int64))
    with pytest.raises(ProtocolError, match=words):
        role.send(TreeOrder(tree=0, query=query, totals=totals))


@pytest.mark.parametrize("tree", [SETTINGS.trees, 10**6])
def test_more_trees_than_agreed_are_refused(tree: int) -> None:
    """Every tree tells the feature party more sums, and the label party another number."""
    feature = GrowingFeatureSide(N, VALUE_BOUND, b"x")
    role = feature_party(
        bins(PARTNER_LAYOUT, 1), feature, PairwiseMasks("p"), "bank", "p", SETTINGS
    )
    next(role)
    with pytest.raises(ProtocolError, match="queries for 6 trees, one after the other"):
        role.send(TreeOrder(tree=tree, query={}))


def test_settings_that_would_give_labels_away_are_refused() -> None:
    """No exact sums over nodes, no stopping by true labels, no class weights."""
    with pytest.raises(InputError, match=r"privacy\.label_epsilon"):
        BoostedSettings(disclosure="owner")
    with pytest.raises(InputError, match="early_stopping"):
        replace(SETTINGS, early_stopping=5)
    with pytest.raises(InputError, match="class_weight"):
        replace(SETTINGS, class_weight="balanced")


def test_a_whole_session_enters_the_flips_in_the_ledger_once() -> None:
    """Aligned, trained and scored; one release whatever the number of trees."""
    names = ("platform", "receivables")
    tables = population(6500, names)
    plan = SessionPlan("s", "bank", names, trainings=(SETTINGS,), split=SplitPlan(0.2, 0.2, 1))
    spent: list[Expenditure] = []
    with InProcessGroup() as group:
        machines = {
            name: Machine(
                name,
                "s",
                feature_party_session(tables[name], name, "bank", "s", group, "test"),
            )
            for name in names
        }
        role = label_party_session(tables["bank"], plan, group, "run")
        machines["bank"] = Machine("bank", "s", role, on_release=spent.append)
        run_in_process(machines)
    result = machines["bank"].result
    training = result.trainings[0]
    assert [one.event for one in spent] == [RandomisedResponse(4.0)]
    assert float(auc(result.test_labels, training.test_scores)) > 0.7
    assert training.fit.given["platform"].outputs == 5 * 5200
    assert training.fit.label_privacy()["epsilon"] == 4.0
    parts = [machines[name].result.parts["owner"] for name in names]
    for part in (*parts, training.part):
        again = BoostedPart.from_json(json.loads(part.to_json()), "here")
        assert again == part
        assert part.owner_grown


def test_too_few_borrowers_are_refused_in_one_sentence() -> None:
    """The map that grows is the lattice's."""
    tables = population(1200, ("platform",))
    plan = SessionPlan("s", "bank", ("platform",), trainings=(SETTINGS,))
    with InProcessGroup() as group, pytest.raises(InputError, match="960 borrowers .* need 4,096"):
        run_in_process(
            {
                "platform": Machine(
                    "platform",
                    "s",
                    feature_party_session(tables["platform"], "platform", "bank", "s", group, "t"),
                ),
                "bank": Machine("bank", "s", label_party_session(tables["bank"], plan, group, "r")),
            }
        )


def test_the_own_turn_comes_every_few_rounds() -> None:
    """Which is all that the feature parties learn of the label party's trees."""
    fit, _, _, _ = train(["platform"])
    whose = [bool(one.splits) for one in fit.rounds]
    assert whose == [(n % owner_label.OWN_TURN) == owner_label.OWN_TURN - 1 for n in range(6)]


def test_a_prediction_sums_the_parts() -> None:
    """One masked number a borrower from each partner, as in the test of the training."""
    names = ("platform", "receivables")
    tables = population(6500, names)
    plan = SessionPlan("s", "bank", names, trainings=(SETTINGS,), split=SplitPlan(0.2, 0.2, 1))
    with InProcessGroup() as group:
        machines = {
            name: Machine(
                name, "s", feature_party_session(tables[name], name, "bank", "s", group, "t")
            )
            for name in names
        }
        machines["bank"] = Machine(
            "bank", "s", label_party_session(tables["bank"], plan, group, "r")
        )
        run_in_process(machines)
        result = machines["bank"].result
        asked = PredictionPlan("p", "s", "owner", "bank", names)
        parts = {name: machines[name].result.parts["owner"] for name in names}
        again = {
            name: Machine(
                name,
                "p",
                feature_party_prediction(
                    tables[name],
                    name,
                    "bank",
                    "p",
                    parts[name],
                    group,
                    "t",
                ),
            )
            for name in names
        }
        part = result.trainings[0].part
        again["bank"] = Machine(
            "bank", "p", label_party_prediction(tables["bank"], asked, part, group)
        )
        run_in_process(again)
    predicted = again["bank"].result
    rows = {int(row): place for place, row in enumerate(predicted.rows)}
    found = np.array([predicted.log_odds[rows[int(row)]] for row in result.test_rows])
    assert found == pytest.approx(result.trainings[0].test_scores, abs=1e-4)


def test_rows_of_many_features_go_in_several_matrices() -> None:
    """As many as the map's limit on rows asks for; the sums are those of all bins."""
    own, generator = bins(PARTNER_LAYOUT, 3), np.random.default_rng(4)
    vectors = generator.integers(-31, 32, (2, N))
    halves = np.array_split(generator.permutation(N), 3)
    nodes = [
        OpenNode(place, np.sort(part), len(part), tuple(map(float, vectors[:, part].sum(axis=1))))
        for place, part in enumerate(halves[:2])
    ]
    codes = own.codes_of([0, 1, 2])
    for most, matrices in ((8192, 1), (16, 2), (1, 3)):
        rows = LevelRows(nodes, codes, PARTNER_LAYOUT, most)
        assert len(rows.matrices) == matrices
        sums = [
            [v[members].sum() for m in rows.matrices for members in m.members()] for v in vectors
        ]
        found = rows.complete(np.array(sums))
        for node, both in zip(nodes, found, strict=True):
            for vector, cells in zip(vectors, both, strict=True):
                expected = np.concatenate(
                    [
                        np.bincount(
                            codes[f][node.members],
                            vector[node.members],
                            PARTNER_LAYOUT.features[f].bins,
                        )
                        for f in range(3)
                    ]
                )
                assert np.array_equal(cells, expected)

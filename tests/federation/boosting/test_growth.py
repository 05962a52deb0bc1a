"""Trees grown on plaintext bins, looked at node by node, and against XGBoost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from federation.additive.logistic import log_losses
from federation.boosting import gradients as of_gradients
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.gradients import class_weights, tree_gradients
from federation.boosting.growth import Sums, TreeGrowth
from federation.boosting.label_party import BoostedFit
from federation.boosting.label_totals import LabelTotals
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import Split
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError
from tests.federation.boosting.made_bins import LAYOUTS, Made, made

Vector = npt.NDArray[np.float64]
SETTINGS = BoostedSettings(trees=6, depth=4, min_borrowers=20)


@pytest.fixture(scope="module")
def population() -> Made:
    """Borrowers of a bank and a platform."""
    return made()


@pytest.fixture(scope="module")
def fitted(population: Made) -> BoostedFit:
    """A model that several tests look at."""
    return population.fit(SETTINGS)


def test_sums_of_siblings_make_their_parents_exactly(population: Made) -> None:
    """Level by level, what is taken and what is subtracted are the sums over the members."""
    labels = population.borrowers.labels
    everybody = np.ones(len(labels), dtype=bool)
    weights = class_weights(labels, everybody, SETTINGS)
    found = tree_gradients(
        labels, np.zeros(len(labels)), weights, SETTINGS, 0, np.arange(len(labels))
    )
    growth = TreeGrowth(LabelTotals(found), everybody, SETTINGS, 20)
    looked_at = 0

    def by_hand(
        bins: LocalBins, codes: npt.NDArray[np.uint8], members: npt.NDArray[np.int64]
    ) -> Sums:
        sums = []
        for values in (found.whole_gradient, found.whole_hessian):
            sums.append(
                np.concatenate(
                    [
                        np.bincount(own[members], values[members], feature.bins)
                        for own, feature in zip(codes, bins.layout.features, strict=True)
                    ]
                )
            )
        return sums[0], sums[1]

    while not growth.done:
        for party, bins in population.local.items():
            sums = bins.sums(growth.asked, found)
            growth.take(party, bins.layout, sums)
        chosen = growth.choose()
        for one in chosen:
            for party, bins in population.local.items():
                expected = by_hand(bins, population.codes[party], one.node.members)
                for got, right in zip(one.node.sums[party], expected, strict=True):
                    np.testing.assert_array_equal(got, right)
                looked_at += 1
        splits = [(one.party, Split(one.split.feature, one.split.left)) for one in chosen]
        bits = [population.local[party].bits([split])[0] for party, split in splits]
        growth.split(chosen, list(range(len(chosen))), bits)
    assert looked_at > 10
    # only the smaller of two siblings is asked for
    assert len(growth.tree().nodes) > 15


def test_every_borrower_is_in_one_leaf_whose_value_is_newtons(
    population: Made, fitted: BoostedFit
) -> None:
    """Replayed from the bits: values, covers, and what is added to every score."""
    labels, scores = population.borrowers.labels, np.full(1200, fitted.intercept)
    assert expit(fitted.intercept) == pytest.approx(labels.mean())
    bits = population.bits(fitted)
    for tree in fitted.trees:
        gradient = expit(scores) - labels
        hessian = expit(scores) * (1 - expit(scores))
        inside = {0: np.ones(1200, dtype=bool)}
        in_leaves = np.zeros(1200, dtype=int)
        for place, node in enumerate(tree.nodes):
            members = inside[place]
            assert node.cover == members.sum()
            value = -SETTINGS.rate * gradient[members].sum() / (hessian[members].sum() + 1.0)
            assert node.value == pytest.approx(value, rel=1e-9)
            if node.is_leaf:
                in_leaves += members
                scores = scores + members * node.value
                continue
            left = bits[node.party][node.split]
            inside |= {node.left: members & left, node.right: members & ~left}
            for child in (node.left, node.right):
                assert inside[child].sum() >= 10  # half of the floor, whatever hessians said
        assert (in_leaves == 1).all()
    np.testing.assert_allclose(fitted.scores, scores, atol=1e-9)


def test_scores_are_those_of_the_forest(population: Made, fitted: BoostedFit) -> None:
    """From the bits of all parties' splits; the log-loss falls tree by tree."""
    forest = population.forest(fitted)
    assert forest.depth == 4
    scores = fitted.intercept + forest.scores(population.bits(fitted))
    np.testing.assert_allclose(scores, fitted.scores, atol=1e-12)
    losses = [one.training_loss for one in fitted.rounds]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(log_losses(population.borrowers.labels, scores).mean())
    for one, tree in zip(fitted.rounds, fitted.trees, strict=True):
        assert sum(one.splits.values()) == sum(not node.is_leaf for node in tree.nodes)
    assert {party for one in fitted.rounds for party in one.splits} == {"bank", "platform"}


def test_the_order_of_the_borrowers_changes_nothing(population: Made, fitted: BoostedFit) -> None:
    """An alignment draws it anew each time; another seed grows other trees."""
    again = population.fit(SETTINGS)
    assert again.trees == fitted.trees
    moved = population.shuffled(7).fit(SETTINGS)
    assert moved.splits == fitted.splits
    for one, other in zip(moved.trees, fitted.trees, strict=True):
        for node, right in zip(one.nodes, other.nodes, strict=True):
            assert replace(node, value=right.value) == right
            assert node.value == pytest.approx(right.value, rel=1e-9)
    reseeded = population.fit(replace(SETTINGS, seed=43))
    assert reseeded.trees != fitted.trees


def test_the_floor_holds(population: Made) -> None:
    """No child below half of it; none at all where nobody can reach it."""
    fit = population.fit(replace(SETTINGS, min_borrowers=300, depth=6))
    covers = [node.cover for tree in fit.trees for node in tree.nodes]
    assert min(covers) >= 150
    assert max(len(tree.nodes) for tree in fit.trees) <= 7
    with pytest.raises(InputError, match=r"no split of 1,200 borrowers .* model\.min_borrowers"):
        population.fit(replace(SETTINGS, min_borrowers=601))
    with pytest.raises(InputError, match="no split of 1,200 borrowers reaches the rules"):
        population.fit(replace(SETTINGS, min_split_gain=1e6))


def test_children_weigh_the_least_weight(population: Made) -> None:
    """Sums of hessians, up to what rounding makes of them."""
    settings = replace(SETTINGS, min_child_weight=30.0, trees=1, min_borrowers=1)
    fit = population.fit(settings)
    share = population.borrowers.labels.mean()
    weights = [node.cover * share * (1 - share) for node in fit.trees[0].nodes]
    assert 28 < min(weights) < 60


def test_depth_is_the_depth(population: Made) -> None:
    """Levels of splits."""
    for depth in (1, 2, 3):
        fit = population.fit(replace(SETTINGS, depth=depth, trees=2))
        assert population.forest(fit).depth == depth


def test_early_stopping_keeps_the_best_and_drops_what_followed() -> None:
    """Few borrowers, a high rate: validation soon gets worse."""
    population = made(500, held_out=0.3)
    settings = BoostedSettings(trees=60, depth=4, rate=0.8, min_borrowers=5, early_stopping=5)
    fit = population.fit(settings)
    losses = [one.validation_log_loss for one in fit.rounds]
    assert fit.best_round == 1 + int(np.argmin(losses)) == len(fit.trees)
    assert len(fit.rounds) == fit.best_round + 5 < 60
    held_out = population.borrowers.validation
    loss = log_losses(population.borrowers.labels, fit.scores)[held_out].mean()
    assert loss == pytest.approx(min(losses))
    used = {
        (node.party, node.split) for tree in fit.trees for node in tree.nodes if node.split >= 0
    }
    assert used == {(p, place) for p, splits in fit.splits.items() for place in range(len(splits))}
    np.testing.assert_allclose(
        fit.scores, fit.intercept + population.forest(fit).scores(population.bits(fit)), atol=1e-12
    )
    # they do not train
    assert fit.trees[0].nodes[0].cover == (~held_out).sum()


def test_early_stopping_without_anybody_to_judge_is_refused() -> None:
    """It would keep no tree at all."""
    population = made(500, held_out=0.0)
    with pytest.raises(InputError, match="early_stopping is 5, but no borrower is held out"):
        population.fit(BoostedSettings(min_borrowers=5, early_stopping=5))


def test_classes_may_weigh_the_same(population: Made) -> None:
    """The mean score moves to even odds; ranks stay about as good."""
    labels = population.borrowers.labels
    settings = replace(SETTINGS, trees=15)
    plain, balanced = (
        population.fit(replace(settings, class_weight=weight)) for weight in ("none", "balanced")
    )
    assert plain.intercept < -0.2
    assert balanced.intercept == pytest.approx(0, abs=1e-9)
    assert roc_auc_score(labels, balanced.scores) == pytest.approx(
        roc_auc_score(labels, plain.scores), abs=0.02
    )


def test_a_sample_of_the_borrowers_does_about_as_well(population: Made) -> None:
    """A third of them a tree."""
    labels = population.borrowers.labels
    settings = replace(SETTINGS, trees=15)
    aucs = [
        roc_auc_score(labels, population.fit(replace(settings, row_sample=share)).scores)
        for share in (1.0, 0.33)
    ]
    assert aucs[1] == pytest.approx(aucs[0], abs=0.03)
    assert aucs[1] > 0.7


def xgboosted(x: Vector, labels: Vector, settings: BoostedSettings, **more: object) -> Vector:
    """Log-odds of XGBoost's trees under the same settings."""
    matrix = xgboost.DMatrix(x, label=labels)
    parameters = {
        "objective": "binary:logistic",
        "eta": settings.rate,
        "max_depth": settings.depth,
        "lambda": settings.l2,
        "min_child_weight": settings.min_child_weight,
        "base_score": float(labels.mean()),
        "nthread": 1,
        "tree_method": "exact",
    }
    booster = xgboost.train(parameters | more, matrix, settings.trees)
    scores: Vector = booster.predict(matrix, output_margin=True).astype(np.float64)
    return scores


def few_values(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], Vector]:
    """Six features of eight values, and labels."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 8, (6, count)).astype(np.uint8)
    odds = -1 + 0.4 * (codes[0] > 4) * codes[1] - 0.3 * codes[2] + 0.1 * (codes[3] - 4.0) ** 2
    return codes, (generator.random(count) < expit(odds)).astype(np.float64)


def as_made(codes: npt.NDArray[np.uint8], labels: Vector, layout: BinLayout) -> Made:
    """All features at the bank."""
    borrowers = replace(
        made(10).borrowers,
        labels=labels,
        validation=np.zeros(len(labels), dtype=bool),
        places=np.arange(len(labels)),
    )
    return Made(borrowers, {"bank": LocalBins(layout, codes, codes)}, {"bank": codes}, labels)


PARITY = BoostedSettings(trees=8, depth=4, rate=0.3, min_child_weight=3.0, min_borrowers=1)


@pytest.mark.parametrize("method", ["exact", "hist"])
@pytest.mark.parametrize("seed", [1, 2])
def test_with_fine_gradients_the_trees_are_xgboosts(
    method: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients in 2^30 steps instead of 31: every borrower's score is XGBoost's."""
    monkeypatch.setattr(of_gradients, "VALUE_BOUND", 2**30)
    codes, labels = few_values(3000, seed)
    fit = as_made(codes, labels, BinLayout((FeatureBins(8, 8),) * 6)).fit(PARITY)
    theirs = xgboosted(codes.T.astype(np.float64), labels, PARITY, tree_method=method)
    np.testing.assert_allclose(fit.scores, theirs, atol=2e-5)


def test_missing_values_go_where_xgboost_sends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A special bin each: the side that gains more, or alone."""
    monkeypatch.setattr(of_gradients, "VALUE_BOUND", 2**30)
    codes, labels = few_values(3000, 3)
    missing = np.random.default_rng(4).random(codes.shape) < 0.1
    labels = np.where(missing[0] | missing[2], 1 - labels, labels)
    x = np.where(missing, np.nan, codes).T
    codes[missing] = 8
    fit = as_made(codes, labels, BinLayout((FeatureBins(9, 8),) * 6)).fit(PARITY)
    assert any(8 in split.left for split in fit.splits["bank"])
    np.testing.assert_allclose(fit.scores, xgboosted(x, labels, PARITY), atol=2e-5)


def test_with_31_steps_the_auc_is_xgboosts() -> None:
    """Within 0.002, of borrowers that neither has seen."""
    codes, labels = few_values(12_000, 5)
    settings = replace(PARITY, trees=30, rate=0.15, min_child_weight=5.0)
    half = codes[:, :6000], codes[:, 6000:]
    layout = BinLayout((FeatureBins(8, 8),) * 6)
    population = as_made(half[0], labels[:6000], layout)
    fit = population.fit(settings)
    unseen = LocalBins(layout, *half).test_bits(fit.splits["bank"])
    scores = population.forest(fit).scores({"bank": unseen})
    matrix = xgboost.DMatrix(half[0].T.astype(float), label=labels[:6000])
    booster = xgboost.train(
        {
            "objective": "binary:logistic",
            "eta": settings.rate,
            "max_depth": settings.depth,
            "min_child_weight": settings.min_child_weight,
            "tree_method": "hist",
            "nthread": 1,
        },
        matrix,
        settings.trees,
    )
    theirs = booster.predict(xgboost.DMatrix(half[1].T.astype(float)))
    aucs = [roc_auc_score(labels[6000:], one) for one in (scores, theirs)]
    assert aucs[0] == pytest.approx(aucs[1], abs=0.002)
    assert aucs[0] > 0.7


def test_a_party_without_features_takes_no_part(population: Made) -> None:
    """Nor does it stand in the way."""
    empty = LocalBins(BinLayout(()), np.zeros((0, 1200), np.uint8), np.zeros((0, 3), np.uint8))
    one = replace(population, local={"bank": empty, "platform": population.local["platform"]})
    fit = one.fit(SETTINGS)
    assert fit.splits["bank"] == ()
    bits = one.bits(fit)
    np.testing.assert_allclose(fit.scores, fit.intercept + one.forest(fit).scores(bits), atol=1e-12)
    assert LAYOUTS["bank"].cells == 17

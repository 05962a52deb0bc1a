"""Gradients of a tree: as the loss has them, weighted, sampled and rounded without bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit

from federation.boosting.gradients import (
    VALUE_BOUND,
    TreeGradients,
    class_weights,
    sampling_chances,
    tree_gradients,
)
from federation.boosting.settings import BoostedSettings

Vector = npt.NDArray[np.float64]


def borrowers(count: int, seed: int = 1) -> tuple[Vector, Vector]:
    """Labels and scores."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(-1, 1.5, count)
    return (generator.random(count) < expit(scores)).astype(np.float64), scores


def of_tree(labels: Vector, scores: Vector, tree: int = 0, **changed: object) -> TreeGradients:
    """Gradients of one tree of borrowers who all weigh 1."""
    settings = BoostedSettings(**changed)  # type: ignore[arg-type]
    places = np.arange(len(labels))
    return tree_gradients(labels, scores, np.ones(len(labels)), settings, tree, places)


def test_they_are_the_first_two_derivatives_of_the_loss() -> None:
    """Against finite differences of the log-loss."""
    labels, scores = borrowers(200)
    found = of_tree(labels, scores)

    def losses(at: Vector) -> Vector:
        loss: Vector = np.log1p(np.exp(at)) - labels * at
        return loss

    step = 1e-4
    first = (losses(scores + step) - losses(scores - step)) / (2 * step)
    second = (losses(scores + step) - 2 * losses(scores) + losses(scores - step)) / step**2
    np.testing.assert_allclose(found.gradient, first, atol=1e-6)
    np.testing.assert_allclose(found.hessian, second, atol=1e-6)
    assert found.sampled.all()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 99), st.floats(0.05, 1))
def test_whole_ones_are_a_unit_away_at_most_and_within_the_bound(
    count: int, seed: int, share: float
) -> None:
    """With and without a sample; nothing outside the sample."""
    labels, scores = borrowers(count, seed)
    found = of_tree(labels, scores, seed=seed, row_sample=share)
    for whole, exact, unit in (
        (found.whole_gradient, found.gradient, found.gradient_unit),
        (found.whole_hessian, found.hessian, found.hessian_unit),
    ):
        assert np.abs(whole).max() <= VALUE_BOUND
        assert np.abs(whole * unit - exact).max() < unit * (1 + 1e-9)
        assert not whole[~found.sampled].any()
        assert not exact[~found.sampled].any()
    assert found.whole_hessian.min() >= 0


def test_rounding_is_unbiased() -> None:
    """Over 2,000 trees, each borrower's mean is its gradient within five standard errors."""
    labels, scores = borrowers(40)
    trees = [of_tree(labels, scores, tree) for tree in range(2000)]
    for whole, exact in (("whole_gradient", "gradient"), ("whole_hessian", "hessian")):
        drawn = np.array([getattr(tree, whole) for tree in trees], dtype=np.float64)
        unit = getattr(trees[0], f"{exact}_unit")
        error = drawn.mean(axis=0) - getattr(trees[0], exact) / unit
        assert np.abs(error).max() < 5 * 0.5 / np.sqrt(2000)
        # somewhere it does round both ways
        assert drawn.std(axis=0).max() > 0.3
    # gradients, hessians and trees are rounded by draws of their own
    assert (trees[0].whole_gradient != trees[1].whole_gradient).any()


@settings(deadline=None)
@given(st.integers(2, 200), st.floats(0.01, 0.99), st.floats(0.01, 10), st.integers(0, 99))
def test_chances_are_those_of_the_threshold_that_a_root_search_finds(
    count: int, share: float, l2: float, seed: int
) -> None:
    """Sizes over μ, at most 1, where μ makes their sum the share wanted; none for who is out."""
    generator = np.random.default_rng(seed)
    gradient = generator.normal(size=count) * np.exp(generator.normal(scale=2, size=count))
    hessian = generator.random(count)
    training = generator.random(count) < 0.8
    training[0] = True
    chances = sampling_chances(gradient, hessian, l2, share, training)
    size = np.sqrt(gradient**2 + l2 * hessian**2)[training]
    wanted = share * training.sum()
    mu = brentq(
        lambda mu: np.minimum(1, size / mu).sum() - wanted, size.min() / 2, 2 * size.sum() / wanted
    )
    np.testing.assert_allclose(chances[training], np.minimum(1, size / mu), rtol=1e-6)
    assert chances.sum() == pytest.approx(wanted)
    assert not chances[~training].any()


def test_chances_where_most_gradients_are_nothing() -> None:
    """Fewer borrowers with a gradient than are wanted: each of these is certain."""
    gradient = np.array([3.0, -2.0, 0, 0, 0, 0, 0, 0])
    everybody = np.ones(8, dtype=bool)
    chances = sampling_chances(gradient, np.zeros(8), 1.0, 0.5, everybody)
    np.testing.assert_array_equal(chances, [1, 1, 0, 0, 0, 0, 0, 0])
    assert not sampling_chances(np.zeros(8), np.zeros(8), 1.0, 0.5, everybody).any()


def test_sums_of_a_sample_are_unbiased() -> None:
    """Of half of the borrowers, over 1,500 samples, within five standard errors; 15 % drawn."""
    labels, scores = borrowers(300)
    exact = of_tree(labels, scores)
    half = np.arange(300) < 150
    samples = [of_tree(labels, scores, tree, row_sample=0.15) for tree in range(1500)]
    for name in ("gradient", "hessian"):
        sums = np.array([getattr(one, name)[half].sum() for one in samples])
        error = sums.mean() - getattr(exact, name)[half].sum()
        assert abs(error) < 5 * sums.std() / np.sqrt(1500)
    drawn = np.array([one.sampled.sum() for one in samples])
    assert drawn.mean() == pytest.approx(45, abs=1)


def test_who_does_not_train_has_no_gradient() -> None:
    """Whoever validates weighs nothing."""
    labels, scores = borrowers(100)
    training = np.arange(100) % 4 > 0
    for share in (0.5, 1.0):
        settings = BoostedSettings(row_sample=share)
        weights = class_weights(labels, training, settings)
        found = tree_gradients(labels, scores, weights, settings, 0, np.arange(100))
        assert not found.whole_gradient[~training].any()
        assert not found.whole_hessian[~training].any()
        assert not found.sampled[~training].any()


def test_balanced_classes_weigh_the_same() -> None:
    """Half of all weight each, 1 on average; without it everybody weighs 1."""
    labels, _ = borrowers(500)
    training = np.arange(500) % 5 > 0
    plain = class_weights(labels, training, BoostedSettings())
    np.testing.assert_array_equal(plain, training)
    weights = class_weights(labels, training, BoostedSettings(class_weight="balanced"))
    assert weights[labels == 1].sum() == pytest.approx(training.sum() / 2)
    assert weights[labels == 0].sum() == pytest.approx(training.sum() / 2)
    assert not weights[~training].any()


def test_a_borrower_has_the_same_draws_in_any_order() -> None:
    """Its place decides, not where it stands."""
    labels, scores = borrowers(150)
    order = np.random.default_rng(4).permutation(150)
    settings = BoostedSettings(row_sample=0.6)
    one = tree_gradients(labels, scores, np.ones(150), settings, 3, np.arange(150))
    other = tree_gradients(labels[order], scores[order], np.ones(150), settings, 3, order)
    np.testing.assert_array_equal(one.whole_gradient[order], other.whole_gradient)
    np.testing.assert_array_equal(one.whole_hessian[order], other.whole_hessian)


def test_borrowers_without_any_gradient_left() -> None:
    """Scores beyond all floats: zeros, no division by zero."""
    found = of_tree(np.ones(5), np.full(5, 800.0), row_sample=0.5)
    assert not found.whole_gradient.any()
    assert np.isfinite([found.gradient_unit, found.hessian_unit]).all()

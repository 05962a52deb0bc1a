"""The best split against a search over all splits, with the gain written out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.split_search import Candidate, SplitRules, best_splits

Vector = npt.NDArray[np.float64]


def all_splits(feature: FeatureBins) -> Iterator[tuple[int, ...]]:
    """Every set of bins that may go left."""
    if feature.ordered == 0:
        for size in range(1, feature.bins):
            yield from combinations(range(feature.bins), size)
        return
    special = range(feature.ordered, feature.bins)
    for cut in range(feature.ordered + 1):
        for sides in product((False, True), repeat=len(special)):
            chosen = tuple(place for place, goes in zip(special, sides, strict=True) if goes)
            left = (*range(cut), *chosen)
            if 0 < len(left) < feature.bins:
                yield left


def gain_of(g: Vector, h: Vector, left: tuple[int, ...], l2: float) -> tuple[float, float]:
    """The gain of a split of one feature, and the smaller of its children's hessians."""
    gl, hl = sum(g[b] for b in left), sum(h[b] for b in left)
    gr, hr = g.sum() - gl, h.sum() - hl
    gain = 0.5 * (gl**2 / (hl + l2) + gr**2 / (hr + l2) - g.sum() ** 2 / (h.sum() + l2))
    return float(gain), float(min(hl, hr))


def sums_of(layout: BinLayout, node: list[tuple[int, int]]) -> tuple[Vector, Vector]:
    """Sums over all cells of borrowers that are given as (gradient, hessian), some a cell."""
    size = len(layout.features)
    g, h = np.zeros(layout.cells), np.zeros(layout.cells)
    generator = np.random.default_rng(len(node))
    for gradient, hessian in node:
        for place in range(size):
            cell = generator.integers(layout.offsets[place], layout.offsets[place + 1])
            g[cell] += gradient
            h[cell] += hessian
    return g, h


FEATURES = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(0, 2))
    .filter(lambda shape: sum(shape) > 1)
    .map(lambda shape: FeatureBins(shape[0] + shape[1], shape[0])),
    st.integers(2, 5).map(lambda bins: FeatureBins(bins, 0)),
)
NODES = st.lists(
    st.lists(st.tuples(st.integers(-31, 31), st.integers(0, 31)), min_size=1, max_size=12),
    min_size=1,
    max_size=3,
)


def searched(
    layout: BinLayout,
    sums: list[tuple[Vector, Vector]],
    rules: SplitRules,
    least: float | None = None,
) -> list[Candidate | None]:
    """What the search finds for nodes with these sums."""
    first = slice(0, layout.features[0].bins)
    totals = (
        np.array([g[first].sum() for g, _ in sums]),
        np.array([h[first].sum() for _, h in sums]),
    )
    bound = rules.min_child_weight if least is None else least
    return best_splits(
        np.stack([g for g, _ in sums]),
        np.stack([h for _, h in sums]),
        totals,
        np.full(len(sums), bound),
        layout,
        rules,
    )


@settings(deadline=None)
@given(
    st.lists(FEATURES, min_size=1, max_size=4),
    NODES,
    st.sampled_from([0.1, 1.0, 10.0]),
    st.sampled_from([0.0, 0.5, 5.0]),
)
def test_no_split_is_better_than_the_one_that_was_found(
    features: list[FeatureBins], nodes: list[list[tuple[int, int]]], l2: float, least_gain: float
) -> None:
    """Over all features, all cuts and sides of special bins, all subsets of categories."""
    layout = BinLayout(tuple(features))
    sums = [sums_of(layout, node) for node in nodes]
    found = searched(layout, sums, SplitRules(l2, 0.0, least_gain))
    for (g, h), candidate in zip(sums, found, strict=True):
        best = -np.inf
        for place, feature in enumerate(features):
            own = slice(int(layout.offsets[place]), int(layout.offsets[place + 1]))
            best = max([best, *(gain_of(g[own], h[own], s, l2)[0] for s in all_splits(feature))])
        if candidate is None:
            assert best <= least_gain + 1e-9
            continue
        own = slice(*layout.offsets[[candidate.feature, candidate.feature + 1]])
        assert candidate.left in set(all_splits(features[candidate.feature]))
        gain, _ = gain_of(g[own], h[own], candidate.left, l2)
        assert candidate.gain == pytest.approx(gain, abs=1e-9)
        assert candidate.gain == pytest.approx(best, abs=1e-9)
        assert candidate.gain > least_gain


@settings(deadline=None)
@given(FEATURES, NODES, st.floats(0, 200))
def test_children_weigh_what_they_must(
    feature: FeatureBins, nodes: list[list[tuple[int, int]]], least: float
) -> None:
    """Of an ordered feature the best split that is allowed; of a categorical one an allowed one."""
    layout = BinLayout((feature,))
    sums = [sums_of(layout, node) for node in nodes]
    found = searched(layout, sums, SplitRules(1.0, least, 0.0))
    for (g, h), candidate in zip(sums, found, strict=True):
        gains = [gain_of(g, h, left, 1.0) for left in all_splits(feature)]
        allowed = [gain for gain, weight in gains if weight >= least]
        if candidate is None:
            assert feature.ordered == 0 or max(allowed, default=0) <= 1e-9
            continue
        assert gain_of(g, h, candidate.left, 1.0)[1] >= least
        if feature.ordered:
            assert candidate.gain == pytest.approx(max(allowed), abs=1e-9)


def test_each_node_has_a_floor_of_its_own() -> None:
    """The same sums twice; the second node may not split."""
    layout = BinLayout((FeatureBins(2, 2),))
    g, h = np.array([[5.0, -5.0]] * 2), np.array([[4.0, 4.0]] * 2)
    totals = (g.sum(axis=1), h.sum(axis=1))
    rules = SplitRules(1.0, 0.0, 0.0)
    found = best_splits(g, h, totals, np.array([4.0, 4.1]), layout, rules)
    assert found == [Candidate(5.0, 0, (0,)), None]


def test_a_gain_must_be_above_the_least() -> None:
    """A gain of 5 with a least gain of 5 is none."""
    layout = BinLayout((FeatureBins(2, 2),))
    sums = [(np.array([5.0, -5.0]), np.array([4.0, 4.0]))]
    assert searched(layout, sums, SplitRules(1.0, 0.0, 4.99)) == [Candidate(5.0, 0, (0,))]
    assert searched(layout, sums, SplitRules(1.0, 0.0, 5.0)) == [None]


def test_of_features_that_gain_alike_the_first_is_taken() -> None:
    """Also of cuts of one feature, where a bin is empty."""
    layout = BinLayout((FeatureBins(3, 3), FeatureBins(3, 3)))
    sums = [(np.array([5.0, 0.0, -5.0] * 2), np.array([4.0, 0.0, 4.0] * 2))]
    assert searched(layout, sums, SplitRules(1.0, 1.0, 0.0)) == [Candidate(5.0, 0, (0,))]


def test_missing_and_absent_go_to_the_side_that_gains() -> None:
    """Missing like the low values, absent like the high ones; and missing against all others."""
    layout = BinLayout((FeatureBins(4, 2),))
    g, h = np.array([4.0, -4.0, 3.0, -3.0]), np.ones(4)
    found = searched(layout, [(g, h)], SplitRules(1.0, 0.0, 0.0))[0]
    assert found is not None
    assert (found.feature, found.left) == (0, (0, 2))
    assert found.gain == pytest.approx(0.5 * 49 / 3 * 2)
    alone = BinLayout((FeatureBins(2, 1),))
    sums = [(np.array([2.0, -2.0]), np.ones(2))]
    assert searched(alone, sums, SplitRules(1.0, 0.0, 0.0)) == [Candidate(2.0, 0, (0,))]


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_the_best_subset_of_categories_is_found_under_any_ridge(l2: float) -> None:
    """Bins of unlike weights, empty ones among them, under a ridge that outweighs most."""
    generator = np.random.default_rng(8)
    layout = BinLayout((FeatureBins(6, 0),))
    for _ in range(200):
        h: Vector = (generator.integers(0, 60, 6) * generator.integers(0, 2, 6)).astype(np.float64)
        g: Vector = np.round(generator.normal(size=6) * np.sqrt(h + 0.3) * 3)
        found = searched(layout, [(g, h)], SplitRules(l2, 0.0, 0.0))[0]
        best = max(gain_of(g, h, left, l2)[0] for left in all_splits(layout.features[0]))
        assert (found.gain if found else 0.0) == pytest.approx(max(best, 0.0), abs=1e-9)


def test_a_categorical_split_does_not_tell_which_side_is_the_riskier_one() -> None:
    """The feature's first bin goes left, whether its borrowers default more or less."""
    layout = BinLayout((FeatureBins(4, 0),))
    hessians = np.full((2, 4), 50.0)
    gradients = np.array([[30.0, -10.0, 5.0, -25.0], [-30.0, 10.0, -5.0, 25.0]])
    totals = gradients.sum(axis=1), hessians.sum(axis=1)
    rules = SplitRules(1.0, 1.0, 0.0)
    found = best_splits(gradients, hessians, totals, np.ones(2), layout, rules)
    assert [one.left for one in found if one is not None] == [(0, 2), (0, 2)]

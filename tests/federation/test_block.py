"""A block's numbers against a reference optimiser and its own definition written out densely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize, special

from federation.additive import block as block_module
from federation.additive.block import Block
from federation.additive.feature_party import surrogate_offset
from federation.additive.logistic import sigmoid
from federation.additive.step_length import line_search
from federation.additive.terms import INTERCEPT, Penalty, Term, second_difference_penalty

Vector = npt.NDArray[np.float64]


def population(
    borrowers: int, bins: tuple[int, ...], seed: int = 0
) -> tuple[Block, Vector, Vector]:
    """A block with an intercept and one term for each number of bins, labels, and dense X."""
    generator = np.random.default_rng(seed)
    codes = np.array(
        [np.zeros(borrowers), *[generator.integers(0, count, borrowers) for count in bins]],
        dtype=np.uint16,
    )
    terms = [INTERCEPT] + [
        Term(f"x{index}", count, second_difference_penalty(count, count - 1))
        for index, count in enumerate(bins)
    ]
    block = Block(terms, codes)
    dense = np.concatenate(
        [np.eye(term.bins)[row] for term, row in zip(terms, codes, strict=True)], axis=1
    )
    effects = generator.normal(size=block.size)
    labels = (generator.random(borrowers) < special.expit(dense @ effects - 1)).astype(np.float64)
    return block, labels, dense


def dense_of(penalty: Penalty) -> Vector:
    """P written out."""
    return linalg.block_diag(*penalty.matrices)


def objective(
    dense: Vector, sums: Vector, offset: Vector, weights: Vector, penalty: Vector
) -> tuple[object, object]:
    """F and its gradient, from the definition."""

    def value(w: Vector) -> float:
        losses = weights * np.logaddexp(0.0, offset + dense @ w)
        return float(losses.sum() - sums @ w + 0.5 * w @ penalty @ w)

    def slope(w: Vector) -> Vector:
        gradient: Vector = (
            dense.T @ (weights * special.expit(offset + dense @ w)) - sums + penalty @ w
        )
        return gradient

    return value, slope


@pytest.mark.parametrize("bins", [(2,), (5, 7), (12, 3, 9)])
@pytest.mark.parametrize("noisy", [False, True])
def test_the_fit_is_the_minimum_that_a_reference_optimiser_finds(
    bins: tuple[int, ...], noisy: bool
) -> None:
    """Same weights as scipy's, with offsets, borrower weights, and sums of no labels at all."""
    block, labels, dense = population(900, bins)
    generator = np.random.default_rng(7)
    offset, weights = generator.normal(size=900), generator.uniform(0.2, 2.0, 900)
    sums = dense.T @ (weights * labels)
    if noisy:
        sums = sums + generator.normal(size=block.size) * 4
    penalty = block.penalty(0.3, 2.0)
    penalty_with_floor = dense_of(penalty) + 1e-9 * np.eye(block.size)
    start = generator.normal(size=block.size) * 0.3
    fitted = block.fit(sums, offset, weights, penalty, start, 60)
    value, slope = objective(dense, sums, offset, weights, penalty_with_floor)
    reference = optimize.minimize(
        value, start, jac=slope, method="BFGS", options={"gtol": 1e-7, "maxiter": 5000}
    ).x
    np.testing.assert_allclose(fitted, reference, atol=2e-3)
    assert value(fitted) <= value(reference) + 1e-4  # type: ignore[operator]


def test_every_newton_step_lowers_the_loss() -> None:
    """From a bad start too, with the curvature of a sample only."""
    block, labels, dense = population(3000, (20, 15), seed=2)
    penalty = block.penalty(0.1, 1.0)
    sums = dense.T @ labels
    value, _ = objective(dense, sums, np.zeros(3000), np.ones(3000), dense_of(penalty))
    weights = np.full(block.size, 3.0)
    before = value(weights)  # type: ignore[operator]
    for _ in range(8):
        weights = block.fit(block.sums(labels), 0.0, 1.0, penalty, weights, 1)
        after = value(weights)  # type: ignore[operator]
        assert after <= before + 1e-6
        before = after


def test_curvature_from_a_sample_does_not_move_the_fixed_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gradient is exact, so a sample of 300 reaches the same weights in more steps."""
    block, labels, _ = population(3000, (8, 6), seed=3)
    penalty = block.penalty(0.1, 2.0)
    full = block.fit(block.sums(labels), 0.0, 1.0, penalty, np.zeros(block.size), 80)
    monkeypatch.setattr(block_module, "CURVATURE_SAMPLE", 300)
    monkeypatch.setattr(block_module, "BORROWERS_A_BIN", 1)
    sampled_block = Block(block.terms, block.codes)
    assert sampled_block._sample.borrowers == 300
    sampled = sampled_block.fit(block.sums(labels), 0.0, 1.0, penalty, np.zeros(block.size), 200)
    np.testing.assert_allclose(sampled, full, atol=2e-3)


def test_sums_and_scores_are_those_of_the_dense_matrix() -> None:
    """Xᵀv and X·w."""
    block, _, dense = population(400, (4, 6), seed=4)
    generator = np.random.default_rng(5)
    vector, weights = generator.normal(size=400), generator.normal(size=block.size)
    np.testing.assert_allclose(block.sums(vector), dense.T @ vector, atol=1e-9)
    np.testing.assert_allclose(block.scores(weights), dense @ weights)
    np.testing.assert_allclose(block.scores(weights, block.codes[:, :7]), (dense @ weights)[:7])
    np.testing.assert_array_equal(block.counts, dense.sum(axis=0))


@pytest.mark.parametrize("copies", [1, 4])
def test_the_direction_is_newton_s_nearly(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system of the dense matrix is solved, near-copies of features among its terms or not."""
    monkeypatch.setattr(block_module, "FORCING", 1e-6)
    generator = np.random.default_rng(8)
    codes = np.repeat(generator.integers(0, 9, (3, 700)), copies, axis=0).astype(np.uint8)
    codes[:, :40] = generator.integers(0, 9, (3 * copies, 40))
    terms = [Term(str(at), 9, second_difference_penalty(9, 8)) for at in range(3 * copies)]
    block = Block(terms, codes)
    dense = np.concatenate([np.eye(9)[row] for row in codes], axis=1)
    bend, gradient = generator.uniform(0.01, 0.25, 700), dense.T @ generator.normal(size=700)
    stretch = generator.uniform(1, 2, block.size)
    penalty = block.penalty(0.2, 3.0, stretch)
    exact = np.linalg.solve(dense.T @ (bend[:, None] * dense) + dense_of(penalty), gradient)
    np.testing.assert_allclose(block.direction(gradient, bend, penalty), exact, atol=1e-3)
    assert penalty.along(exact) == pytest.approx(exact @ dense_of(penalty) @ exact)


def test_a_party_without_terms_has_nothing_to_fit() -> None:
    """No sums, no weights, scores of zero."""
    block = Block([], np.zeros((0, 30), dtype=np.uint8))
    assert block.sums(np.ones(30)).shape == (0,)
    assert not block.scores(np.zeros(0)).any()
    fitted = block.fit(np.zeros(0), 0.3, 1.0, block.penalty(1.0, 1.0), np.zeros(0), 3)
    assert fitted.shape == (0,)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(-3, 3),
    st.floats(0, 50),
    st.sampled_from([0.3, 1.0, 2.0, 5.0]),
)
def test_the_line_search_finds_the_minimum_on_the_interval(
    seed: int, pull: float, curvature: float, longest: float
) -> None:
    """Within its tolerance of scipy's bounded minimiser of the loss itself."""
    generator = np.random.default_rng(seed)
    scores, direction = generator.normal(size=200), generator.normal(size=200)
    weights = generator.uniform(0.5, 1.5, 200)
    slope = pull * 20

    def along(alpha: float) -> float:
        """F(α) up to a constant, whose derivative at 0 is `slope`."""
        at_zero = float(np.sum(weights * special.expit(scores) * direction))
        losses = weights * np.logaddexp(0, scores + alpha * direction)
        return float(losses.sum() + alpha * (slope - at_zero) + 0.5 * curvature * alpha**2)

    found = line_search(slope, curvature, scores, direction, weights, longest)
    reference = optimize.minimize_scalar(
        along, bounds=(0.0, longest), method="bounded", options={"xatol": 1e-6}
    ).x
    assert 0 <= found <= longest
    assert found == pytest.approx(reference, abs=2e-3)


def test_the_line_search_stays_where_it_goes_uphill_and_goes_all_the_way_where_it_can() -> None:
    """0 for an ascent direction, the whole interval for a straight descent."""
    zeros = np.zeros(10)
    assert line_search(1.0, 0.0, zeros, np.ones(10), 1.0) == 0.0
    assert line_search(-1.0, 0.0, zeros, zeros, 1.0) == 2.0
    assert line_search(0.0, 1.0, zeros, zeros, 1.0) == 0.0


@st.composite
def coded(draw: st.DrawFn) -> Block:
    """A block of up to five terms with uneven bins, some of them empty."""
    bins = draw(st.lists(st.integers(2, 12), min_size=1, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = [
        np.minimum(generator.geometric(0.3, 150) - 1, count - 1).astype(np.uint16) for count in bins
    ]
    terms = [Term(str(i), count, np.zeros((count, count))) for i, count in enumerate(bins)]
    return Block(terms, np.array(rows))


@settings(max_examples=80, deadline=None)
@given(coded(), st.integers(0, 2**32))
def test_the_sums_that_were_not_sent_follow_from_those_that_were(block: Block, seed: int) -> None:
    """one_hot leaves each term's fullest bin out, complete brings it back: D·v and Σv give Xᵀv."""
    vector = np.random.default_rng(seed).integers(-127, 128, 150)
    matrix, omitted = block.one_hot()
    assert matrix.rows == block.size - len(block.terms)
    assert matrix.bins == tuple(term.bins - 1 for term in block.terms)
    sent = matrix.multiply(vector.astype(np.int64).view(np.uint64)).view(np.int64)
    completed = block.complete(sent.astype(np.float64), float(vector.sum()), omitted)
    np.testing.assert_array_equal(completed, block.sums(vector.astype(np.float64)))
    for index, term in enumerate(block.terms):
        counts = block.counts[block.offsets[index] : block.offsets[index] + term.bins]
        assert counts[omitted[index]] == counts.max()
    assert int(matrix.weights.max(initial=0)) <= 75


def test_one_hot_codes_are_wide_enough() -> None:
    """300 bins do not fit in a byte."""
    codes = np.arange(3000, dtype=np.uint16)[None] % 300
    matrix, omitted = Block([Term("x", 300, np.zeros((300, 300)))], codes).one_hot()
    assert matrix.codes.dtype == np.uint16
    assert omitted.tolist() == [0]
    np.testing.assert_array_equal(matrix.weights, np.full(299, 10))


@pytest.mark.parametrize("ordered", [3, 8, 40])
def test_the_penalty_is_zero_on_straight_lines_and_on_bins_without_order(ordered: int) -> None:
    """Second differences of a line vanish; the missing bin is not smoothed."""
    penalty = second_difference_penalty(ordered + 2, ordered)
    line = np.concatenate([2.0 * np.arange(ordered) - 5, [100.0, -70.0]])
    assert abs(line @ penalty @ line) < 1e-6 * ordered**3
    assert np.linalg.eigvalsh(penalty).min() > -1e-6 * ordered**3


def test_one_strength_means_the_same_smoothness_for_few_bins_and_many() -> None:
    """The penalty of one smooth function is nearly the same at 10, 20, 40 and 160 bins."""

    def of_function(bins: int) -> float:
        weights = np.sin(3 * (np.arange(bins) + 0.5) / bins)
        return float(weights @ second_difference_penalty(bins, bins) @ weights)

    values = [of_function(bins) for bins in (10, 20, 40, 160)]
    integral = 81 * (0.5 - np.sin(6) / 12)  # ∫ (f'')² over [0, 1]
    # without the cube, these would be 4,000 times apart
    assert values[-1] == pytest.approx(integral, rel=0.05)
    assert values[0] == pytest.approx(integral, rel=0.3)
    assert not second_difference_penalty(2, 2).any()


def test_the_ridge_spares_the_intercept_and_a_stretch_acts_on_both_sides() -> None:
    """P scaled by an outer product."""
    block, _, _ = population(100, (3,))
    assert dense_of(block.penalty(0.0, 5.0)).diagonal().tolist() == [0.0, 5.0, 5.0, 5.0]
    stretch = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(
        dense_of(block.penalty(1.0, 5.0, stretch)),
        dense_of(block.penalty(1.0, 5.0)) * np.outer(stretch, stretch),
    )


def test_the_sigmoid_is_scipy_s_at_any_score() -> None:
    """Without a warning beyond the largest float."""
    scores = np.concatenate([np.linspace(-800, 800, 4001), [-1e300, 1e300, -np.inf, np.inf]])
    np.testing.assert_allclose(sigmoid(scores), special.expit(scores), rtol=1e-12, atol=1e-300)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-4, 1 - 1e-4), st.floats(0, 4))
def test_the_surrogate_offset_meets_the_base_rate(seed: int, rate: float, spread: float) -> None:
    """The mean probability at that intercept is the base rate."""
    scores = np.random.default_rng(seed).normal(size=300) * spread
    offset = surrogate_offset(scores, rate)
    assert special.expit(offset + scores).mean() == pytest.approx(rate, abs=1e-6)

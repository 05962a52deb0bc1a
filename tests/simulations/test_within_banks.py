"""AUC within banks: against counting pairs, and where it differs from one over all banks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.metrics import Estimate, auc
from simulations.within_banks import WithinBanks, weighted_mean

BORROWERS = (60, 40, 5, 0)
RNG = np.random.default_rng(3)
LABELS = (RNG.random(105) < 0.3).astype(np.uint8)
LABELS[100:] = 0  # nobody at the third bank defaulted
SCORES = {
    "alone": np.clip(0.4 + 0.15 * LABELS + 0.2 * RNG.normal(size=105), 0.01, 0.99),
    "federated": np.clip(0.4 + 0.25 * LABELS + 0.2 * RNG.normal(size=105), 0.01, 0.99),
}


def by_pairs(scores: npt.NDArray[np.float64]) -> float:
    """The share of pairs of one bank, a defaulter and another, that are ranked rightly."""
    bank = np.repeat(np.arange(len(BORROWERS)), BORROWERS)
    right, pairs = 0.0, 0
    for i in np.flatnonzero(LABELS == 1):
        for j in np.flatnonzero((LABELS == 0) & (bank == bank[i])):
            right += float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])
            pairs += 1
    return right / pairs


def within() -> WithinBanks:
    """The models at four banks, of which one has one class and one no borrower."""
    return WithinBanks.of(LABELS, SCORES, "alone", BORROWERS, 200, seed=1)


def test_auc_within_banks_counts_pairs_of_one_bank() -> None:
    """As counted pair by pair; banks without a pair do not count."""
    for name, scores in SCORES.items():
        measured = within().auc(name)
        assert measured is not None
        assert measured.value == pytest.approx(by_pairs(scores))
        assert measured.low < measured.value < measured.high
    assert [bool(own) for own in within().compared] == [True, True, False, False]


def test_gain_is_the_difference_to_the_reference() -> None:
    """Of the same pairs; the reference has none to itself."""
    gain, alone, federated = (
        within().gain("federated"),
        within().auc("alone"),
        within().auc("federated"),
    )
    assert gain is not None
    assert alone is not None
    assert federated is not None
    assert gain.value == pytest.approx(federated.value - alone.value)
    assert within().gain("alone") is None


def test_a_score_that_only_tells_banks_apart_ranks_nobody_within_them() -> None:
    """One score a bank: a near perfect ranking of all, a coin toss within each."""
    labels = np.array([1] * 90 + [0] * 10 + [1] * 10 + [0] * 90, dtype=np.uint8)
    scores = np.repeat([0.9, 0.1], 100)
    measured = WithinBanks.of(labels, {"alone": scores}, "alone", (100, 100), 50, seed=1)
    assert auc(labels, scores) == pytest.approx(0.9)
    found = measured.auc("alone")
    assert found is not None
    assert found.value == pytest.approx(0.5)


def test_no_bank_with_both_classes_has_no_auc() -> None:
    """None, not a number that means nothing."""
    labels = np.zeros(10, dtype=np.uint8)
    measured = WithinBanks.of(labels, {"alone": np.full(10, 0.2)}, "alone", (5, 5), 10, seed=1)
    assert measured.auc("alone") is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0.01, 100)),
        min_size=1,
        max_size=8,
    )
)
def test_a_mean_lies_between_and_is_as_sure_as_its_parts(
    banks: list[tuple[float, float, float, float]],
) -> None:
    """Between the smallest and the largest estimate, with no wider an interval than the widest."""
    estimates = [Estimate(value, value - low, value + high) for value, low, high, _ in banks]
    mean = weighted_mean(estimates, [weight for *_, weight in banks])
    values = [one.value for one in estimates]
    assert min(values) - 1e-9 <= mean.value <= max(values) + 1e-9
    assert 0 <= mean.value - mean.low <= max(low for _, low, _, _ in banks) + 1e-9
    assert 0 <= mean.high - mean.value <= max(high for _, _, high, _ in banks) + 1e-9


def test_four_equal_banks_halve_the_interval() -> None:
    """Independent errors: the interval shrinks with the root of the number of banks."""
    mean = weighted_mean([Estimate(0.7, 0.66, 0.72)] * 4, [1.0] * 4)
    assert mean.value == pytest.approx(0.7)
    assert mean.low == pytest.approx(0.68)
    assert mean.high == pytest.approx(0.71)


def test_nothing_to_weigh_is_refused() -> None:
    """No estimate, or no weight."""
    with pytest.raises(ValueError, match="positive weight"):
        weighted_mean([], [])
    with pytest.raises(ValueError, match="positive weight"):
        weighted_mean([Estimate(0.7, 0.6, 0.8)], [0.0])

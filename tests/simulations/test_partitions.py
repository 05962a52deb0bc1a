"""Partitions of rows among simulated banks: complete, with enough of each class, reproducible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from simulations import partitions
from simulations.partitions import Assignment, Labels

Divide = Callable[[Labels, npt.NDArray[Any], int, np.random.Generator, int], Assignment]


def dirichlet(alpha: float, by_class: bool = False) -> Divide:
    """Label skew with this concentration."""
    draw = partitions.dirichlet_by_class if by_class else partitions.dirichlet
    return lambda labels, values, banks, rng, least: draw(
        labels, banks, rng, alpha=alpha, minimum=least
    )


WAYS: dict[str, Divide] = {
    "iid": lambda labels, values, banks, rng, least: partitions.iid(
        labels, banks, rng, minimum=least
    ),
    "dirichlet 0.05": dirichlet(0.05),
    "dirichlet 0.3": dirichlet(0.3),
    "dirichlet 100": dirichlet(100.0),
    "dirichlet by class 0.05": dirichlet(0.05, by_class=True),
    "dirichlet by class 0.3": dirichlet(0.3, by_class=True),
    "category": lambda labels, values, banks, rng, least: partitions.by_category(
        values, labels, banks, rng, minimum=least
    ),
    "text category": lambda labels, values, banks, rng, least: partitions.by_category(
        values.astype(str), labels, banks, rng, minimum=least
    ),
    "quantile": lambda labels, values, banks, rng, least: partitions.by_quantile(
        values, labels, banks, rng, minimum=least
    ),
}


@pytest.mark.parametrize("way", WAYS)
@given(
    banks=st.integers(1, 8),
    minimum=st.integers(0, 12),
    spare=st.tuples(st.integers(0, 300), st.integers(0, 60)),
    distinct=st.integers(1, 12),
    seed=st.integers(0, 2**32),
)
def test_every_row_has_one_bank_and_every_bank_has_enough(
    way: str, banks: int, minimum: int, spare: tuple[int, int], distinct: int, seed: int
) -> None:
    """Whatever the skew, no row is lost and no bank is left without a class; a seed repeats it."""
    draw = np.random.default_rng(seed)
    needed = banks * max(minimum, 1)
    labels = np.repeat([0, 1], [needed + spare[0], needed + spare[1]]).astype(np.uint8)
    labels = draw.permutation(labels)
    values = draw.integers(0, distinct, len(labels)) ** 2
    found = WAYS[way](labels, values, banks, np.random.default_rng(seed), minimum)
    assert found.dtype == np.int64
    assert found.shape == labels.shape
    assert set(np.unique(found)) <= set(range(banks))
    for label in (0, 1):
        assert (np.bincount(found[labels == label], minlength=banks) >= minimum).all()
    again = WAYS[way](labels, values, banks, np.random.default_rng(seed), minimum)
    np.testing.assert_array_equal(again, found)


def population(rows: int = 8_000) -> Labels:
    """Labels of which a fifth are defaults."""
    return (np.random.default_rng(1).random(rows) < 0.2).astype(np.uint8)


def default_rates(labels: Labels, assignment: Assignment, banks: int) -> list[float]:
    """The share of defaults at each bank."""
    return [float(labels[assignment == bank].mean()) for bank in range(banks)]


def test_a_smaller_alpha_skews_more_and_sizes_stay_equal() -> None:
    """Hsu, Qi & Brown: at a large alpha as good as IID."""
    labels = population()
    spreads = []
    for alpha in (0.1, 1.0, 10.0, 1e6):
        found = [
            partitions.dirichlet(labels, 4, np.random.default_rng(seed), alpha=alpha)
            for seed in range(20)
        ]
        spreads.append(np.mean([np.std(default_rates(labels, one, 4)) for one in found]))
        for one in found:
            assert np.abs(np.bincount(one, minlength=4) - 2_000).max() <= 4 * partitions.MINIMUM
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > 0.25
    assert spreads[-1] < 0.005


def test_label_shares_have_the_mean_and_variance_of_their_dirichlet() -> None:
    """A bank's share is Beta(alpha p, alpha (1 - p)): its variance is p (1 - p) / (alpha + 1)."""
    labels = (np.arange(24_000) % 2).astype(np.uint8)
    shares = []
    for seed in range(300):
        found = partitions.dirichlet(labels, 24, np.random.default_rng(seed), alpha=3.0, minimum=0)
        # A bank in the middle of the draw: no class is used up yet.
        shares.append(default_rates(labels, found, 24)[7])
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert np.var(shares) == pytest.approx(0.25 / 4, rel=0.25)


def test_skew_by_class_skews_sizes_too() -> None:
    """Each class is spread on its own."""
    labels = population()
    sizes = [
        np.bincount(
            partitions.dirichlet_by_class(labels, 4, np.random.default_rng(seed), alpha=0.3)
        )
        for seed in range(20)
    ]
    assert np.mean([size.max() / size.min() for size in sizes]) > 3


def test_categories_stay_whole_and_the_largest_are_cut_if_there_are_too_few() -> None:
    """A bank's categories are its own, as far as the minimum allows."""
    labels = population()
    values = np.random.default_rng(2).choice(
        ["a", "b", "c", "d", "e"], 8_000, p=[0.5, 0.2, 0.1, 0.1, 0.1]
    )
    rng = np.random.default_rng(3)
    found = partitions.by_category(values, labels, 3, rng)
    assert all(len(set(found[values == value])) == 1 for value in "abcde")
    sizes = np.bincount(found)
    assert sizes.max() == (values == "a").sum()
    assert sizes.min() > 1_500
    two = partitions.by_category(values == "a", labels, 4, rng)
    assert np.bincount(two).min() > 1_900
    assert all(len(set(values[two == bank] == "a")) == 1 for bank in range(4))


def test_quantiles_are_ranges_of_like_size() -> None:
    """Banks follow each other by the attribute; equal values stay together."""
    labels = population()
    values = np.random.default_rng(2).gamma(2, 20, 8_000).round()
    found = partitions.by_quantile(values, labels, 4, np.random.default_rng(3))
    for bank in range(3):
        assert values[found == bank].max() < values[found == bank + 1].min()
    assert np.bincount(found).min() > 1_700
    ties = np.r_[np.zeros(7_000), np.arange(1_000)]
    assert np.bincount(partitions.by_quantile(ties, labels, 4, np.random.default_rng(3))).min() > 0


def test_further_rows_follow_the_division() -> None:
    """In each stratum the banks' shares are the same; an unknown value goes to its neighbour."""
    labels = population()
    rng = np.random.default_rng(4)
    assignment = partitions.dirichlet(labels, 4, rng, alpha=0.3)
    others = population(2_000)
    followed = partitions.follow(labels, assignment, others, 4, rng)
    for label in (0, 1):
        ours = np.bincount(assignment[labels == label], minlength=4) / (labels == label).sum()
        theirs = np.bincount(followed[others == label], minlength=4) / (others == label).sum()
        np.testing.assert_allclose(theirs, ours, atol=0.004)
    ages = np.array([20, 20, 40, 40])
    at = np.array([0, 0, 1, 1])
    assert partitions.follow(ages, at, np.array([20, 30, 40, 99]), 2, rng).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda y, rng: partitions.iid(y, 90, rng),
            "defaults among 8000 rows cannot give 90 banks",
        ),
        (lambda y, rng: partitions.iid(y, 0, rng), "0 banks; at least one is right"),
        (
            lambda y, rng: partitions.dirichlet(y, 4, rng, alpha=0.0),
            "alpha is 0; a positive number is right",
        ),
        (
            lambda y, rng: partitions.dirichlet_by_class(y, 4, rng, alpha=float("nan")),
            "alpha is nan; a positive number is right",
        ),
        (
            lambda y, rng: partitions.by_category(y, np.zeros_like(y), 2, rng),
            "0 defaults among 8000 rows cannot give 2 banks 20 each; ask for fewer banks",
        ),
    ],
)
def test_what_can_not_be_divided_is_refused(
    ask: Callable[[Labels, np.random.Generator], Assignment], sentence: str
) -> None:
    """One sentence, and what would be right."""
    with pytest.raises(InputError, match=sentence):
        ask(population(), np.random.default_rng(0))

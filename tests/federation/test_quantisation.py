"""Stochastic rounding: never more than a unit away, right on average, integers untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from federation.quantisation import RoundingDraws, stochastic_round


@settings(max_examples=80)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_number_becomes_one_of_its_two_neighbours(values: list[float]) -> None:
    """Rounded down or up, never elsewhere; whole numbers stay."""
    array = np.array(values)
    draws = np.random.default_rng(len(values)).random(len(values))
    rounded = stochastic_round(array, draws)
    assert rounded.dtype == np.int64
    assert np.all((rounded == np.floor(array)) | (rounded == np.ceil(array)))
    np.testing.assert_array_equal(stochastic_round(np.floor(array), draws), np.floor(array))


@pytest.mark.parametrize("fraction", [0.001, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("whole", [-3.0, 0.0, 126.0])
def test_rounding_is_unbiased(whole: float, fraction: float) -> None:
    """Up exactly as often as the fraction says (binomial test)."""
    count = 20_000
    draws = RoundingDraws(seed=int(1000 * fraction)).of_round(1, count)
    up = int((stochastic_round(np.full(count, whole + fraction), draws) - whole).sum())
    assert stats.binomtest(up, count, fraction).pvalue > 1e-7


def test_a_borrower_has_the_same_draw_in_every_run_and_another_in_every_round() -> None:
    """Whatever order an alignment drew: its place decides."""
    places = np.random.default_rng(1).permutation(500)
    straight, shuffled = RoundingDraws(7), RoundingDraws(7, places)
    first = straight.of_round(1, 500)
    np.testing.assert_array_equal(shuffled.of_round(1, 500), first[places])
    np.testing.assert_array_equal(straight.of_round(1, 500), first)
    assert np.abs(np.corrcoef(first, straight.of_round(2, 500))[0, 1]) < 0.3
    assert not np.array_equal(first, RoundingDraws(8).of_round(1, 500))
    assert ((first >= 0) & (first < 1)).all()
    assert stochastic_round(np.zeros(0), np.zeros(0)).shape == (0,)

"""Stochastic rounding: never more than a unit away, right on average, integers untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from federation.quantisation import stochastic_round


@settings(max_examples=80)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_number_becomes_one_of_its_two_neighbours(values: list[float]) -> None:
    """Rounded down or up, never elsewhere; whole numbers stay."""
    array = np.array(values)
    rounded = stochastic_round(array)
    assert rounded.dtype == np.int64
    assert np.all((rounded == np.floor(array)) | (rounded == np.ceil(array)))
    np.testing.assert_array_equal(stochastic_round(np.floor(array)), np.floor(array))


@pytest.mark.parametrize("fraction", [0.001, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("whole", [-3.0, 0.0, 126.0])
def test_rounding_is_unbiased(whole: float, fraction: float) -> None:
    """Up exactly as often as the fraction says (binomial test)."""
    count = 20_000
    up = int((stochastic_round(np.full(count, whole + fraction)) - whole).sum())
    assert stats.binomtest(up, count, fraction).pvalue > 1e-7


def test_the_shape_is_kept_and_draws_are_independent() -> None:
    """Two roundings of one array differ."""
    array = np.full((20, 30), 0.5)
    first, second = stochastic_round(array), stochastic_round(array)
    assert first.shape == array.shape
    assert np.any(first != second)
    assert stochastic_round(np.zeros(0)).shape == (0,)

"""Vectors in slots: what goes in comes out of the sum, and what can't is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregation import VectorLayout
from federation.errors import InputError, ProtocolError

MODULUS = 2**50


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 200),
    clients=st.integers(1, 40),
    fields=st.sampled_from([1, 2]),
    bits=st.integers(30, 52),
    seed=st.integers(0, 2**32),
)
def test_sums_of_packed_integers_unpack(
    length: int, clients: int, fields: int, bits: int, seed: int
) -> None:
    """The sum of all clients' slots holds the sums of their integers, also at the largest."""
    layout = VectorLayout(length, 2**bits, clients, fields)
    generator = np.random.default_rng(seed)
    integers = generator.integers(0, layout.levels + 1, (clients, length), dtype=np.uint64)
    integers[:, 0] = layout.levels
    total = np.sum([layout.pack(each) for each in integers], axis=0, dtype=np.uint64)
    assert total.shape == (layout.slots,)
    assert int(total.max()) < 2**bits
    unpacked = layout.unpack(total, clients, step=1)
    np.testing.assert_array_equal(unpacked, integers.sum(axis=0, dtype=np.uint64))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=50),
    clients=st.integers(1, 20),
    stochastic=st.booleans(),
)
def test_quantised_sums_are_within_half_a_step(
    values: list[float], clients: int, stochastic: bool
) -> None:
    """Each value is off by half a step (a whole one if rounded stochastically), no more."""
    layout = VectorLayout(len(values), MODULUS, clients)
    generator = np.random.default_rng(1) if stochastic else None
    quantised = layout.quantise(np.array(values), -2.0, 2.0, generator)
    inside = np.clip(values, -2.0, 2.0)
    step = 4.0 / layout.levels
    tolerance = step * (1.0 if stochastic else 0.5) + 1e-12
    np.testing.assert_allclose(quantised.encoded(), inside, rtol=0, atol=tolerance)
    assert quantised.clipped == sum(abs(value) > 2.0 for value in values)
    sums = np.sum([quantised.integers] * clients, axis=0, dtype=np.uint64)
    opened = layout.dequantise(sums, -2.0, 2.0, clients)
    np.testing.assert_allclose(opened, clients * quantised.encoded(), rtol=1e-9, atol=1e-9)


def test_the_remainder_makes_up_for_clipping_and_rounding() -> None:
    """With error feedback, what many rounds opened comes to what was meant, but for one round."""
    layout = VectorLayout(4, 2**30, 4)
    meant = np.array([0.3, -0.01, 0.0017, 1.9])
    remainder, opened = np.zeros(4), np.zeros(4)
    for round_ in range(20):
        wanted = meant + remainder if round_ < 10 else remainder
        quantised = layout.quantise(wanted, -1.0, 1.0)
        remainder = wanted - quantised.encoded()
        opened += layout.dequantise(quantised.integers, -1.0, 1.0, 1)
    np.testing.assert_allclose(opened, 10 * meant, atol=2.0 / layout.levels)


def test_stochastic_rounding_is_unbiased() -> None:
    """Over many draws, a value between two levels is met on average."""
    layout = VectorLayout(100_000, 2**30, 100)
    step = 2.0 / layout.levels
    value = -1.0 + 17.3 * step
    encoded = layout.quantise(
        np.full(100_000, value), -1.0, 1.0, np.random.default_rng(3)
    ).encoded()
    assert abs(encoded.mean() - value) < 6 * step * np.sqrt(0.21 / 100_000)


def test_zero_is_a_level_of_a_centred_range() -> None:
    """A parameter that nobody moved stays where it is, but for a double's rounding."""
    layout = VectorLayout(3, MODULUS, 7)
    quantised = layout.quantise(np.zeros(3), -0.1, 0.1)
    assert quantised.integers.tolist() == [layout.levels // 2] * 3
    np.testing.assert_allclose(quantised.encoded(), 0.0, atol=1e-16)


def test_ranges_may_differ_from_value_to_value() -> None:
    """Statistics of several units go in one vector, each over its own public range."""
    low, high = np.array([0.0, -1e6]), np.array([1.0, 1e6])
    layout = VectorLayout(2, MODULUS, 5, fields=1)
    values = np.array([0.25, -123_456.75])
    quantised = layout.quantise(values, low, high)
    np.testing.assert_allclose(quantised.encoded(), values, rtol=1e-9)
    np.testing.assert_allclose(
        layout.dequantise(3 * quantised.integers, low, high, 3), 3 * values, rtol=1e-9
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    """NaN and infinity get a sentence with their number and place."""
    layout = VectorLayout(4, MODULUS, 3)
    with pytest.raises(InputError, match="2 of 4 values .* value 1 the first"):
        layout.quantise(np.array([0.0, bad, 0.5, bad]), -1.0, 1.0)


def test_counts_have_a_slot_each() -> None:
    """Counts beyond 2^32 from many clients sum exactly."""
    layout = VectorLayout(2, MODULUS, 1_000, fields=1, largest=2**36)
    counts = np.array([2**36, 5], dtype=np.uint64)
    total = layout.pack(counts) * np.uint64(1_000)
    np.testing.assert_array_equal(layout.unpack(total, 1_000, 0), counts * np.uint64(1_000))


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    """The sentence has the clients, and the values, that would fit."""
    with pytest.raises(InputError, match="at most 15 clients, or values of up to 1023, would"):
        VectorLayout(10, 2**32, 64, fields=2, largest=4_369)
    with pytest.raises(InputError, match="1000 clients' values of up to 2 do not fit"):
        VectorLayout(10, 2**20, 1_000)


@pytest.mark.parametrize("fields", [1, 2])
def test_sums_no_honest_clients_could_reach_are_refused(fields: int) -> None:
    """A field above count times the largest level shows that a client cheated; so does padding."""
    layout = VectorLayout(3, MODULUS, 10, fields)
    honest = layout.pack(np.full(3, layout.levels, dtype=np.uint64))
    layout.unpack(honest * np.uint64(4), 4, step=6)
    with pytest.raises(ProtocolError, match="a client encoded values out of range in step 6"):
        layout.unpack(honest * np.uint64(5), 4, step=6)
    garbage = np.random.default_rng(1).integers(0, MODULUS, layout.slots, dtype=np.uint64)
    with pytest.raises(ProtocolError, match="out of range in step 7"):
        layout.unpack(garbage, 4, step=7)
    if fields == 2:
        padded = honest.copy()
        padded[-1] += np.uint64(layout.radix)
        with pytest.raises(ProtocolError, match="out of range"):
            layout.unpack(padded, 4, step=7)


def test_misuse_is_told() -> None:
    """Wrong shapes, levels and ranges are programmer errors."""
    layout = VectorLayout(3, MODULUS, 10)
    with pytest.raises(ValueError, match="at most"):
        layout.pack(np.full(3, layout.levels + 1, dtype=np.uint64))
    with pytest.raises(ValueError, match="uint64"):
        layout.pack(np.zeros(4, dtype=np.uint64))
    with pytest.raises(ValueError, match="low end below"):
        layout.quantise(np.zeros(3), 1.0, 1.0)
    with pytest.raises(ValueError, match="where the layout holds"):
        layout.quantise(np.zeros(2), -1.0, 1.0)
    with pytest.raises(ValueError, match="slots and 11 clients"):
        layout.unpack(np.zeros(2, dtype=np.uint64), 11, 0)
    with pytest.raises(ValueError, match="one or two fields"):
        VectorLayout(3, MODULUS, 10, fields=3)

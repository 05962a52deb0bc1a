"""64-bit words in fewer bytes: planes, rounding, exact products, wrong lengths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.linear_maps.words import (
    PackedWords,
    dropped_bits,
    planes_of,
    round_words,
    ternary_times,
)

words = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40)
sizes = st.integers(1, 8)


@given(words, sizes)
def test_packed_words_come_back_rounded_to_the_nearest(values: list[int], size: int) -> None:
    """Through bytes: off by half of what was dropped at most, modulo 2^64."""
    array = np.array(values, dtype=np.uint64)
    data = PackedWords.of(array, size).to_bytes()
    assert len(data) == size * len(values)
    read = PackedWords.from_bytes(data, array.shape, size, "words").words()
    unit = 1 << dropped_bits(size)
    for word, back in zip(values, read.tolist(), strict=True):
        assert back % unit == 0
        off = (back - word + 2**63) % 2**64 - 2**63
        assert -unit // 2 <= off <= unit // 2
    assert np.array_equal(read, round_words(array, size))
    assert np.array_equal(PackedWords.of(read, size).words(), read)


def test_a_carry_out_of_the_top_is_let_go() -> None:
    """The word below zero rounds to zero, which is next to it modulo 2^64."""
    top = np.array([2**64 - 1, 2**64 - 2**15, 2**64 - 2**15 - 1], dtype=np.uint64)
    assert round_words(top, 6).tolist() == [0, 0, 2**64 - 2**16]


@given(sizes)
def test_planes_cover_the_kept_bytes_once(size: int) -> None:
    """Highest first, down to the lowest kept byte."""
    covered = [
        byte
        for width, shift in planes_of(size)
        for byte in range(shift // 8 + width, shift // 8, -1)
    ]
    assert covered == list(range(8, 8 - size, -1))


@pytest.mark.parametrize("size", [0, 9, -1])
def test_no_other_width_is_packed(size: int) -> None:
    """1 to 8 bytes."""
    with pytest.raises(ValueError, match="1 to 8 bytes"):
        PackedWords.empty((1,), size)


@given(words, sizes, st.sampled_from([-1, 1, 8]))
def test_another_length_is_refused_by_name(values: list[int], size: int, more: int) -> None:
    """Truncated and lengthened."""
    data = PackedWords.of(np.array(values, dtype=np.uint64), size).to_bytes()
    changed = data[:more] if more < 0 else data + bytes(more)
    with pytest.raises(ProtocolError, match=f"the hint holds {len(changed)} bytes where"):
        PackedWords.from_bytes(changed, (len(values),), size, "the hint")


def exact(matrix: npt.NDArray[np.generic], vector: npt.NDArray[np.generic]) -> list[int]:
    """The product in Python integers, modulo 2^64."""
    return [int(total) for total in matrix.astype(object) @ vector.astype(object) % 2**64]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32), st.integers(1, 300), st.sampled_from([1, 5, 2048]), sizes, st.booleans()
)
def test_products_are_exact(seed: int, rows: int, columns: int, size: int, extreme: bool) -> None:
    """Of words and of small integers, random or all at their largest."""
    generator = np.random.default_rng(seed)
    rows = rows if columns < 100 else rows % 7 + 1
    matrix = generator.integers(0, 2**64, (rows, columns), dtype=np.uint64)
    small = generator.integers(-1, 2, (rows, columns)).astype(np.int8)
    if extreme:
        matrix[:], small[:] = 2**64 - 1, -1
        matrix = np.minimum(matrix, np.uint64(2**64 - (1 << dropped_bits(size))))
    packed = PackedWords.of(matrix, size)
    products = packed.times_ternary(small[:2].T)
    back = ternary_times(small, PackedWords.of(matrix[:2], size))
    for index, factor in enumerate(small[:2]):
        assert products[:, index].tolist() == exact(packed.words(), factor)
        assert back[index].tolist() == exact(small, packed.words()[index])


def test_rows_are_put_where_they_belong() -> None:
    """A hint arrives in blocks."""
    array = np.arange(12, dtype=np.uint64).reshape(4, 3) << np.uint64(24)
    whole = PackedWords.empty((4, 3), 5)
    whole.put(0, PackedWords.of(array[:1], 5))
    whole.put(1, PackedWords.of(array[1:], 5))
    assert np.array_equal(whole.words(), array)


def test_repr_shows_sizes_only() -> None:
    """A decrypted sum or a hint does not reach a log through repr()."""
    packed = PackedWords.of(np.array([123456789], dtype=np.uint64), 4)
    assert repr(packed) == "PackedWords(word_bytes=4, shape=(1,))"

"""One-hot bins as a matrix: products, weights, the commitment, and codes that can't change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.linear_maps.one_hot import OneHotMatrix


def dense(matrix: OneHotMatrix) -> npt.NDArray[np.int64]:
    """D written out from the codes' definition."""
    rows = [
        codes == row
        for codes, bins in zip(matrix.codes, matrix.bins, strict=True)
        for row in range(bins)
    ]
    return np.array(rows, dtype=np.int64).reshape(matrix.rows, matrix.columns)


@st.composite
def matrices(draw: st.DrawFn) -> OneHotMatrix:
    """Small matrices, empty rows and features without rows included."""
    bins = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    columns = draw(st.integers(1, 30))
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    codes = [
        draw(st.lists(st.integers(0, most), min_size=columns, max_size=columns)) for most in bins
    ]
    return OneHotMatrix(np.array(codes, dtype=dtype), bins)


@given(matrices(), st.integers(0, 2**32))
@settings(deadline=None)
def test_products_wrap_modulo_two_to_the_64(matrix: OneHotMatrix, seed: int) -> None:
    """D·v is that of Python integers modulo 2^64, for one vector and for several."""
    values = np.random.default_rng(seed).integers(0, 2**64, (matrix.columns, 2), dtype=np.uint64)
    exact = dense(matrix).astype(object) @ values.astype(object) % 2**64
    assert np.array_equal(matrix.multiply(values), exact.astype(np.uint64))
    assert np.array_equal(matrix.multiply(values[:, 0]), exact[:, 0].astype(np.uint64))


@given(matrices())
@settings(deadline=None)
def test_weights_and_members_are_those_of_the_codes(matrix: OneHotMatrix) -> None:
    """Every row's members are the borrowers with its code, in order."""
    written = dense(matrix)
    assert np.array_equal(matrix.weights, written.sum(axis=1))
    members = matrix.members()
    assert len(members) == matrix.rows
    for row, borrowers in zip(written, members, strict=True):
        assert np.array_equal(np.flatnonzero(row), borrowers)


def test_codes_cannot_change() -> None:
    """The matrix keeps a copy that nobody can make writable; the caller's array is left alone."""
    codes = np.zeros((2, 10), dtype=np.uint8)
    matrix = OneHotMatrix(codes[:, :5], (1, 1))
    codes[:] = 1
    assert not matrix.codes.any()
    with pytest.raises(ValueError, match="read-only"):
        matrix.codes[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        matrix.codes.setflags(write=True)
    with pytest.raises(AttributeError):
        matrix.codes = codes  # type: ignore[misc]


def test_the_commitment_depends_on_every_part() -> None:
    """Another code, another number of bins, another shape or another salt: another commitment."""
    codes = np.arange(6, dtype=np.uint8).reshape(2, 3) % 3
    changed = codes.copy()
    changed[1, 2] = 1
    commitments = {
        OneHotMatrix(codes, (2, 2)).digest(b"salt"),
        OneHotMatrix(changed, (2, 2)).digest(b"salt"),
        OneHotMatrix(codes, (2, 3)).digest(b"salt"),
        OneHotMatrix(codes.reshape(1, 6), (2,)).digest(b"salt"),
        OneHotMatrix(codes.reshape(3, 2), (2, 2, 2)).digest(b"salt"),
        OneHotMatrix(codes, (2, 2)).digest(b"other"),
    }
    assert len(commitments) == 6
    wide = OneHotMatrix(codes.astype(np.uint16), (2, 2))
    assert wide.digest(b"salt") in commitments


@pytest.mark.parametrize(
    ("codes", "bins", "error"),
    [
        (np.zeros((1, 4), dtype=np.int64), (1,), TypeError),
        (np.zeros((1, 4), dtype=np.float64), (1,), TypeError),
        (np.zeros(4, dtype=np.uint8), (1,), ValueError),
        (np.zeros((2, 4), dtype=np.uint8), (1,), ValueError),
        (np.full((1, 4), 2, dtype=np.uint8), (1,), ValueError),
        (np.zeros((1, 4), dtype=np.uint8), (-1,), ValueError),
    ],
)
def test_codes_that_do_not_fit_are_refused(
    codes: npt.NDArray[np.uint8], bins: tuple[int, ...], error: type[Exception]
) -> None:
    """Wrong dtype, shape, or a code above the feature's last."""
    with pytest.raises(error):
        OneHotMatrix(codes, bins)


@pytest.mark.parametrize(
    "vector", [np.zeros(4, dtype=np.int64), np.zeros(3, dtype=np.uint64), np.zeros(4)]
)
def test_vectors_that_do_not_fit_are_refused(vector: npt.NDArray[np.uint64]) -> None:
    """Only uint64 of the right length is multiplied."""
    with pytest.raises(ValueError, match="4 uint64 is needed"):
        OneHotMatrix(np.zeros((1, 4), dtype=np.uint8), (1,)).multiply(vector)


def test_repr_does_not_show_the_codes() -> None:
    """A party's bin codes don't reach a log through repr()."""
    assert repr(OneHotMatrix(np.ones((1, 4), dtype=np.uint8), (2,))) == "OneHotMatrix(bins=(2,))"

"""Joined codes: sums and scores of several features at once are those of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.linear_maps import joined_codes
from federation.linear_maps.joined_codes import JoinedCodes


@st.composite
def coded(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """Codes of up to seven features of 1 to 300 bins, few borrowers or more than a step."""
    bins = draw(st.lists(st.sampled_from([1, 2, 3, 16, 33, 256, 300]), max_size=7))
    borrowers = draw(st.sampled_from([1, 50, 5000, joined_codes._LOOKUP_STEP + 7]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.uint8 if max(bins, default=0) <= 256 else draw(st.just(np.uint16))
    codes = [generator.integers(0, count, borrowers) for count in bins]
    return np.array(codes, dtype=dtype).reshape(len(bins), borrowers), bins


def apart(codes: np.ndarray, bins: list[int], vector: np.ndarray) -> np.ndarray:
    """Sums feature by feature."""
    parts = [
        np.bincount(row, weights=vector, minlength=count)
        for row, count in zip(codes, bins, strict=True)
    ]
    return np.concatenate([np.zeros(0), *parts])


@settings(max_examples=40, deadline=None)
@given(coded(), st.integers(0, 2**32))
def test_joined_sums_and_scores_are_those_of_each_feature(
    drawn: tuple[np.ndarray, list[int]], seed: int
) -> None:
    """Whatever was joined, for all borrowers and for some."""
    codes, bins = drawn
    generator = np.random.default_rng(seed)
    joined = JoinedCodes(codes, bins)
    vector, weights = generator.normal(size=codes.shape[1]), generator.normal(size=sum(bins))
    np.testing.assert_allclose(joined.sums(vector), apart(codes, bins, vector), atol=1e-9)
    starts = np.concatenate([[0], np.cumsum(bins)]).astype(int)
    scores = sum(weights[start + row] for start, row in zip(starts, codes, strict=False))
    np.testing.assert_allclose(joined.scores(weights), scores, atol=1e-9)
    some = generator.permutation(codes.shape[1])[:10]
    few = joined.of_some(some)
    np.testing.assert_allclose(few.scores(weights), joined.scores(weights)[some])
    np.testing.assert_allclose(few.sums(vector[some]), apart(codes[:, some], bins, vector[some]))


@settings(max_examples=40, deadline=None)
@given(coded(), st.integers(0, 2**32))
def test_sums_of_words_are_exact(drawn: tuple[np.ndarray, list[int]], seed: int) -> None:
    """Modulo 2^64, by low and high halves summed apart in integers."""
    codes, bins = drawn
    words = np.random.default_rng(seed).integers(0, 2**64, codes.shape[1], dtype=np.uint64)
    words[: len(words) // 2] = 2**64 - 1
    exact = [np.zeros(0, dtype=np.uint64)]
    for row, count in zip(codes, bins, strict=True):
        sums = np.zeros(count, dtype=np.uint64)
        np.add.at(sums, row, words)
        exact.append(sums)
    assert np.array_equal(JoinedCodes(codes, bins).sums_of_words(words), np.concatenate(exact))


@pytest.mark.parametrize("step", [1, 7, 64])
def test_sums_of_words_in_steps(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of borrowers at a time does not change a sum."""
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 9, (3, 200)).astype(np.uint8)
    words = generator.integers(0, 2**64, 200, dtype=np.uint64)
    whole = JoinedCodes(codes, [9, 9, 9]).sums_of_words(words)
    monkeypatch.setattr(joined_codes, "_SUM_STEP", step)
    assert np.array_equal(JoinedCodes(codes, [9, 9, 9]).sums_of_words(words), whole)


@pytest.mark.parametrize(
    ("borrowers", "bins", "groups"),
    [(50, [16, 16, 16], 2), (20_000, [32] * 4, 2), (500_000, [32] * 4, 2), (50, [300, 300], 2)],
)
def test_tables_grow_with_the_borrowers_only(borrowers: int, bins: list[int], groups: int) -> None:
    """A cell for eight borrowers at most, never more than 2^16 cells, but any single feature."""
    codes = np.zeros((len(bins), borrowers), dtype=np.uint16)
    joined = JoinedCodes(codes, bins)
    assert len(joined._groups) == groups
    assert sum(np.array(codes).nbytes for codes, _ in joined._groups) <= 2 * groups * borrowers

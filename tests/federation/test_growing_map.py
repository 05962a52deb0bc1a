"""A map whose matrix grows: exact for every level, masked to the label party, refusals by name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError, ProtocolError
from federation.linear_maps import OneHotMatrix
from federation.linear_maps.growing import GrowingFeatureSide, GrowingLabelSide
from federation.linear_maps.words import PackedWords
from federation.proto.session_pb2 import Answer, HintBlock, Query, Sums

N = 5000
BOUND = 31


def agreed(context: bytes = b"session") -> tuple[GrowingFeatureSide, GrowingLabelSide]:
    """Both sides of one map."""
    feature, label = GrowingFeatureSide(N, BOUND, context), GrowingLabelSide(N, BOUND, context)
    feature.accept(label.accept(feature.offer()))
    return feature, label


def matrix(seed: int, features: int = 3, bins: int = 7) -> OneHotMatrix:
    """Bins of a node that holds a part of the borrowers; the last code is 'no row'."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, bins, (features, N)).astype(np.uint8)
    codes[:, generator.random(N) < 0.6] = bins
    return OneHotMatrix(codes, (bins,) * features)


def level(
    feature: GrowingFeatureSide, label: GrowingLabelSide, rows: OneHotMatrix
) -> npt.NDArray[np.int64]:
    """One level's sums, as their owner reads them."""
    for block in feature.level(rows):
        label.take_hint(block)
    return feature.reveal(label.decode(feature.answer()))


def plain(rows: OneHotMatrix, vectors: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same sums in plaintext."""
    return np.array([[v[members].sum() for members in rows.members()] for v in vectors])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_every_level_of_every_query_is_exact(seed: int, levels: int, extreme: bool) -> None:
    """Random and extreme vectors; levels of other shapes under one query, then another query."""
    generator = np.random.default_rng(seed)
    feature, label = agreed()
    for _ in range(2):
        vectors = generator.integers(-BOUND, BOUND + 1, (2, N))
        if extreme:
            vectors = np.where(vectors > 0, BOUND, -BOUND)
        assert feature.take(label.query_many(vectors)) == 2
        for number in range(levels):
            rows = matrix(seed % 1000 + number, features=1 + number, bins=2 + 5 * number)
            assert np.array_equal(level(feature, label, rows), plain(rows, vectors))


def test_more_rows_than_a_block_of_hint_holds() -> None:
    """300 rows in two blocks."""
    feature, label = agreed()
    vectors = np.ones((1, N), dtype=np.int64)
    feature.take(label.query_many(vectors))
    rows = matrix(1, features=20, bins=15)
    assert np.array_equal(level(feature, label, rows), plain(rows, vectors))


def test_what_the_label_party_decodes_is_uniform() -> None:
    """Of the same sums, over many levels: no bin of the residues stands out."""
    feature, label = agreed()
    feature.take(label.query_many(np.full((2, N), BOUND, dtype=np.int64)))
    rows, seen = matrix(2, features=10, bins=12), []
    for _ in range(8):
        for block in feature.level(rows):
            label.take_hint(block)
        sums = label.decode(feature.answer())
        size = feature.parameters.sum_bytes
        shape = (2, rows.rows)
        words = PackedWords.from_bytes(sums.values, shape, size, "sums").words()
        seen.append((words << np.uint64(8 * size - feature.parameters.residue_bits)).ravel())
    counts = np.bincount((np.concatenate(seen) >> np.uint64(60)).astype(int), minlength=16)
    expected = counts.sum() / 16
    # 15 degrees of freedom: beyond 50 once in 100,000 runs
    assert float(((counts - expected) ** 2 / expected).sum()) < 50


def test_hints_of_the_same_rows_differ_and_look_uniform() -> None:
    """Fresh blinding and errors each time: the difference of two hints says nothing either."""
    feature, label = agreed()
    feature.take(label.query_many(np.ones((1, N), dtype=np.int64)))
    rows = matrix(3)
    first = b"".join(block.values for block in feature.level(rows))
    feature.answer()
    second = b"".join(block.values for block in feature.level(rows))
    one, two = (np.frombuffer(hint, dtype="<u4") for hint in (first, second))
    counts = np.bincount((one - two) >> np.uint32(28), minlength=16)
    expected = counts.sum() / 16
    assert float(((counts - expected) ** 2 / expected).sum()) < 50


def test_other_contexts_do_not_decode() -> None:
    """A hint under another seed is garbage, and is told by its errors."""
    feature, label = agreed()
    _, stranger = agreed(b"another")
    query = label.query_many(np.ones((1, N), dtype=np.int64))
    stranger.query_many(np.ones((1, N), dtype=np.int64))
    feature.take(query)
    for block in feature.level(matrix(4)):
        stranger.take_hint(block)
    with pytest.raises(ProtocolError, match="does not decrypt"):
        stranger.decode(feature.answer())


def test_refusals_by_name() -> None:
    """Out of order, repeated, of another size: one sentence each."""
    feature, label = agreed()
    with pytest.raises(ProtocolError, match="no query, or no level"):
        feature.answer()
    query = label.query_many(np.ones((2, N), dtype=np.int64))
    with pytest.raises(ProtocolError, match="bytes where"):
        feature.take(Query(query_id=1, ciphertext=query.ciphertext[:-1], vectors=2))
    feature.take(query)
    with pytest.raises(ProtocolError, match="was repeated"):
        feature.take(query)
    with pytest.raises(ProtocolError, match="no open mask"):
        feature.reveal(Sums(query_id=0))
    with pytest.raises(InputError, match="does not fit the map"):
        list(feature.level(OneHotMatrix(np.zeros((1, N + 1), np.uint8), (1,))))
    blocks = list(feature.level(matrix(5)))
    with pytest.raises(ProtocolError, match="where row 0 is next"):
        label.take_hint(HintBlock(first_row=3, rows=1, values=b""))
    with pytest.raises(ProtocolError, match="a hint block holds"):
        label.take_hint(HintBlock(first_row=0, rows=2, values=blocks[0].values))
    for block in blocks:
        label.take_hint(block)
    answer = feature.answer()
    with pytest.raises(ProtocolError, match="answer 0 to the query is next"):
        label.decode(Answer(query_id=7, ciphertext=answer.ciphertext, vectors=2))
    with pytest.raises(ValueError, match="values may be"):
        label.query_many(np.full((2, N), BOUND + 1))
    with pytest.raises(ProtocolError, match="second seed"):
        feature.accept(GrowingLabelSide(N, BOUND, b"session").accept(feature.offer()))

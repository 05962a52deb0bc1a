"""Many vectors at once to the label party: exact sums, parameters, tampering, the map's life."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.linear_maps import (
    Direction,
    OneHotMatrix,
    lattice_feature,
    lattice_label,
    many_sums,
    message_bytes,
)
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.many_sums import ManySums
from federation.linear_maps.parameters import (
    ERROR_BITS,
    HINT_ERROR_BITS,
    MOST_ANSWERS,
    MOST_ANSWERS_TO_LABEL_PARTY,
    QUERY_BYTES,
    choose_parameters,
    rounding_variance,
    tuniform_variance,
)
from federation.linear_maps.ring import RING_DEGREE as N
from federation.linear_maps.words import PackedWords, dropped_bits

COLUMNS = 4096
BOUND = 31

Words = npt.NDArray[np.uint64]


def matrix_of(features: int, rows: int, columns: int = COLUMNS) -> OneHotMatrix:
    """Features of `rows` rows and one bin that is not sent, about equally filled."""
    codes = np.random.default_rng(1).integers(0, rows + 1, (features, columns))
    return OneHotMatrix(codes.astype(np.uint8), (rows,) * features)


def connected(
    matrix: OneHotMatrix, bound: int = BOUND, cores: int = 1
) -> tuple[LatticeFeatureSide, LatticeLabelSide]:
    """Both sides, to the label party, ready for queries."""
    direction = Direction.TO_LABEL_PARTY
    feature = LatticeFeatureSide(matrix, direction, bound, 0, b"", cores)
    label = LatticeLabelSide(matrix.columns, direction, bound, 0, b"")
    for block in feature.accept(label.accept(feature.offer())):
        label.take_hint(block)
    return feature, label


def drawn(count: int, columns: int = COLUMNS, bound: int = BOUND) -> npt.NDArray[np.int64]:
    """Vectors restricted to nodes: zeros for most borrowers."""
    generator = np.random.default_rng(count)
    vectors = generator.integers(-bound, bound + 1, (count, columns))
    vectors[generator.integers(0, 3, (count, columns)) > 0] = 0
    return vectors


def plain(matrix: OneHotMatrix, vectors: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """D·v by masks, one a row."""
    rows = [
        vectors[:, codes == row].sum(axis=1)
        for codes, bins in zip(matrix.codes, matrix.bins, strict=True)
        for row in range(bins)
    ]
    return np.stack(rows, axis=1)


# --- sums ---


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_sums_of_many_words_are_exact(data: st.DataObject) -> None:
    """Any number of bytes a word, vectors, features and threads; words at their largest too."""
    columns = data.draw(st.sampled_from([1, 5, 4095, 4096, 4097, 9000]))
    bins = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    codes = np.stack([generator.integers(0, size + 1, columns) for size in bins])
    kind = data.draw(st.sampled_from([np.uint8, np.uint16]))
    size, count = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 5))
    words = generator.integers(0, 2**64, (count, columns), dtype=np.uint64)
    if data.draw(st.booleans()):
        words[:] = 2**64 - (1 << dropped_bits(size))
        codes[:] = 0
    packed = PackedWords.of(words, size)
    chosen = data.draw(st.permutations(range(len(bins))))[: data.draw(st.integers(0, 4))]
    sums = ManySums(codes.astype(kind), bins).sums(packed, chosen, data.draw(st.integers(1, 3)))
    rounded = packed.words().astype(object)
    exact = [
        [int(sum(vector[codes[f] == row], 0)) % 2**64 for f in chosen for row in range(bins[f])]
        for vector in rounded
    ]
    assert sums.shape == (count, sum(bins[f] for f in chosen))
    assert sums.tolist() == exact


def test_a_matrix_times_many_words_refuses_another_number_of_borrowers() -> None:
    """By name, before anything is added."""
    with pytest.raises(ValueError, match="vectors of 4096 words are needed"):
        matrix_of(1, 3).multiply_many(PackedWords.empty((2, 4095), 4))


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 64])
def test_the_map_gives_the_sums(count: int, cores: int) -> None:
    """All features and some, and over several blocks of borrowers."""
    matrix = matrix_of(4, 8, 9001)
    feature, label = connected(matrix, cores=cores)
    vectors = drawn(count, 9001)
    sums = plain(matrix, vectors)
    assert np.array_equal(label.open_many(feature.answer_many(label.query_many(vectors))), sums)
    answer = feature.answer_many(label.query_many(vectors), [3, 1])
    rows = matrix.rows_of([3, 1])
    assert len(answer.ciphertext) == count * 16 * label.parameters.answer_bytes
    assert np.array_equal(label.open_many(answer, rows), sums[:, rows])


@pytest.mark.parametrize(("bound", "query_bytes"), [(31, 4), (1023, 4), (2**17, 5)])
def test_every_width_of_a_query_decodes(bound: int, query_bytes: int) -> None:
    """Up to the largest vectors that leave a width its room, extreme vectors included."""
    matrix = matrix_of(3, 8)
    feature, label = connected(matrix, bound)
    assert label.parameters.query_bytes == query_bytes
    vectors = drawn(4, bound=bound)
    vectors[0], vectors[1] = bound, -bound
    query = label.query_many(vectors)
    assert len(query.ciphertext) == 4 * (N + COLUMNS) * query_bytes
    told = message_bytes(label.parameters, matrix.rows)
    assert told["query"] * 4 == len(query.ciphertext)
    assert np.array_equal(label.open_many(feature.answer_many(query)), plain(matrix, vectors))


def test_one_vector_and_many_are_one_message() -> None:
    """A query of one vector may be answered and opened either way."""
    matrix = matrix_of(2, 8)
    feature, label = connected(matrix)
    vectors = drawn(1)
    for query in (label.query(vectors[0]), label.query_many(vectors)):
        answer = feature.answer(query)
        assert np.array_equal(label.open_many(answer), plain(matrix, vectors))
        again = label.query(vectors[0])
        assert np.array_equal(label.open(feature.answer_many(again)), plain(matrix, vectors)[0])


# --- parameters ---


@pytest.mark.parametrize(
    ("columns", "query_bytes"),
    [(4096, 4), (24_000, 4), (36_000, 4), (88_000, 5), (800_000, 5), (2_200_000, 6)],
)
def test_queries_take_the_fewest_bytes_with_room(columns: int, query_bytes: int) -> None:
    """To the label party only; the flooding stays 2^3 wider than what it hides, at least."""
    parameters = choose_parameters(columns, BOUND, 0, Direction.TO_LABEL_PARTY)
    assert parameters.query_bytes == query_bytes
    assert choose_parameters(columns, BOUND).query_bytes == QUERY_BYTES
    delta, flood = 2**parameters.delta_bits, 2**parameters.flood_bits
    assert delta >= 2 * parameters.error_bound + 2 * flood

    def hidden(size: int) -> float:
        in_query = tuniform_variance(ERROR_BITS) + rounding_variance(size)
        in_hint = tuniform_variance(HINT_ERROR_BITS)
        return math.sqrt(columns // 2 * in_query + 2 * N / 3 * (in_query + in_hint))

    assert flood / hidden(query_bytes) > 2**3
    if query_bytes > 4:
        assert 8 * hidden(query_bytes - 1) + delta / 64 > delta / 4


def test_the_noise_of_short_queries_is_that_of_the_bound() -> None:
    """Rounded to four bytes, the error beside the flooding is the predicted one."""
    matrix = matrix_of(20, 20)
    feature, label = connected(matrix)
    parameters = label.parameters
    vectors = drawn(32)
    query = label.query_many(vectors)
    received = PackedWords.several_from_bytes(
        query.ciphertext, 32, (N + COLUMNS,), parameters.query_bytes, "query"
    ).words()
    secrets = label._secrets[query.query_id]
    # (R | D)·b - H·s without flooding, of which rounding takes Δ·D·v away
    reply = (feature._blinding.astype(np.int64).view(np.uint64) @ received[:, :N].T).T
    reply += np.stack([matrix.multiply(np.ascontiguousarray(row)) for row in received[:, N:]])
    reply -= label._hint.times_ternary(secrets.T).T
    sums = plain(matrix, vectors).view(np.uint64)
    errors = (reply - (sums << np.uint64(parameters.delta_bits))).view(np.int64)
    in_query = tuniform_variance(ERROR_BITS) + rounding_variance(parameters.query_bytes)
    in_hint = tuniform_variance(HINT_ERROR_BITS) + rounding_variance(parameters.hint_bytes)
    predicted = np.sqrt(matrix.weights * in_query + 2 * N / 3 * (in_query + in_hint))
    assert 0.97 < (errors / predicted).std() < 1.03
    assert np.abs(errors / predicted).max() < 6
    assert np.abs(errors).max() < parameters.error_bound


# --- refusals ---


def test_tampered_ciphertexts_do_not_decrypt() -> None:
    """A changed query, answer, or answers in another order end the map; no sum is opened."""
    feature, label = connected(matrix_of(20, 20))
    half = len(label.query_many(drawn(1)).ciphertext) // 2
    query = label.query_many(drawn(2))
    query.ciphertext = query.ciphertext[:half] + bytes(64) + query.ciphertext[half + 64 :]
    with pytest.raises(ProtocolError, match=r"the answer to query \d+ does not decrypt"):
        label.open_many(feature.answer_many(query))
    answer = feature.answer_many(label.query_many(drawn(2)))
    middle = len(answer.ciphertext) // 2
    answer.ciphertext = answer.ciphertext[middle:] + answer.ciphertext[:middle]
    with pytest.raises(ProtocolError, match="does not decrypt"):
        label.open_many(answer)
    answer = feature.answer_many(label.query_many(drawn(2)), [0, 1])
    with pytest.raises(ProtocolError, match="does not decrypt"):
        label.open_many(answer, feature._matrix.rows_of([1, 0]))


def test_every_vector_has_its_own_secret_and_error() -> None:
    """Equal vectors give ciphertexts that differ everywhere, as do two queries of them."""
    _, label = connected(matrix_of(2, 8))
    queries = [label.query_many(np.tile(drawn(1), (3, 1))) for _ in range(2)]
    secrets = np.concatenate([label._secrets[query.query_id] for query in queries])
    assert len(np.unique(secrets, axis=0)) == 6
    sent = np.concatenate([np.frombuffer(query.ciphertext, "<u4") for query in queries])
    words = sent.reshape(6, N + COLUMNS)
    for one in range(6):
        for other in range(one):
            assert np.mean(words[one] == words[other]) < 0.01


def test_every_sum_has_its_own_flooding() -> None:
    """The same ciphertexts under another id are answered by other words."""
    feature, label = connected(matrix_of(2, 8))
    query = label.query_many(np.tile(drawn(1), (2, 1)))
    one = feature.answer_many(query)
    query.query_id += 2
    two = feature.answer_many(query)
    size = label.parameters.answer_bytes
    words = [PackedWords.several_from_bytes(a.ciphertext, 2, (16,), size, "") for a in (one, two)]
    difference = (words[0].words() - words[1].words()).view(np.int64)
    assert np.mean(difference == 0) < 0.2  # rounding leaves some 64 values of a flooding
    assert np.abs(difference).max() < 2 ** (label.parameters.flood_bits + 1)


def test_a_map_to_the_label_party_has_a_longer_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vector counts, at both sides, and a query that would pass the end spends nothing."""
    assert MOST_ANSWERS_TO_LABEL_PARTY == 1 << 17 > 100 * MOST_ANSWERS
    monkeypatch.setattr(lattice_feature, "MOST_ANSWERS_TO_LABEL_PARTY", 5)
    monkeypatch.setattr(lattice_label, "MOST_ANSWERS_TO_LABEL_PARTY", 7)
    feature, label = connected(matrix_of(2, 8))
    label.open_many(feature.answer_many(label.query_many(drawn(3))))
    with pytest.raises(ProtocolError, match="has answered 3 of 5 queries.* no room for 3 more"):
        feature.answer_many(label.query_many(drawn(3)))
    with pytest.raises(ProtocolError, match="was asked 6 of 7 queries.* no room for 2 more"):
        label.query_many(drawn(2))
    feature._answered.update((0, 1))
    with pytest.raises(ProtocolError, match="has answered 5 queries, the most in its life"):
        feature.answer_many(label.query_many(drawn(1)))
    with pytest.raises(ProtocolError, match="was asked 7 queries, the most in its life"):
        label.query_many(drawn(1))


def test_blocks_of_borrowers_are_small_enough_to_add_exactly() -> None:
    """The largest limb, as often as a block has borrowers, stays below 2^53."""
    assert many_sums.BORROWERS_AT_ONCE * (2**40 - 1) < 2**53

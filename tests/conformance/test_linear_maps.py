"""Both private linear maps, in both directions, through one suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import InputError, ProtocolError
from federation.linear_maps import (
    Direction,
    FeatureSide,
    LabelSide,
    OneHotMatrix,
    feature_side,
    label_side,
    scheme_for,
)
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums

VALUE_BOUND = 127
NOISE_BOUND = 1000
CONTEXT = b"session 1, bank, platform"

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """One implementation, one direction, and a number of borrowers that it serves quickly."""

    scheme: str
    direction: Direction
    columns: int
    floor: int  # fewest borrowers a row may have


SETTINGS = [
    Setting(scheme, direction, columns, floor)
    for scheme, columns, floor in (("lattice", 4096, 71), ("elgamal", 40, 10))
    for direction in Direction
]
TO_LABEL_PARTY = [s for s in SETTINGS if s.direction is Direction.TO_LABEL_PARTY]
counts = st.integers(1, 3)
to_both = pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.scheme}-{s.direction}")


def codes_with(setting: Setting, weights: list[int], seed: int) -> npt.NDArray[np.uint8]:
    """One feature whose rows have these weights; seed 0 keeps the borrowers in order."""
    codes = np.full(setting.columns, len(weights), dtype=np.uint8)
    codes[: sum(weights)] = np.repeat(np.arange(len(weights), dtype=np.uint8), weights)
    return codes if seed == 0 else np.random.default_rng(seed).permutation(codes)


def matrix_of(setting: Setting, features: list[tuple[list[int], int]]) -> OneHotMatrix:
    """D from (row weights, seed) a feature."""
    codes = np.stack([codes_with(setting, weights, seed) for weights, seed in features])
    return OneHotMatrix(codes, tuple(len(weights) for weights, _ in features))


def small_matrix(setting: Setting) -> OneHotMatrix:
    """Two features, three rows: one at the floor, one of n/2."""
    return matrix_of(
        setting, [([setting.floor, setting.floor + 1], 1), ([setting.columns // 2], 0)]
    )


def sides(setting: Setting, matrix: OneHotMatrix) -> tuple[FeatureSide, LabelSide]:
    """Both sides, before the first message."""
    return (
        feature_side(setting.scheme, matrix, setting.direction, VALUE_BOUND, NOISE_BOUND, CONTEXT),
        label_side(
            setting.scheme, setting.columns, setting.direction, VALUE_BOUND, NOISE_BOUND, CONTEXT
        ),
    )


def connected(setting: Setting, matrix: OneHotMatrix) -> tuple[FeatureSide, LabelSide]:
    """Both sides, ready for queries; every message goes through its bytes."""
    feature, label = sides(setting, matrix)
    offer = MapOffer.FromString(feature.offer().SerializeToString())
    seed = MapSeed.FromString(label.accept(offer).SerializeToString())
    for block in feature.accept(seed):
        label.take_hint(HintBlock.FromString(block.SerializeToString()))
    assert label.ready
    return feature, label


def apply(
    feature: FeatureSide,
    label: LabelSide,
    setting: Setting,
    vector: Integers,
    noise: Integers | None = None,
) -> Integers:
    """One query to its end, whoever learns the sums."""
    query = Query.FromString(label.query(vector).SerializeToString())
    answer = Answer.FromString(feature.answer(query).SerializeToString())
    if setting.direction is Direction.TO_LABEL_PARTY:
        return label.open(answer)
    sums = Sums.FromString(label.decode(answer, noise).SerializeToString())
    return feature.reveal(sums)


def expected(matrix: OneHotMatrix, vector: Integers) -> Integers:
    """D·v by plain counting, independent of the matrix's own product."""
    sums = []
    for codes, bins in zip(matrix.codes, matrix.bins, strict=True):
        sums += [int(vector[codes == row].sum()) for row in range(bins)]
    return np.array(sums, dtype=np.int64)


@st.composite
def matrices(draw: st.DrawFn, setting: Setting) -> OneHotMatrix:
    """Random and adversarial D: rows at the floor, rows of n/2, runs of neighbours, duplicates."""
    features = []
    for _ in range(draw(st.integers(1, 3))):
        left, weights = setting.columns, []
        for _ in range(draw(st.integers(1, 3))):
            most = min(setting.columns // 2, left)
            if most >= setting.floor:
                weights.append(draw(st.integers(setting.floor, most)))
                left -= weights[-1]
        features.append((weights, draw(st.integers(0, 3))))
    return matrix_of(setting, features)


@st.composite
def vectors(draw: st.DrawFn, length: int) -> Integers:
    """Random, constant, alternating and unit vectors, extremes included."""
    kind = draw(st.sampled_from(["random", "constant", "alternating", "unit", "edges"]))
    value = draw(st.sampled_from([-VALUE_BOUND, -1, 0, 1, VALUE_BOUND]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    vector = np.zeros(length, dtype=np.int64)
    if kind == "random":
        vector[:] = generator.integers(-VALUE_BOUND, VALUE_BOUND, length, endpoint=True)
    elif kind == "unit":
        vector[draw(st.integers(0, length - 1))] = value
    elif kind == "edges":
        vector[:] = generator.choice([-VALUE_BOUND, VALUE_BOUND], length)
    else:
        vector[:] = value
        vector[1::2] *= -1 if kind == "alternating" else 1
    return vector


@to_both
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_sums_are_those_of_numpy(setting: Setting, data: st.DataObject) -> None:
    """Random, extreme and adversarial D and v give exactly D·v."""
    matrix = data.draw(matrices(setting))
    feature, label = connected(setting, matrix)
    for _ in range(2):
        vector = data.draw(vectors(setting.columns))
        assert np.array_equal(apply(feature, label, setting, vector), expected(matrix, vector))


@pytest.mark.parametrize("setting", TO_LABEL_PARTY, ids=lambda s: s.scheme)
@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_many_sums_are_those_of_numpy(setting: Setting, data: st.DataObject) -> None:
    """Several vectors at once, over all rows or those of some features, give exactly D·v."""
    matrix = data.draw(matrices(setting))
    feature, label = connected(setting, matrix)
    starts = np.concatenate([[0], np.cumsum(matrix.bins)])
    for _ in range(2):
        asked = np.stack([data.draw(vectors(setting.columns)) for _ in range(data.draw(counts))])
        chosen = data.draw(st.none() | st.lists(st.integers(0, matrix.features - 1), unique=True))
        rows = None
        if chosen is not None:
            rows = np.concatenate(
                [np.zeros(0, np.int64), *(np.arange(starts[f], starts[f + 1]) for f in chosen)]
            )
        query = Query.FromString(label.query_many(asked).SerializeToString())
        answer = Answer.FromString(feature.answer_many(query, chosen).SerializeToString())
        sums = np.stack([expected(matrix, vector) for vector in asked])
        opened = label.open_many(answer, rows)
        assert opened.dtype == np.int64
        assert np.array_equal(opened, sums if rows is None else sums[:, rows])


@pytest.mark.parametrize("setting", TO_LABEL_PARTY, ids=lambda s: s.scheme)
def test_many_vectors_take_as_many_ids(setting: Setting) -> None:
    """Ids follow one another over both kinds of query, and each of them is answered once."""
    feature, label = connected(setting, small_matrix(setting))
    zeros = np.zeros((3, setting.columns), dtype=np.int64)
    first, second, third = label.query(zeros[0]), label.query_many(zeros), label.query(zeros[0])
    assert (second.query_id, third.query_id) == (first.query_id + 1, first.query_id + 4)
    assert (first.vectors, second.vectors) == (0, 3)
    feature.answer_many(second)
    for query_id, count in ((second.query_id + 2, 1), (first.query_id, 2), (third.query_id - 1, 3)):
        size = len(first.ciphertext) * count
        forged = Query(query_id=query_id, ciphertext=second.ciphertext[:size], vectors=count)
        with pytest.raises(ProtocolError, match=r"query \d+ was repeated"):
            feature.answer_many(forged)
    assert not label.open(feature.answer(first)).any()
    with pytest.raises(ProtocolError, match=f"query {second.query_id} was repeated"):
        feature.answer_many(second)


@pytest.mark.parametrize("setting", TO_LABEL_PARTY, ids=lambda s: s.scheme)
def test_many_vectors_of_another_length_or_number_are_refused(setting: Setting) -> None:
    """By both sides: truncated, lengthened, or with another number of vectors than sent."""
    matrix = small_matrix(setting)
    feature, label = connected(setting, matrix)
    query = label.query_many(np.ones((2, setting.columns), dtype=np.int64))
    for data, count in (
        (query.ciphertext[:-1], 2),
        (query.ciphertext + b"\0", 2),
        (query.ciphertext, 3),
        (query.ciphertext, 0),
        (b"", 2),
    ):
        changed = Query(query_id=query.query_id, ciphertext=data, vectors=count)
        with pytest.raises(ProtocolError, match=r"query \d+ holds"):
            feature.answer_many(changed)
    with pytest.raises(ProtocolError, match="holds 65 vectors, 64 are the most"):
        feature.answer_many(Query(query_id=query.query_id, ciphertext=b"", vectors=65))
    with pytest.raises(ProtocolError, match="ids beyond 64 bits"):
        feature.answer_many(Query(query_id=2**64 - 1, ciphertext=query.ciphertext, vectors=2))
    with pytest.raises(ProtocolError, match=r"query \d+ holds 2 vectors where one is right"):
        feature.answer(query)
    with pytest.raises(ValueError, match="features: distinct"):
        feature.answer_many(query, [0, 0])
    with pytest.raises(ValueError, match="features: distinct"):
        feature.answer_many(query, [2])
    answer = feature.answer_many(query)
    with pytest.raises(ProtocolError, match="is of 2 vectors; use open_many"):
        label.open(answer)
    for bad in ([0, 0], [3], [-1]):
        with pytest.raises(ValueError, match="rows: "):
            label.open_many(answer, np.array(bad, dtype=np.int64))
    assert np.array_equal(label.open_many(answer), np.tile(matrix.weights, (2, 1)))
    with pytest.raises(ProtocolError, match="which is not open"):
        label.open_many(answer)
    for first, more in ((1, b""), (0, b"\0")):
        answer = feature.answer_many(label.query_many(np.ones((2, setting.columns), np.int64)))
        answer.ciphertext = answer.ciphertext[first:] + more
        with pytest.raises(ProtocolError, match=r"the answer to query \d+ holds"):
            label.open_many(answer)
    answer = feature.answer_many(label.query_many(np.ones((2, setting.columns), np.int64)))
    answer.vectors = 1
    with pytest.raises(ProtocolError, match="holds 1 vectors where 2 are right"):
        label.open_many(answer)
    # rows of another number than were answered
    answer = feature.answer_many(label.query_many(np.ones((2, setting.columns), np.int64)), [0])
    with pytest.raises(ProtocolError, match=r"the answer to query \d+ holds"):
        label.open_many(answer)


@to_both
def test_many_vectors_go_to_the_label_party_only(setting: Setting) -> None:
    """Nor before the map is ready, nor too many, too few, or of another kind."""
    feature, label = sides(setting, small_matrix(setting))
    vectors = np.zeros((2, setting.columns), dtype=np.int64)
    if setting.direction is Direction.TO_OWNER:
        feature, label = connected(setting, small_matrix(setting))
        with pytest.raises(ProtocolError, match="direction is to the owner"):
            label.query_many(vectors)
        with pytest.raises(ProtocolError, match="direction is to the owner"):
            feature.answer_many(label.query(vectors[0]))
        with pytest.raises(ProtocolError, match="direction is to the owner"):
            label.open_many(Answer(query_id=0))
        return
    with pytest.raises(ProtocolError, match="a query needs"):
        label.query_many(vectors)
    with pytest.raises(ProtocolError, match="a query came before"):
        feature.answer_many(Query(query_id=0, vectors=2))
    _, label = connected(setting, small_matrix(setting))
    wrong: Any
    for wrong in (
        vectors[:0],
        vectors[0],
        np.zeros((65, setting.columns), dtype=np.int64),
        vectors[:, 1:],
        vectors.astype(np.int32).astype(np.float64),
        vectors + VALUE_BOUND + 1,
        vectors + np.iinfo(np.int64).min,
    ):
        with pytest.raises(ValueError, match="vectors: "):
            label.query_many(wrong)


@to_both
def test_queries_may_be_open_at_the_same_time(setting: Setting) -> None:
    """Answers and sums that come in another order than the queries reach the right ones."""
    matrix = small_matrix(setting)
    feature, label = connected(setting, matrix)
    generator = np.random.default_rng(5)
    asked = [generator.integers(-VALUE_BOUND, 128, setting.columns) for _ in range(3)]
    answers = [feature.answer(label.query(vector)) for vector in asked]
    for index in (2, 0, 1):
        if setting.direction is Direction.TO_OWNER:
            learned = feature.reveal(label.decode(answers[index]))
        else:
            learned = label.open(answers[index])
        assert np.array_equal(learned, expected(matrix, asked[index]))


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.direction is Direction.TO_OWNER])
def test_label_noise_is_added_to_each_sum(setting: Setting) -> None:
    """The owner learns D·v plus the noise, up to the noise's bound on top of the largest sums."""
    matrix = small_matrix(setting)
    feature, label = connected(setting, matrix)
    for value, noise in (
        (VALUE_BOUND, np.full(matrix.rows, NOISE_BOUND)),
        (-VALUE_BOUND, np.full(matrix.rows, -NOISE_BOUND)),
        (1, np.arange(matrix.rows, dtype=np.int64)),
    ):
        vector = np.full(setting.columns, value, dtype=np.int64)
        learned = apply(feature, label, setting, vector, noise)
        assert np.array_equal(learned, expected(matrix, vector) + noise)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.direction is Direction.TO_OWNER])
@pytest.mark.parametrize(
    "noise",
    [
        np.array([1], dtype=np.int64),
        np.zeros((3, 1), dtype=np.int64),
        np.zeros(3, dtype=np.float64),
        np.array([0, 0, NOISE_BOUND + 1], dtype=np.int64),
        np.array([0, 0, np.iinfo(np.int64).min], dtype=np.int64),
    ],
    ids=["one element", "a column", "floats", "over the bound", "smallest integer"],
)
def test_label_noise_of_another_kind_is_refused(setting: Setting, noise: Integers) -> None:
    """Noise is never broadcast, cut or over its bound, and the query stays open meanwhile."""
    feature, label = connected(setting, small_matrix(setting))
    answer = feature.answer(label.query(np.zeros(setting.columns, dtype=np.int64)))
    with pytest.raises(ValueError, match="label noise"):
        label.decode(answer, noise)
    assert not feature.reveal(label.decode(answer)).any()


@to_both
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda v: v[:-1], "int64 are needed"),
        (lambda v: np.append(v, 0), "int64 are needed"),
        (lambda v: v.reshape(1, -1), "int64 are needed"),
        (lambda v: v.astype(np.float64), "float64"),
        (lambda v: v.astype(np.int32), "int32"),
        (lambda v: v.astype(np.uint64), "uint64"),
        (lambda v: v + VALUE_BOUND + 1, "may be ±127"),
        (lambda v: v - VALUE_BOUND - 1, "may be ±127"),
        (lambda v: v + np.iinfo(np.int64).min, "may be ±127"),
    ],
)
def test_a_vector_of_another_kind_is_refused(
    setting: Setting, change: object, sentence: str
) -> None:
    """Wrong length, shape or dtype and values over the bound never get encrypted."""
    _, label = connected(setting, small_matrix(setting))
    assert callable(change)
    with pytest.raises(ValueError, match=sentence):
        label.query(change(np.zeros(setting.columns, dtype=np.int64)))


@to_both
@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b""])
def test_messages_of_another_length_are_refused(setting: Setting, change: object) -> None:
    """A truncated, lengthened or empty query, answer or sums ends the map by name."""
    feature, label = connected(setting, small_matrix(setting))
    assert callable(change)
    query = label.query(np.zeros(setting.columns, dtype=np.int64))
    with pytest.raises(ProtocolError, match=r"query \d+ holds"):
        feature.answer(Query(query_id=query.query_id, ciphertext=change(query.ciphertext)))
    answer = feature.answer(query)
    damaged = Answer(query_id=query.query_id, ciphertext=change(answer.ciphertext))
    with pytest.raises(ProtocolError, match=r"the answer to query \d+ holds"):
        label.open(damaged) if setting.direction is Direction.TO_LABEL_PARTY else label.decode(
            damaged
        )
    if setting.direction is Direction.TO_OWNER:
        feature, label = connected(setting, small_matrix(setting))
        query = label.query(np.zeros(setting.columns, dtype=np.int64))
        sums = label.decode(feature.answer(query))
        with pytest.raises(ProtocolError, match=r"the sums of query \d+ hold"):
            feature.reveal(Sums(query_id=query.query_id, values=change(sums.values)))


@to_both
def test_a_repeated_query_id_is_refused(setting: Setting) -> None:
    """An id is answered once, even for other bytes."""
    feature, label = connected(setting, small_matrix(setting))
    first, second = (label.query(np.zeros(setting.columns, dtype=np.int64)) for _ in range(2))
    assert second.query_id == first.query_id + 1
    feature.answer(first)
    for ciphertext in (first.ciphertext, second.ciphertext):
        with pytest.raises(ProtocolError, match=f"query {first.query_id} was repeated"):
            feature.answer(Query(query_id=first.query_id, ciphertext=ciphertext))


@to_both
def test_an_answer_is_taken_once_and_only_to_an_open_query(setting: Setting) -> None:
    """A second answer, or one to a query that was never made, is refused."""
    feature, label = connected(setting, small_matrix(setting))
    answer = feature.answer(label.query(np.zeros(setting.columns, dtype=np.int64)))
    take = label.open if setting.direction is Direction.TO_LABEL_PARTY else label.decode
    take(answer)
    for query_id in (answer.query_id, 7):
        with pytest.raises(ProtocolError, match=f"query {query_id}, which is not open"):
            take(Answer(query_id=query_id, ciphertext=answer.ciphertext))


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.direction is Direction.TO_OWNER])
def test_sums_are_revealed_once_and_only_for_an_answered_query(setting: Setting) -> None:
    """A mask serves one set of sums; sums for an unknown query are refused."""
    feature, label = connected(setting, small_matrix(setting))
    answer = feature.answer(label.query(np.zeros(setting.columns, dtype=np.int64)))
    sums = label.decode(answer)
    feature.reveal(sums)
    for query_id in (sums.query_id, 7):
        with pytest.raises(ProtocolError, match=f"query {query_id}, which has no open mask"):
            feature.reveal(Sums(query_id=query_id, values=sums.values))


@to_both
def test_a_call_of_the_other_direction_is_refused(setting: Setting) -> None:
    """To the owner nothing is opened, to the label party nothing is decoded or revealed."""
    feature, label = connected(setting, small_matrix(setting))
    answer = feature.answer(label.query(np.zeros(setting.columns, dtype=np.int64)))
    if setting.direction is Direction.TO_OWNER:
        with pytest.raises(ProtocolError, match="to the owner"):
            label.open(answer)
    else:
        with pytest.raises(ProtocolError, match="to the label party"):
            label.decode(answer)
        with pytest.raises(ProtocolError, match="no open mask"):
            feature.reveal(Sums(query_id=answer.query_id, values=b""))


@to_both
def test_calls_before_their_time_are_refused(setting: Setting) -> None:
    """No query before the offer and hint, no answer before the seed."""
    feature, label = sides(setting, small_matrix(setting))
    assert not label.ready
    with pytest.raises(ProtocolError, match="a query needs"):
        label.query(np.zeros(setting.columns, dtype=np.int64))
    with pytest.raises(ProtocolError, match="a query came before"):
        feature.answer(Query(query_id=0))


@to_both
def test_one_offer_and_one_seed_a_map(setting: Setting) -> None:
    """A second offer and a second seed are refused: neither the bins nor the seed may change."""
    feature, label = sides(setting, small_matrix(setting))
    seed = label.accept(feature.offer())
    list(feature.accept(seed))
    with pytest.raises(ProtocolError, match="second map offer"):
        label.accept(feature.offer())
    with pytest.raises(ProtocolError, match="second"):
        feature.accept(seed)


@to_both
def test_an_offer_of_another_scheme_or_size_is_refused(setting: Setting) -> None:
    """The label party knows the scheme and the number of borrowers before the offer comes."""
    feature, _ = sides(setting, small_matrix(setting))
    for field, value in (("scheme", "bfv"), ("columns", setting.columns + 1), ("rows_sent", 0)):
        offer = MapOffer.FromString(feature.offer().SerializeToString())
        setattr(offer, field, value)
        _, label = sides(setting, small_matrix(setting))
        with pytest.raises(ProtocolError, match="was offered"):
            label.accept(offer)


@to_both
def test_a_row_below_the_floor_is_refused(setting: Setting) -> None:
    """One borrower under the floor names the row; the floor itself is allowed."""
    sides(setting, matrix_of(setting, [([setting.floor], 1)]))
    with pytest.raises(InputError, match=f"row 1 of the bins has {setting.floor - 1} "):
        sides(setting, matrix_of(setting, [([setting.floor, setting.floor - 1], 1)]))


@to_both
def test_secrets_stay_out_of_repr_and_errors(setting: Setting) -> None:
    """Neither side, nor the matrix, nor an exception shows codes, keys, secrets, masks or sums."""
    matrix = small_matrix(setting)
    feature, label = connected(setting, matrix)
    vector = np.full(setting.columns, VALUE_BOUND, dtype=np.int64)
    feature.answer(label.query(vector))
    for shown in (feature, label):
        assert repr(shown) == object.__repr__(shown)
        assert str(shown) == object.__repr__(shown)
    assert repr(matrix) == f"OneHotMatrix(bins={matrix.bins})"
    with pytest.raises(ValueError, match="±127") as refusal:
        label.query(vector * 1_000_003)
    assert str(127 * 1_000_003) not in str(refusal.value)
    # what is over the bound at the end is not shown either: it is the sum of a bin
    if setting.direction is Direction.TO_OWNER:
        matrix = matrix_of(setting, [([setting.floor + 1] * (setting.columns // 80 + 1), 1)])
        feature, label = connected(setting, matrix)
        first, second = (label.decode(feature.answer(label.query(vector))) for _ in range(2))
        with pytest.raises(ProtocolError, match="a sum is over") as refusal:
            feature.reveal(Sums(query_id=second.query_id, values=first.values))
        assert str(refusal.value) in (
            "a sum is over its bound: the other side's vector or noise was larger than agreed",
            f"a sum is over the agreed bound of {setting.columns * VALUE_BOUND + NOISE_BOUND}",
        )


@pytest.mark.parametrize("columns", [4095, 4096])
def test_the_scheme_follows_the_number_of_borrowers(columns: int) -> None:
    """The lattice map serves from 4,096 borrowers on; an unknown scheme is refused by name."""
    assert scheme_for(columns) == ("lattice" if columns >= 4096 else "elgamal")
    with pytest.raises(ProtocolError, match="scheme 'paillier' is not known"):
        label_side("paillier", columns, Direction.TO_OWNER, 1, 0, b"")
    matrix = OneHotMatrix(np.zeros((1, 20), dtype=np.uint8), (1,))
    with pytest.raises(ProtocolError, match="scheme 'paillier' is not known"):
        feature_side("paillier", matrix, Direction.TO_OWNER, 1, 0, b"")

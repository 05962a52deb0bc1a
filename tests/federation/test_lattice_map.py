"""The lattice map: noise against its bound, distributions, floors, refusals and known answers."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError, NoRoomError, ProtocolError
from federation.linear_maps import (
    Direction,
    OneHotMatrix,
    full_width_bytes,
    lattice,
    lattice_feature,
    message_bytes,
)
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.parameters import (
    ERROR_BITS,
    HINT_ERROR_BITS,
    QUERY_BYTES,
    LatticeParameters,
    check_row_weights,
    choose_parameters,
    minimum_row_weight,
    rounding_variance,
    tuniform_variance,
)
from federation.linear_maps.randomness import ternary, tuniform, uniform_residues
from federation.linear_maps.ring import RING_DEGREE as N
from federation.linear_maps.ring import PublicMatrix
from federation.linear_maps.words import PackedWords, dropped_bits
from federation.proto.session_pb2 import HintBlock, MapOffer, MapSeed, Sums

COLUMNS = 4096
VECTORS = json.loads((Path(__file__).parent / "vectors" / "linear_maps.json").read_text())


def matrix_of(features: int, rows: int, seed: int = 1) -> OneHotMatrix:
    """Features of `rows` rows and one bin that is not sent, about equally filled."""
    codes = np.random.default_rng(seed).integers(0, rows + 1, (features, COLUMNS))
    return OneHotMatrix(codes.astype(np.uint8), (rows,) * features)


def sides(
    matrix: OneHotMatrix, direction: Direction = Direction.TO_OWNER, context: bytes = b""
) -> tuple[LatticeFeatureSide, LatticeLabelSide]:
    """Both sides before the first message, |v| ≤ 127 and |noise| ≤ 1,000."""
    return (
        LatticeFeatureSide(matrix, direction, 127, 1000, context),
        LatticeLabelSide(matrix.columns, direction, 127, 1000, context),
    )


def connect(feature: LatticeFeatureSide, label: LatticeLabelSide) -> list[HintBlock]:
    """Exchange offer, seed and hint."""
    blocks = list(feature.accept(label.accept(feature.offer())))
    for block in blocks:
        label.take_hint(block)
    return blocks


# --- distributions ---


@pytest.mark.parametrize("bits", [1, 3, ERROR_BITS, HINT_ERROR_BITS, 30])
def test_tuniform_has_its_mean_variance_and_range(bits: int) -> None:
    """200,000 draws agree with TUniform's moments within six standard errors."""
    count = 200_000
    drawn = tuniform((2, count // 2), bits).astype(np.float64)
    assert drawn.shape == (2, count // 2)
    assert np.abs(drawn).max() <= 2**bits
    variance = tuniform_variance(bits)
    assert abs(drawn.mean()) < 6 * math.sqrt(variance / count)
    # no distribution on [-2^b, 2^b] has a fourth moment above 4^b times its variance
    assert abs((drawn**2).mean() - variance) < 6 * math.sqrt(4.0**bits * variance / count)


def test_tuniform_has_half_weight_at_its_ends() -> None:
    """Every value of TUniform(2) is drawn as often as it should be: 1/16 at the ends, else 1/8."""
    drawn = tuniform((80_000,), 2)
    counts = np.bincount(drawn + 4, minlength=9)
    expected = 80_000 * np.array([0.5, 1, 1, 1, 1, 1, 1, 1, 0.5]) / 8
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < 60  # eight degrees of freedom: once in 10^9 runs
    assert tuniform_variance(2) == pytest.approx(5.5)


def test_secrets_are_uniform_ternary_and_residues_uniform() -> None:
    """A third each of -1, 0 and 1; residues fill their bits and no more."""
    drawn = ternary(90_000)
    assert drawn.dtype == np.int8
    counts = np.bincount(drawn.astype(np.int64) + 1, minlength=3)
    assert float(((counts - 30_000) ** 2 / 30_000).sum()) < 45
    for bits in (1, 5, 64):
        words = uniform_residues(4096, bits)
        assert int(words.max()) < 2**bits
        assert int(words.max()) >> (bits - 1) == 1
        assert np.all(
            np.abs([(words >> np.uint64(bit) & 1).mean() - 0.5 for bit in range(bits)]) < 0.06
        )


# --- noise ---


def phase_errors(feature: LatticeFeatureSide, label: LatticeLabelSide, queries: int) -> Any:
    """What decoding rounds away (queries, rows), from the label party's and the owner's secrets."""
    generator, parameters = np.random.default_rng(7), label.parameters
    errors = []
    for _ in range(queries):
        vector = generator.choice([-127, 127], COLUMNS)
        query = label.query(vector)
        answer = feature.answer(query)
        secret = label._secrets[query.query_id][0]
        size = parameters.answer_bytes
        reply = PackedWords.from_bytes(answer.ciphertext, (label.rows,), size, "").words()
        phase = reply - label._hint.times_ternary(secret[:, None])[:, 0]
        sums = feature._matrix.multiply(vector.view(np.uint64)) + feature._masks[query.query_id]
        errors.append((phase - (sums << np.uint64(parameters.delta_bits))).view(np.int64))
        assert np.array_equal(
            feature.reveal(label.decode(answer)),
            feature._matrix.multiply(vector.view(np.uint64)).view(np.int64),
        )
    return np.array(errors)


def test_the_noise_is_that_of_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 20,000 draws without flooding: the predicted deviation, and never over eight of it."""
    matrix = matrix_of(20, 20)
    feature, label = sides(matrix)
    connect(feature, label)
    flood = 1 << feature.parameters.flood_bits

    def unflooded(count: int, bits: int) -> npt.NDArray[np.uint64]:
        if bits == feature.parameters.flood_bits + 1:
            return np.full(count, flood, dtype=np.uint64)
        return uniform_residues(count, bits)

    monkeypatch.setattr(lattice_feature, "uniform_residues", unflooded)
    errors = phase_errors(feature, label, 50).astype(np.float64)
    assert errors.size == 20_000
    parameters = feature.parameters
    in_query = tuniform_variance(ERROR_BITS) + rounding_variance(QUERY_BYTES)
    in_hint = tuniform_variance(HINT_ERROR_BITS) + rounding_variance(parameters.hint_bytes)
    predicted = matrix.weights * in_query + 2 * N / 3 * (in_query + in_hint)
    predicted = predicted + rounding_variance(parameters.answer_bytes)
    assert rounding_variance(parameters.hint_bytes) > 1000 * tuniform_variance(HINT_ERROR_BITS)
    deviations = errors / np.sqrt(predicted)
    assert 0.97 < deviations.std() < 1.03
    assert abs(deviations.mean()) < 0.05
    assert np.abs(deviations).max() < 6
    assert np.abs(errors).max() < label.parameters.error_bound


def test_the_flooding_hides_the_noise() -> None:
    """With flooding the error is uniform in ±2^φ, far wider than noise and rounding."""
    feature, label = sides(matrix_of(20, 20))
    connect(feature, label)
    errors = phase_errors(feature, label, 20).ravel()
    width = 2.0**label.parameters.flood_bits
    assert width / label.parameters.error_bound > 2**3
    assert np.abs(errors).max() < width + label.parameters.error_bound
    counts, _ = np.histogram(errors, bins=64, range=(-width, width))
    expected = errors.size / 64
    assert float(((counts - expected) ** 2 / expected).sum()) < 150  # 63 degrees of freedom


@pytest.mark.parametrize("case", VECTORS["parameters"], ids=lambda case: str(case["columns"]))
def test_the_parameters_are_the_documented_ones(case: dict[str, int]) -> None:
    """Δ, φ and the floor for W = n/2 and |v| ≤ 127, and the inequalities that they rest on."""
    columns = case["columns"]
    parameters = choose_parameters(columns, 127)
    assert parameters.delta_bits == case["delta_bits"]
    assert parameters.flood_bits == case["delta_bits"] - 2
    assert minimum_row_weight(columns) == case["floor"]
    assert parameters.sum_bound < 2 ** (parameters.residue_bits - 1)
    assert parameters.hint_bytes == case["hint_bytes"]
    assert parameters.answer_bytes == case["answer_bytes"]
    assert parameters.sum_bytes == case["sum_bytes"]
    assert 8 * parameters.sum_bytes >= parameters.residue_bits
    in_query = tuniform_variance(17) + 2.0**32 / 12
    in_hint = tuniform_variance(21) + 4.0 ** (64 - 8 * parameters.hint_bytes) / 12
    variance = columns // 2 * in_query + 2 * N / 3 * (in_query + in_hint)
    rounded = 2.0 ** (63 - 8 * parameters.answer_bytes)
    assert parameters.error_bound >= 8 * math.sqrt(variance) + rounded
    delta, flood = 2**parameters.delta_bits, 2**parameters.flood_bits
    assert delta >= 2 * parameters.error_bound + 2 * flood


@given(st.integers(4096, 4_000_000), st.integers(1, 200), st.integers(0, 10**6))
def test_shorter_words_stay_within_the_noise_budget(
    columns: int, value_bound: int, noise_bound: int
) -> None:
    """Error, rounding and flooding decode at any size, and a byte less of the hint would not."""
    parameters = choose_parameters(columns, value_bound, noise_bound)
    delta, flood = 2**parameters.delta_bits, 2**parameters.flood_bits
    assert 2 * parameters.error_bound + 2 * flood <= delta
    assert 8 * parameters.answer_bytes >= parameters.residue_bits + 5
    shorter = rounding_variance(parameters.hint_bytes - 1) * 2 * N / 3
    assert 8 * math.sqrt(shorter) > delta / 8
    # what the flooding must hide grows by 3% with a query's rounding
    in_query = tuniform_variance(ERROR_BITS) + rounding_variance(QUERY_BYTES)
    assert math.sqrt(in_query / tuniform_variance(ERROR_BITS)) < 1.031


def test_messages_have_the_bytes_that_are_told() -> None:
    """As sent, and what they took at eight bytes a word."""
    matrix = matrix_of(20, 20)
    feature, label = sides(matrix)
    blocks = connect(feature, label)
    query = label.query(np.ones(COLUMNS, dtype=np.int64))
    answer = feature.answer(query)
    sums = label.decode(answer)
    told = message_bytes(label.parameters, matrix.rows)
    assert told == {
        "hint_block": sum(len(block.values) for block in blocks),
        "query": len(query.ciphertext),
        "answer": len(answer.ciphertext),
        "sums": len(sums.values),
        "partial_scores": 4 * COLUMNS + 16,
    }
    full = full_width_bytes(matrix.rows, COLUMNS)
    assert full["hint_block"] == 400 * 2048 * 8
    assert all(told[kind] < full[kind] for kind in full)
    assert 2 * told["hint_block"] == full["hint_block"]


def test_the_entropy_floor_is_exact() -> None:
    """The floor is the fewest borrowers with log2 C(n, w) ≥ 512, by exact integers."""
    assert math.comb(4096, 71) >= 2**512 > math.comb(4096, 70)
    assert math.comb(24_000, 50) >= 2**512 > math.comb(24_000, 49)
    assert minimum_row_weight(4096) == 71
    assert minimum_row_weight(24_000) == 64  # the floor of 64 borrowers is the higher one
    assert minimum_row_weight(100_000) == 200


# --- refusals at set-up ---


def test_fewer_than_4096_borrowers_are_refused() -> None:
    """Both sides refuse, with the number and what serves instead."""
    matrix = OneHotMatrix(np.zeros((1, 4095), dtype=np.uint8), (1,))
    with pytest.raises(InputError, match=r"4095 training borrowers are too few .* needs 4096"):
        LatticeFeatureSide(matrix, Direction.TO_OWNER, 1, 0, b"")
    with pytest.raises(InputError, match="the elgamal map serves any number"):
        LatticeLabelSide(4095, Direction.TO_OWNER, 1, 0, b"")


def test_no_room_is_refused_with_the_numbers() -> None:
    """The largest |v| that fits is accepted, the next is refused by both scales."""
    largest = (2**32 - 1) // 2048
    parameters = choose_parameters(COLUMNS, largest)
    assert parameters.delta_bits == 31
    assert 2 * parameters.error_bound + 2 * 2**parameters.flood_bits <= 2**31
    with pytest.raises(
        NoRoomError, match=r"sums up to 4,294,967,296 .* 2\^30, decoding needs 2\^31"
    ):
        choose_parameters(COLUMNS, largest + 1)
    with pytest.raises(NoRoomError, match=r"2\^31"):
        choose_parameters(COLUMNS, 127, noise_bound=2**32)
    with pytest.raises(NoRoomError):
        choose_parameters(COLUMNS, 2**62)


def test_the_last_scale_with_room_still_decodes() -> None:
    """At the smallest Δ that is accepted the sums are exact."""
    matrix, bound = matrix_of(20, 20), (2**32 - 1) // 2048
    feature = LatticeFeatureSide(matrix, Direction.TO_OWNER, bound, 0, b"")
    label = LatticeLabelSide(COLUMNS, Direction.TO_OWNER, bound, 0, b"")
    connect(feature, label)
    for _ in range(10):
        vector = np.random.default_rng(3).choice([-bound, bound], COLUMNS)
        sums = feature.reveal(label.decode(feature.answer(label.query(vector))))
        assert np.array_equal(sums, matrix.multiply(vector.view(np.uint64)).view(np.int64))


@pytest.mark.parametrize(
    ("weight", "allowed"), [(70, False), (71, True), (2048, True), (2049, False)]
)
def test_rows_outside_the_floor_and_half_are_refused(weight: int, allowed: bool) -> None:
    """71 to 2,048 of 4,096 borrowers; the sentence names the row, its weight and the range."""
    weights = np.array([100, weight, weight])
    if allowed:
        check_row_weights(weights, COLUMNS)
        return
    with pytest.raises(InputError, match=f"row 1 of the bins has {weight} of 4096 .* 71 to 2048"):
        check_row_weights(weights, COLUMNS)


# --- refusals of messages ---


def test_hint_blocks_come_in_order_and_once() -> None:
    """A block out of order, repeated, too long, empty of bytes or after the last is refused."""
    feature, label = sides(matrix_of(20, 20))
    blocks = list(feature.accept(label.accept(feature.offer())))
    assert [(block.first_row, block.rows) for block in blocks] == [(0, 256), (256, 144)]
    with pytest.raises(ProtocolError, match="hint rows 256 to 400 came where row 0 of 400 is next"):
        label.take_hint(blocks[1])
    with pytest.raises(ProtocolError, match="a hint block holds"):
        label.take_hint(HintBlock(first_row=0, rows=256, values=blocks[0].values[:-8]))
    with pytest.raises(ProtocolError, match="hint rows 0 to 401"):
        label.take_hint(HintBlock(first_row=0, rows=401, values=b""))
    assert not label.take_hint(blocks[0])
    with pytest.raises(ProtocolError, match="hint rows 0 to 256 came where row 256"):
        label.take_hint(blocks[0])
    with pytest.raises(ProtocolError, match="whole hint first"):
        label.query(np.zeros(COLUMNS, dtype=np.int64))
    assert label.take_hint(blocks[1])
    with pytest.raises(ProtocolError, match="hint rows 400 to 401"):
        label.take_hint(HintBlock(first_row=400, rows=1, values=bytes(8 * N)))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_nonces_of_another_length_are_refused(length: int) -> None:
    """By both sides, and without spending the map: the right seed is still taken afterwards."""
    feature, label = sides(matrix_of(1, 3))
    offer = MapOffer.FromString(feature.offer().SerializeToString())
    offer.nonce = bytes(length)
    with pytest.raises(ProtocolError, match=f"the map offer's nonce has {length} bytes, 32 needed"):
        label.accept(offer)
    with pytest.raises(ProtocolError, match=f"the map seed's nonce has {length} bytes, 32 needed"):
        feature.accept(MapSeed(nonce=bytes(length)))
    connect(feature, label)
    assert label.ready


def test_a_commitment_of_another_length_and_too_many_rows_are_refused() -> None:
    """32 bytes and 1 to 2^20 rows."""
    feature, label = sides(matrix_of(1, 3))
    for field, value in (("commitment", bytes(31)), ("rows_sent", (1 << 20) + 1)):
        offer = MapOffer.FromString(feature.offer().SerializeToString())
        setattr(offer, field, value)
        with pytest.raises(ProtocolError, match="1 to 1048576 rows and 32 bytes are right"):
            label.accept(offer)


def test_other_bins_have_another_commitment_and_seed() -> None:
    """One changed code changes the commitment; each part of the offer and the context, the seed."""
    codes = np.array(matrix_of(1, 3).codes)
    codes[0, 0] = (codes[0, 0] + 1) % 4
    matrix, changed = matrix_of(1, 3), OneHotMatrix(codes, (3,))
    assert matrix.digest(b"salt") != changed.digest(b"salt")
    offer = MapOffer(rows_sent=3, columns=4096, commitment=matrix.digest(b"salt"), nonce=bytes(32))
    seed = MapSeed(nonce=bytes(32))
    seeds = {lattice.public_seed(b"context", offer, seed), lattice.public_seed(b"", offer, seed)}
    for field, value in (
        ("commitment", changed.digest(b"salt")),
        ("nonce", b"\1" * 32),
        ("columns", 4097),
        ("rows_sent", 4),
    ):
        other = MapOffer.FromString(offer.SerializeToString())
        setattr(other, field, value)
        seeds.add(lattice.public_seed(b"context", other, seed))
    seeds.add(lattice.public_seed(b"context", offer, MapSeed(nonce=b"\1" * 32)))
    assert len(seeds) == 7


def test_two_maps_of_the_same_bins_share_nothing() -> None:
    """Every map draws its own commitment salt, nonce, blinding and public matrix."""
    matrix = matrix_of(1, 3)
    (first, one), (second, two) = sides(matrix), sides(matrix)
    connect(first, one)
    connect(second, two)
    assert first.offer().commitment != second.offer().commitment
    assert first.offer().nonce != second.offer().nonce
    assert not np.array_equal(first._blinding, second._blinding)
    assert one._public is not None
    assert two._public is not None
    assert not np.any(one._public.elements == two._public.elements)


@pytest.mark.parametrize(
    "arguments",
    [
        (Direction.TO_OWNER, 127, 1000, b"another session"),
        (Direction.TO_LABEL_PARTY, 127, 1000, b""),
        (Direction.TO_OWNER, 126, 1000, b""),
        (Direction.TO_OWNER, 127, 999, b""),
    ],
    ids=["session", "direction", "value bound", "noise bound"],
)
def test_sides_that_disagree_do_not_decrypt(arguments: tuple[Direction, int, int, bytes]) -> None:
    """Another session, direction or bound on one side ends the map; no sum is opened."""
    matrix = matrix_of(20, 20)
    feature = LatticeFeatureSide(matrix, Direction.TO_OWNER, 127, 1000, b"")
    label = LatticeLabelSide(COLUMNS, *arguments)
    connect(feature, label)
    query = label.query(np.ones(COLUMNS, dtype=np.int64))
    if arguments[0] is Direction.TO_LABEL_PARTY:  # whose queries are shorter
        with pytest.raises(ProtocolError, match=r"query \d+ holds \d+ bytes where"):
            feature.answer(query)
        return
    with pytest.raises(ProtocolError, match=r"the answer to query \d+ does not decrypt"):
        label.decode(feature.answer(query))


def test_a_damaged_hint_does_not_decrypt() -> None:
    """A hint whose bytes were changed is noticed at the first answer."""
    feature, label = sides(matrix_of(20, 20))
    for block in feature.accept(label.accept(feature.offer())):
        block.values = block.values[8:] + block.values[:8]
        label.take_hint(block)
    answer = feature.answer(label.query(np.ones(COLUMNS, dtype=np.int64)))
    with pytest.raises(ProtocolError, match="does not decrypt"):
        label.decode(answer)


def test_a_sum_above_its_row_s_bound_is_refused() -> None:
    """A row of w borrowers can sum to 127·w + noise at most; what is above is refused unshown."""
    matrix = matrix_of(1, 3)
    feature, label = sides(matrix)
    connect(feature, label)
    modulus = 1 << label.parameters.residue_bits
    for excess, refused in ((0, False), (1, True), (-1, True)):
        sums = label.decode(feature.answer(label.query(np.zeros(COLUMNS, dtype=np.int64))))
        size = label.parameters.sum_bytes
        low = np.uint64(dropped_bits(size))
        values = PackedWords.from_bytes(sums.values, (3,), size, "").words() >> low
        sign = -1 if excess < 0 else 1
        shift = sign * (int(matrix.weights[1]) * 127 + 1000) + excess
        values[1] = (int(values[1]) + shift) % modulus
        packed = PackedWords.of(values << low, size).to_bytes()
        sums = Sums(query_id=sums.query_id, values=packed)
        if refused:
            with pytest.raises(ProtocolError, match="over its bound"):
                feature.reveal(sums)
        else:
            assert feature.reveal(sums).tolist() == [0, shift, 0]


def test_a_sum_above_the_bound_is_refused_when_opened() -> None:
    """The label party refuses what no agreed vector can sum to."""
    parameters = LatticeParameters(COLUMNS, 45, 43, 260_096, 0, 8)
    residues = np.array([260_096, 2**19 - 260_096], dtype=np.uint64)
    opened = lattice.lift(residues, parameters, parameters.sum_bound)
    assert opened.tolist() == [260_096, -260_096]
    with pytest.raises(ProtocolError, match="over its bound"):
        lattice.lift(residues + np.uint64(1), parameters, parameters.sum_bound)


# --- known answers ---


def test_known_answers_of_the_seed_and_the_public_matrix() -> None:
    """The seed, its expansion and products agree with a file made by independent integer code."""
    case = VECTORS["public_matrix"]
    offer = MapOffer(
        rows_sent=case["rows_sent"],
        columns=case["columns"],
        commitment=bytes.fromhex(case["commitment"]),
        nonce=bytes.fromhex(case["offer_nonce"]),
    )
    seed = lattice.public_seed(
        case["context"].encode(), offer, MapSeed(nonce=bytes.fromhex(case["seed_nonce"]))
    )
    assert seed.hex() == case["seed"]
    public = PublicMatrix(seed, case["columns"])
    assert [f"{word:016x}" for word in public.elements[0, :4]] == case["first_words"]
    secret = np.array([(5 * at * at + at) % 3 - 1 for at in range(N)], dtype=np.int8)
    product = public.times_secret(secret).astype("<u8").tobytes()
    assert hashlib.sha256(product).hexdigest() == case["product_with_secret_sha256"]
    codes = np.array([[(at * at + at) % 7 % 4 for at in range(case["columns"])]], dtype=np.uint8)
    rows = public.left_multiplied(OneHotMatrix(codes, (3,)), 0).astype("<u8").tobytes()
    assert hashlib.sha256(rows).hexdigest() == case["matrix_times_public_sha256"]


def test_known_answer_of_the_commitment() -> None:
    """The commitment's bytes are fixed: another version must not commit differently unnoticed."""
    case = VECTORS["commitment"]
    matrix = OneHotMatrix(np.array(case["codes"], dtype=np.uint8), tuple(case["bins"]))
    assert matrix.digest(case["salt"].encode()).hex() == case["digest"]

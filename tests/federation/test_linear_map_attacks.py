"""Attacks on the private linear maps: each succeeds with its protection off, and fails with it on.

A protection is switched off from outside, by replacing the randomness or a check that the code
draws on; the code itself has no such switch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow
import pytest
import tenseal

from federation.errors import InputError, ProtocolError
from federation.linear_maps import (
    Direction,
    OneHotMatrix,
    elgamal,
    encryption,
    lattice_feature,
    lattice_label,
)
from federation.linear_maps.elgamal import ElGamalFeatureSide, ElGamalLabelSide
from federation.linear_maps.lattice import public_seed
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.parameters import (
    ERROR_BITS,
    HINT_ERROR_BITS,
    QUERY_BYTES,
    tuniform_variance,
)
from federation.linear_maps.randomness import ternary, tuniform, uniform_residues
from federation.linear_maps.ring import RING_DEGREE as N
from federation.linear_maps.ring import PublicMatrix
from federation.linear_maps.words import PackedWords, round_words
from federation.proto.session_pb2 import MapOffer, MapSeed, Query

COLUMNS = 4096
Words = npt.NDArray[np.uint64]


def sides(
    matrix: OneHotMatrix, direction: Direction = Direction.TO_OWNER
) -> tuple[LatticeFeatureSide, LatticeLabelSide]:
    """Both sides of a lattice map with |v| ≤ 127."""
    return (
        LatticeFeatureSide(matrix, direction, 127, 0, b""),
        LatticeLabelSide(matrix.columns, direction, 127, 0, b""),
    )


def hint_of(feature: LatticeFeatureSide, label: LatticeLabelSide) -> tuple[PublicMatrix, Words]:
    """What the label party holds after the set-up: the public matrix and the hint."""
    for block in feature.accept(label.accept(feature.offer())):
        label.take_hint(block)
    assert label._public is not None
    return label._public, label._hint.words()


@contextmanager
def unblinded() -> Iterator[None]:
    """Sides that are made here have zeros for blinding, hints that are then only D·A + E."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lattice_feature, "ternary", lambda count: np.zeros(count, dtype=np.int8))
        yield


@contextmanager
def without_floor() -> Iterator[None]:
    """Sides that are made here take rows of any weight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lattice_feature, "check_row_weights", lambda weights, columns: None)
        yield


def byte_statistic(words: Words, first: int = 0, last: int = 8) -> float:
    """Chi-square of some of the words' bytes against uniform, 255 degrees of freedom."""
    data = words.astype("<u8").reshape(-1, 1).view(np.uint8)[:, first:last]
    counts = np.bincount(data.ravel(), minlength=256)
    expected = data.size / 256
    return float(((counts - expected) ** 2 / expected).sum())


def query_words(query: Query, word_bytes: int = QUERY_BYTES) -> Words:
    """A query's words, as its receiver reads them."""
    shape = (N + COLUMNS,)
    return PackedWords.from_bytes(query.ciphertext, shape, word_bytes, "").words()


# The bytes of a word that are sent, the others are zero: 4 of a hint over 4,096, 6 of a query.
IN_HINT, IN_QUERY = 4, 2

# Uniform bytes exceed this once in 10^9 runs (Wilson and Hilferty's approximation).
UNIFORM = 255 * (1 - 2 / (9 * 255) + 6 * (2 / (9 * 255)) ** 0.5) ** 3


# --- a rare bin, or the difference of two bins, from the hint ---


def column(public: PublicMatrix, at: int) -> Words:
    """Column `at` of A, the borrowers' rows of it (n,)."""
    elements = public.elements[1:]
    shifted = np.concatenate([-elements[:, N - at :], elements[:, : N - at]], axis=1)
    return shifted.ravel()[: public.columns]


def near_zero(words: Words) -> npt.NDArray[np.bool_]:
    """Whether a residue can be a sum of a few errors of the hint, rounding included."""
    return np.abs(words.view(np.int64)) <= np.int64(1 << (8 * IN_HINT + 1))


def pairs_that_explain(public: PublicMatrix, target: Words, sign: int) -> set[tuple[int, int]]:
    """All (i, k) with target ≈ A_i + sign·A_k, by sorting one column and checking five more."""
    first = column(public, 0)
    order = np.argsort(first)
    wanted = target[0] - first if sign > 0 else first - target[0]
    places = np.searchsorted(first[order], wanted)
    found = set()
    for shift in (-1, 0):
        partner = order[(places + shift) % len(order)]
        fits = near_zero(first[partner] - wanted)
        for borrower, other in zip(np.flatnonzero(fits), partner[fits], strict=True):
            pairs = np.array([column(public, at)[[borrower, other]] for at in range(1, 6)])
            rest = target[1:6] - pairs[:, 0]
            rest = rest - pairs[:, 1] if sign > 0 else rest + pairs[:, 1]
            if near_zero(rest).all():
                found.add((int(borrower), int(other)))
    return found


def rare_bin() -> OneHotMatrix:
    """A bin of two borrowers, 1,234 and 3,210."""
    codes = np.full((1, COLUMNS), 1, dtype=np.uint8)
    codes[0, [1234, 3210]] = 0
    return OneHotMatrix(codes, (1,))


def near_duplicates() -> OneHotMatrix:
    """Two features alike but for two borrowers; all rows hold hundreds."""
    codes = np.repeat(np.random.default_rng(1).integers(0, 4, (1, COLUMNS)).astype(np.uint8), 2, 0)
    codes[:, 1234], codes[:, 3210] = (0, 3), (3, 0)
    return OneHotMatrix(codes, (3, 3))


def test_a_rare_bin_is_read_from_an_unprotected_hint() -> None:
    """Without the floor and the blinding, the hint names both borrowers of a bin."""
    with without_floor(), unblinded():
        feature, label = sides(rare_bin())
    public, hint = hint_of(feature, label)
    assert pairs_that_explain(public, hint[0], 1) == {(1234, 3210), (3210, 1234)}


def test_a_rare_bin_is_refused_by_the_floor() -> None:
    """With the floor on, no hint of such a bin is ever made."""
    with pytest.raises(InputError, match="row 0 of the bins has 2 of 4096"):
        sides(rare_bin())


def test_a_rare_bin_is_hidden_by_the_blinding() -> None:
    """With the blinding on, the same search of the same bin's hint finds nothing."""
    with without_floor():
        feature, label = sides(rare_bin())
    public, hint = hint_of(feature, label)
    assert pairs_that_explain(public, hint[0], 1) == set()
    assert byte_statistic(hint, IN_HINT) < UNIFORM


def test_the_difference_of_two_bins_is_read_from_an_unblinded_hint() -> None:
    """The floor on rows is not enough: near-duplicate columns have a rare difference of rows."""
    with unblinded():
        feature, label = sides(near_duplicates())
    public, hint = hint_of(feature, label)
    assert pairs_that_explain(public, hint[0] - hint[3], -1) == {(1234, 3210)}
    # and rows that are the same in both features are recognised as such
    assert near_zero(hint[1] - hint[4]).all()


def test_the_difference_of_two_bins_is_hidden_by_the_blinding() -> None:
    """With the blinding on, differences of near-duplicate and of equal rows look uniform."""
    feature, label = sides(near_duplicates())
    public, hint = hint_of(feature, label)
    assert pairs_that_explain(public, hint[0] - hint[3], -1) == set()
    for row in range(3):
        assert byte_statistic(hint[row] - hint[3 + row], IN_HINT) < UNIFORM


# --- several hints of one D ---


def cyclic_product(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The product in GF(2)[X]/(X^N - 1), which is the ring modulo 2."""
    spectrum = np.fft.rfft(left) * np.fft.rfft(right)
    product: npt.NDArray[np.int64] = np.rint(np.fft.irfft(spectrum, N)).astype(np.int64) & 1
    return product


def inverse_modulo_two(element: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """1/a in GF(2)[X]/(X + 1)^N for a of odd weight: a^2048 = 1, so a^(1 + 2 + ... + 1024)."""
    inverse, power = element, element
    for _ in range(10):
        squared = np.zeros(N, dtype=np.int64)
        np.add.at(squared, 2 * np.flatnonzero(power) % N, 1)
        power = squared & 1
        inverse = cyclic_product(inverse, power)
    return inverse


def low_bits(words: Words) -> npt.NDArray[np.int64]:
    """Words modulo 2."""
    return (words & np.uint64(1)).astype(np.int64)


def bins_by_elimination(public: PublicMatrix, row: Words) -> npt.NDArray[np.int64]:
    """The row of D over the first N borrowers, if `row` is exactly D·A for these (N equations)."""
    element = low_bits(public.elements[1])
    reversed_element = np.roll(element[::-1], 1)  # a(1/X): a hint correlates, it does not convolve
    return cyclic_product(low_bits(row), inverse_modulo_two(reversed_element))


def unrounded(feature: LatticeFeatureSide) -> None:
    """Let a side send hints whole: rounding hides more than the errors that averages take off."""
    feature.parameters = replace(feature.parameters, hint_bytes=8)


def map_with_invertible_block(matrix: OneHotMatrix) -> tuple[LatticeFeatureSide, PublicMatrix]:
    """An unblinded feature side and its public matrix, its first borrowers' element a unit."""
    while True:
        with unblinded():
            feature, label = sides(matrix)
        unrounded(feature)
        offer = feature.offer()
        seed = label.accept(offer)
        public = PublicMatrix(public_seed(feature._context, offer, seed), matrix.columns)
        if low_bits(public.elements[1]).sum() % 2:
            list(feature.accept(seed))
            return feature, public


def one_bin(seed: int = 3) -> OneHotMatrix:
    """One row of 200 borrowers among the first N; the label party knows the others."""
    codes = np.ones((1, COLUMNS), dtype=np.uint8)
    codes[0, np.random.default_rng(seed).choice(N, 200, replace=False)] = 0
    return OneHotMatrix(codes, (1,))


def hints(feature: LatticeFeatureSide, public: PublicMatrix, count: int) -> Words:
    """`count` hints of one D under one seed (count, rows, N), as accept() would never send."""
    rows = []
    for _ in range(count):
        blocks = [
            PackedWords.from_bytes(block.values, (block.rows, N), 8, "").words()
            for block in feature._hint_blocks(public)
        ]
        rows.append(np.concatenate(blocks))
    return np.stack(rows)


def averaged(many: Words) -> Words:
    """The hints' mean, rounded, modulo 2^64."""
    spread = (many - many[0]).view(np.int64)
    mean: Words = many[0] + np.rint(spread.mean(axis=0)).astype(np.int64).view(np.uint64)
    return mean


def test_repeated_hints_average_their_errors_away() -> None:
    """Two hints under one seed halve the error's variance, 64 divide it by 64."""
    matrix = near_duplicates()
    feature, public = map_with_invertible_block(matrix)
    many = hints(feature, public, 64)
    exact = np.concatenate([public.left_multiplied(matrix, feature) for feature in range(2)])
    single = (many[0] - exact).view(np.int64).astype(np.float64).var()
    for count in (2, 64):
        left = (averaged(many[:count]) - exact).view(np.int64).astype(np.float64).var()
        assert 0.9 < left * count / single < 1.1
    # their difference has no D in it at all
    assert near_zero(many[0] - many[1]).all()
    assert byte_statistic(many[0] - many[1]) > 10 * UNIFORM


def test_rounded_hints_average_nothing_away() -> None:
    """What rounding took stays away: the mean of 64 rounded hints is as far off as one."""
    matrix = near_duplicates()
    feature, public = map_with_invertible_block(matrix)
    exact = np.concatenate([public.left_multiplied(matrix, feature) for feature in range(2)])
    many = round_words(hints(feature, public, 64), 4)
    for count in (1, 64):
        left = (averaged(many[:count]) - exact).view(np.int64).astype(np.float64).var()
        assert 0.9 < left / (4.0**32 / 12) < 1.1


def test_averaged_hints_of_small_errors_give_the_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """With errors of ±4 a thousand hints are enough: elimination modulo 2 reads every borrower."""
    matrix = one_bin()
    feature, public = map_with_invertible_block(matrix)
    monkeypatch.setattr(lattice_feature, "HINT_ERROR_BITS", 2)
    many = hints(feature, public, 1200)
    read = bins_by_elimination(public, averaged(many)[0])
    assert np.array_equal(read, matrix.codes[0, :N] == 0)
    # one hint alone gives coin flips
    read = bins_by_elimination(public, many[0, 0])
    assert 0.4 < np.mean(read == (matrix.codes[0, :N] == 0)) < 0.6


def test_a_second_hint_is_refused() -> None:
    """accept() makes one hint a map, whatever the second seed is."""
    feature, label = sides(near_duplicates())
    seed = label.accept(feature.offer())
    hint = feature.accept(seed)
    for again in (seed, MapSeed(nonce=bytes(32))):
        with pytest.raises(ProtocolError, match="second hint"):
            feature.accept(again)
    assert sum(block.rows for block in hint) == 6


def test_hints_of_two_maps_share_nothing() -> None:
    """The same D under a fresh seed and blinding: no average, no small difference."""
    matrix = near_duplicates()
    (_, first), (_, second) = hint_of(*sides(matrix)), hint_of(*sides(matrix))
    assert byte_statistic(first - second, IN_HINT) < UNIFORM
    assert byte_statistic(first + second, IN_HINT) < UNIFORM


# --- a secret or an error that is missing ---


def vectors_read_from(first: Words, second: Words, delta_bits: int) -> npt.NDArray[np.int64]:
    """round((b1 - b2)/Δ) over the borrowers, as if the secrets were the same."""
    one, two = first[N:], second[N:]
    half = np.uint64(1 << (delta_bits - 1))
    read: npt.NDArray[np.int64] = (one - two + half).view(np.int64) >> np.int64(delta_bits)
    return read


@pytest.mark.parametrize("reused", [True, False])
def test_a_reused_secret_gives_the_difference_of_two_vectors(
    reused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b1 - b2 = Δ·(v1 - v2) + small: exact under one secret, uniform bytes under fresh ones."""
    feature, label = sides(near_duplicates())
    hint_of(feature, label)
    secret = ternary(N)
    if reused:
        monkeypatch.setattr(lattice_label, "ternary", lambda count: secret)
    generator = np.random.default_rng(11)
    one, two = (generator.integers(-127, 128, COLUMNS) for _ in range(2))
    first, second = query_words(label.query(one)), query_words(label.query(two))
    read = vectors_read_from(first, second, label.parameters.delta_bits)
    difference = first - second
    assert np.array_equal(read, one - two) is reused
    assert np.mean(read == one - two) < 0.01 or reused
    assert (byte_statistic(difference, IN_QUERY) < UNIFORM) is not reused
    # each query alone looks uniform either way
    assert byte_statistic(first, IN_QUERY) < UNIFORM


@pytest.mark.parametrize("erroneous", [True, False])
def test_a_query_without_error_gives_its_secret(
    erroneous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """σ = 0: one block modulo 2 gives s modulo 2, which predicts the rest; with errors nothing.

    Queries are sent whole here: rounded ones have no lowest bit to read.
    """
    while True:
        feature, label = sides(near_duplicates())
        label.parameters = replace(label.parameters, query_bytes=8)
        public, _ = hint_of(feature, label)
        if low_bits(public.elements[0]).sum() % 2:
            break
    if not erroneous:
        monkeypatch.setattr(encryption, "tuniform", lambda shape, bits: np.zeros(shape, np.int64))
    query = label.query(np.random.default_rng(12).integers(-127, 128, COLUMNS))
    # Δ·v is even: it is gone modulo 2
    bits = low_bits(query_words(query, 8)).reshape(3, N)
    secret = cyclic_product(bits[0], inverse_modulo_two(low_bits(public.elements[0])))
    predicted = [cyclic_product(low_bits(public.elements[block]), secret) for block in (1, 2)]
    agreement = np.mean(np.concatenate(predicted) == bits[1:].ravel())
    if erroneous:
        assert 0.4 < agreement < 0.6
        assert 0.4 < secret.mean() < 0.6
    else:
        assert agreement == 1
        assert np.array_equal(secret, label._secrets[query.query_id][0].astype(np.int64) & 1)


# --- what each side sees looks uniform ---


def test_queries_and_hints_have_uniform_bytes() -> None:
    """Even of constant vectors and near-duplicate bins, each and in differences."""
    feature, label = sides(near_duplicates())
    _, hint = hint_of(feature, label)
    assert byte_statistic(hint, IN_HINT) < UNIFORM
    for vector in (np.zeros(COLUMNS, dtype=np.int64), np.full(COLUMNS, 127)):
        query = label.query(vector)
        sent = np.frombuffer(query.ciphertext, dtype=np.uint8).astype(np.uint64)
        assert byte_statistic(sent, 0, 1) < UNIFORM
        ciphertext = query_words(query)
        assert byte_statistic(ciphertext[1:] - ciphertext[:-1], IN_QUERY) < UNIFORM


@pytest.mark.parametrize("masked", [True, False])
def test_decoded_answers_have_uniform_bytes_only_under_masks(
    masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the owner, what the label party decodes is uniform; without masks it is D·v itself."""
    codes = np.random.default_rng(13).integers(0, 21, (20, COLUMNS)).astype(np.uint8)
    matrix = OneHotMatrix(codes, (20,) * 20)
    feature, label = sides(matrix)
    hint_of(feature, label)
    residue_bits = label.parameters.residue_bits
    if not masked:
        monkeypatch.setattr(
            lattice_feature,
            "uniform_residues",
            lambda count, bits: (
                np.zeros(count, dtype=np.uint64)
                if bits == residue_bits
                else uniform_residues(count, bits)
            ),
        )
    vector = np.random.default_rng(14).integers(-127, 128, COLUMNS)
    decoded = []
    for _ in range(5):
        sums = label.decode(feature.answer(label.query(vector)))
        packed = PackedWords.from_bytes(sums.values, (matrix.rows,), 3, "")
        decoded.append(packed.words() >> np.uint64(40))
    assert residue_bits == 19
    assert (byte_statistic(np.concatenate(decoded), 0, 2) < UNIFORM) is masked
    learned = (np.array(decoded)[0] << np.uint64(45)).view(np.int64) >> 45
    exact = matrix.multiply(vector.view(np.uint64)).view(np.int64)
    assert np.array_equal(learned, exact) is not masked
    assert np.array_equal(decoded[0], decoded[1]) is not masked


@pytest.mark.parametrize("flooded", [True, False])
def test_answers_without_flooding_are_linear_equations_in_the_bins(
    flooded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """r = (R | D)·b exactly would let elimination read D; flooding makes every equation unsure."""
    matrix = near_duplicates()
    feature, label = sides(matrix, Direction.TO_LABEL_PARTY)
    hint_of(feature, label)
    if not flooded:
        # zero once 2^φ is subtracted
        monkeypatch.setattr(
            lattice_feature,
            "uniform_residues",
            lambda count, bits: np.full(count, 1 << (bits - 1), dtype=np.uint64),
        )
    query = label.query(np.zeros(COLUMNS, dtype=np.int64))
    blinded, rest = np.split(query_words(query, label.parameters.query_bytes), [N])
    size = label.parameters.answer_bytes
    answer = feature.answer(query)
    reply = PackedWords.from_bytes(answer.ciphertext, (matrix.rows,), size, "").words()
    exact = matrix.multiply(rest) + feature._blinding.astype(np.int64).view(np.uint64) @ blinded
    assert np.array_equal(reply, round_words(exact, size)) is not flooded
    # off by more than everything else that is unknown in the equation
    unknown = COLUMNS // 2 * tuniform_variance(ERROR_BITS)
    unknown += 2 * N / 3 * tuniform_variance(HINT_ERROR_BITS)
    distance = np.abs((reply - exact).view(np.int64))
    # Rounding the answer alone is off by Δ/64 at most; six rows are all within Δ/32 of a flood of
    # Δ/4 once in 2^18 times.
    beyond_rounding = 1 << (label.parameters.delta_bits - 5)
    assert beyond_rounding > 8000 * math.sqrt(unknown)
    assert bool(distance.max() > beyond_rounding) is flooded


# --- the elgamal map's replies ---


def small_bin() -> OneHotMatrix:
    """A bin of ten of fourteen borrowers: C(14, 10) = 1,001 candidates."""
    codes = np.zeros((1, 14), dtype=np.uint8)
    codes[0, [1, 4, 8, 13]] = 1
    return OneHotMatrix(codes, (1,))


def bins_recognised(query: bytes, reply: bytes) -> list[tuple[int, ...]]:
    """The sets of borrowers whose own ciphertexts sum to the reply's first element."""
    points = [query[at : at + 32] for at in range(0, len(query), 64)]
    total = points[0]
    for point in points[1:]:
        total = elgamal.add(total, point)
    recognised = []
    for absent in itertools.combinations(range(14), 4):
        candidate = total
        for borrower in absent:
            candidate = elgamal.subtract(candidate, points[borrower])
        if candidate == reply[:32]:
            recognised.append(absent)
    return recognised


@pytest.mark.parametrize("rerandomised", [True, False])
@pytest.mark.parametrize("direction", list(Direction))
def test_replies_without_rerandomisation_give_the_bin(
    direction: Direction, rerandomised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label party recognises sums of its own ciphertexts, unless zero was added afresh."""
    feature = ElGamalFeatureSide(small_bin(), direction, 127, 0, b"")
    label = ElGamalLabelSide(14, direction, 127, 0, b"")
    feature.accept(label.accept(feature.offer()))
    query = label.query(np.arange(14, dtype=np.int64))
    if not rerandomised:
        monkeypatch.setattr(elgamal.secrets, "randbelow", lambda bound: 0)
    answer = feature.answer(query)
    found = bins_recognised(query.ciphertext, answer.ciphertext)
    assert found == ([] if rerandomised else [(1, 4, 8, 13)])


# --- why replies are re-randomised: the quotient of a BFV reply and its request ---

BFV_DEGREE = 4096
BFV_SLOTS_MODULUS = 40961  # of the plaintext, 1 modulo 2N: a vector of 4,096 slots
BFV_PRIME = 1073651713  # the first of the ciphertext's primes of 30 bits that SEAL chooses
Residues = npt.NDArray[np.int64]


def bfv_second_polynomial(vector: tenseal.BFVVector) -> Residues:
    """c_1 modulo BFV_PRIME (N,) from SEAL's serialisation: (2 polynomials, 2 primes, N) words."""
    serialised = vector.serialize()
    start = serialised.index(b"\x5e\xa1\x10")  # SEAL's header; what follows is Zstandard
    length = int.from_bytes(serialised[start + 8 : start + 16], "little")
    compressed = pyarrow.BufferReader(serialised[start + 16 : start + length])
    raw = pyarrow.input_stream(compressed, compression="zstd").read()
    words = np.frombuffer(raw[-4 * BFV_DEGREE * 8 :], dtype="<u8").astype(np.int64)
    return words.reshape(2, 2, BFV_DEGREE)[1, 0]


def primitive_root(prime: int) -> int:
    """The smallest ψ with ψ^N = -1 modulo the prime."""
    candidates = (pow(base, (prime - 1) // (2 * BFV_DEGREE), prime) for base in range(2, prime))
    root = next(root for root in candidates if pow(root, BFV_DEGREE, prime) == prime - 1)
    return min(pow(root, exponent, prime) for exponent in range(1, 2 * BFV_DEGREE, 2))


def powers(base: int, prime: int) -> Residues:
    """base^0 to base^(N - 1)."""
    table = [1]
    while len(table) < BFV_DEGREE:
        table.append(table[-1] * base % prime)
    return np.array(table, dtype=np.int64)


def transformed(values: Residues, table: Residues, prime: int) -> Residues:
    """Σ_j values_j·ω^(j·k) for all k, by halves; the table holds the powers of ω."""
    if len(values) == 1:
        return values
    even = transformed(values[0::2], table[0::2], prime)
    odd = transformed(values[1::2], table[0::2], prime) * table[: len(values) // 2] % prime
    return np.concatenate([even + odd, even - odd]) % prime


def at_odd_powers(coefficients: Residues, prime: int) -> Residues:
    """A polynomial's values at ψ, ψ^3, ψ^5, …"""
    root = primitive_root(prime)
    twisted = coefficients * powers(root, prime) % prime
    return transformed(twisted, powers(root * root % prime, prime), prime)


def from_odd_powers(values: Residues, prime: int) -> Residues:
    """Back to coefficients, nearest zero."""
    root = pow(primitive_root(prime), -1, prime)
    cyclic = transformed(values, powers(root * root % prime, prime), prime)
    scaled = cyclic * pow(BFV_DEGREE, -1, prime) % prime
    lifted = scaled * powers(root, prime) % prime
    return np.where(lifted > prime // 2, lifted - prime, lifted)


def slots(polynomial: Residues) -> Residues:
    """The 4,096 numbers that a plaintext polynomial stands for, in SEAL's order (powers of 3)."""
    values = at_odd_powers(polynomial % BFV_SLOTS_MODULUS, BFV_SLOTS_MODULUS)
    half = np.array([pow(3, at, 2 * BFV_DEGREE) for at in range(BFV_DEGREE // 2)])
    return values[(np.concatenate([half, 2 * BFV_DEGREE - half]) - 1) // 2]


@pytest.mark.parametrize("rerandomised", [True, False])
def test_the_quotient_of_a_bfv_reply_and_its_request_is_the_partner_s_row(
    rerandomised: bool,
) -> None:
    """A reply that is only request × plaintext hands over the plaintext, without any key.

    This is why no map here ever returns a product without adding a fresh encryption to it.
    """
    context = tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        poly_modulus_degree=BFV_DEGREE,
        plain_modulus=BFV_SLOTS_MODULUS,
        coeff_mod_bit_sizes=[30, 30, 30],
    )
    generator = np.random.default_rng(15)
    vector, row = generator.integers(-127, 128, BFV_DEGREE), generator.integers(0, 2, BFV_DEGREE)
    request = tenseal.bfv_vector(context, vector.tolist())
    reply = request * row.tolist()
    if rerandomised:
        reply = reply + tenseal.bfv_vector(context, [0] * BFV_DEGREE)
    assert np.array_equal(reply.decrypt(), vector * row)
    asked, got = (
        at_odd_powers(bfv_second_polynomial(part), BFV_PRIME) for part in (request, reply)
    )
    # a fresh ciphertext is 0 at one of the roots in about one of 260,000 requests
    inverses = np.array([pow(value, BFV_PRIME - 2, BFV_PRIME) for value in asked.tolist()])
    quotient = from_odd_powers(got * inverses % BFV_PRIME, BFV_PRIME)
    assert np.array_equal(slots(quotient), row) is not rerandomised
    assert bool(np.abs(quotient).max() < BFV_SLOTS_MODULUS) is not rerandomised


# --- the public matrix, and the test of uniformity itself ---


def test_nobody_chooses_the_public_matrix() -> None:
    """Either side's nonce alone changes the whole of A: a chosen A would be a trapdoor."""
    offer = MapOffer(rows_sent=1, columns=COLUMNS, commitment=bytes(32), nonce=bytes(32))
    seeds = [public_seed(b"", offer, MapSeed(nonce=bytes([number]) * 32)) for number in range(3)]
    offer.nonce = b"\1" * 32
    seeds += [public_seed(b"", offer, MapSeed(nonce=bytes([number]) * 32)) for number in range(3)]
    assert len(set(seeds)) == 6
    one, two = (PublicMatrix(seed, COLUMNS).elements for seed in seeds[:2])
    assert byte_statistic(one - two) < UNIFORM


def test_the_uniformity_test_sees_what_is_not_uniform() -> None:
    """The statistic passes the operating system's words and fails errors and biased words."""
    words = uniform_residues(10_000, 64)
    assert byte_statistic(words) < UNIFORM
    assert byte_statistic(words & np.uint64(2**64 - 2)) > UNIFORM
    assert byte_statistic(tuniform((10_000,), HINT_ERROR_BITS).view(np.uint64)) > 100 * UNIFORM

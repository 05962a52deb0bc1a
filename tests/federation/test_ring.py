"""Products in Z_2^64[X]/(X^N + 1) by floating FFT against exact integer convolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.linear_maps import ring
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.ring import RING_DEGREE as N
from federation.linear_maps.ring import PublicMatrix, evaluate, exact_words, limbs_of

SLOT = 160  # bits a coefficient in an integer that holds a whole polynomial: nothing overflows


def exact_product(left: npt.NDArray[np.uint64], right: npt.NDArray[np.int8]) -> list[int]:
    """The negacyclic product modulo 2^64 by one multiplication of big integers (Kronecker)."""
    packed_left = int.from_bytes(
        b"".join(int(value).to_bytes(SLOT // 8, "little") for value in left), "little"
    )
    total = [0] * (2 * N)
    for sign in (1, -1):
        part = np.maximum(sign * right.astype(np.int64), 0)
        packed_right = int.from_bytes(
            b"".join(int(value).to_bytes(SLOT // 8, "little") for value in part), "little"
        )
        product = (packed_left * packed_right).to_bytes(2 * N * SLOT // 8, "little")
        for at in range(2 * N):
            slot = product[at * SLOT // 8 : (at + 1) * SLOT // 8]
            total[at] += sign * int.from_bytes(slot, "little")
    return [(total[at] - total[at + N]) % 2**64 for at in range(N)]


def extracted_row(element: npt.NDArray[np.uint64], at: int) -> npt.NDArray[np.uint64]:
    """Row `at` of a block of A: (a·s)_at = ⟨row, s⟩."""
    return np.concatenate([element[at::-1], -element[:at:-1]])


@pytest.fixture(scope="module")
def public() -> PublicMatrix:
    """Two full blocks of borrowers and one of five."""
    return PublicMatrix(bytes(range(32)), 2 * N + 5)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_limbs_are_balanced_and_join_to_the_value(values: list[int]) -> None:
    """Two limbs of 32 bits around zero give any 64-bit value back, at the roots and here."""
    words = np.zeros(N, dtype=np.uint64)
    words[: len(values)] = values
    limbs = limbs_of(words)
    assert np.abs(limbs).max() <= 2**31
    low, high = limbs.astype(np.int64).view(np.uint64)
    assert np.array_equal(low + (high << np.uint64(32)), words)
    assert np.array_equal(exact_words(list(evaluate(limbs))), words)


@pytest.mark.parametrize("kind", ["random", "ones", "minus ones", "alternating", "unit"])
def test_products_with_a_secret_are_exact(public: PublicMatrix, kind: str) -> None:
    """A·s equals exact integer convolution in every block, for random and extreme secrets."""
    secret = np.random.default_rng(1).integers(-1, 2, N).astype(np.int8)
    if kind != "random":
        secret[:] = {"ones": 1, "minus ones": -1, "alternating": 1, "unit": 0}[kind]
        secret[1::2] *= -1 if kind == "alternating" else 1
        secret[-1] = 1
    product = public.times_secret(secret)
    assert product.shape == (3 * N + 5,)
    for block in (0, 2):
        exact = np.array(exact_product(public.elements[block], secret), dtype=np.uint64)
        assert np.array_equal(product[block * N : (block + 1) * N], exact)
    last = extracted_row(public.elements[3], 4) @ secret.astype(np.int64).view(np.uint64)
    assert product[-1] == last


def test_extreme_elements_are_exact() -> None:
    """The largest limbs everywhere, in step with the secret, still round to the exact integers."""
    for word in (2**64 - 1, 2**63, 0x7FFFFFFF | 0x7FFFFFFF << 32, 0x5555555555555555):
        public = PublicMatrix(b"", 1)
        public.elements = np.full((2, N), word, dtype=np.uint64)
        secret = np.ones(N, dtype=np.int8)
        exact = np.array(exact_product(public.elements[0], secret), dtype=np.uint64)
        assert np.array_equal(public.times_secret(secret)[:N], exact)


@pytest.mark.parametrize("pattern", ["random", "run", "alternating", "sparse"])
def test_a_matrix_times_the_public_matrix_is_exact(public: PublicMatrix, pattern: str) -> None:
    """D·A equals the sum of the extracted rows of every borrower of a bin."""
    columns = public.columns
    codes = np.full(columns, 2, dtype=np.uint16)
    if pattern == "random":
        codes[:] = np.random.default_rng(2).integers(0, 3, columns)
    elif pattern == "run":
        codes[: columns // 2], codes[columns // 2 :] = 0, 1
    elif pattern == "alternating":
        codes[:] = np.arange(columns) % 2
    else:
        codes[[0, N - 1, N, 2 * N + 4]] = 0
        codes[[1, 2 * N]] = 1
    matrix = OneHotMatrix(np.stack([np.zeros_like(codes), codes]), (0, 2))
    product = public.left_multiplied(matrix, 1)
    exact = np.zeros((2, N), dtype=np.uint64)
    for row in range(2):
        for borrower in np.flatnonzero(codes == row):
            block, at = divmod(int(borrower), N)
            exact[row] += extracted_row(public.elements[1 + block], at)
    assert np.array_equal(product, exact)
    assert public.left_multiplied(matrix, 0).shape == (0, N)


def test_blinding_times_the_public_matrix_is_exact(public: PublicMatrix) -> None:
    """R·A equals integer products with the rows of the first block."""
    blinding = np.random.default_rng(3).integers(-1, 2, (3, N)).astype(np.int8)
    rows = np.stack([extracted_row(public.elements[0], at) for at in range(N)])
    exact = blinding.astype(np.int64).view(np.uint64) @ rows
    assert np.array_equal(public.left_blinded(blinding), exact)


def test_both_products_agree_on_inner_products(public: PublicMatrix) -> None:
    """(D·A)·s = D·(A·s): the identity that decoding rests on."""
    generator = np.random.default_rng(4)
    codes = generator.integers(0, 4, (1, public.columns)).astype(np.uint8)
    matrix, secret = OneHotMatrix(codes, (3,)), generator.integers(-1, 2, N).astype(np.int8)
    left = public.left_multiplied(matrix, 0) @ secret.astype(np.int64).view(np.uint64)
    assert np.array_equal(left, matrix.multiply(public.times_secret(secret)[N:]))


def distance(values: npt.NDArray[np.complex128]) -> float:
    """How far the products at these values at the roots lie from integers, at most."""
    folded = np.fft.fft(values, norm="forward") * ring._TWIST.conj()
    parts = (folded.real, folded.imag)
    return max(float(np.abs(part - np.rint(part)).max()) for part in parts)


def test_values_lie_far_nearer_to_integers_than_the_limit(public: PublicMatrix) -> None:
    """The measured distance leaves more than ten bits to the limit of 1/4."""
    secret = np.random.default_rng(5).integers(-1, 2, N).astype(np.float64)
    assert distance(public._values * evaluate(secret)) < 2.0**-12


@pytest.mark.parametrize("pattern", ["random", "runs", "half"])
def test_the_fullest_sums_lie_near_integers_too(pattern: str) -> None:
    """As many blocks as are ever added before rounding, rows of a half of all borrowers."""
    columns = ring.BLOCKS_A_SUM * N
    public = PublicMatrix(b"full", columns)
    codes = np.random.default_rng(6).integers(0, 2, columns).astype(np.uint8)
    if pattern == "runs":
        codes = (np.arange(columns) // 512 % 2).astype(np.uint8)
    elif pattern == "half":
        codes = (np.arange(columns) < columns // 2).astype(np.uint8)
    correlated = public._correlated(codes, 1, 1, public.blocks)
    assert distance(correlated) < 2.0**-6


def test_more_blocks_than_are_added_at_once_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding in several parts gives the same sums as in one."""
    codes = np.random.default_rng(7).integers(0, 3, (1, 5 * N + 9)).astype(np.uint8)
    matrix, public = OneHotMatrix(codes, (2,)), PublicMatrix(b"parts", 5 * N + 9)
    whole = public.left_multiplied(matrix, 0)
    monkeypatch.setattr(ring, "BLOCKS_A_SUM", 2)
    assert np.array_equal(public.left_multiplied(matrix, 0), whole)


def test_what_is_not_near_an_integer_is_refused() -> None:
    """A product off by a third is an error, not a wrong sum."""
    coefficients = np.zeros(N)
    coefficients[7] = 1 / 3
    with pytest.raises(ArithmeticError, match=r"0\.333 from an integer"):
        exact_words([evaluate(np.zeros(N)), evaluate(coefficients)])
    with pytest.raises(ArithmeticError, match="nan"):
        exact_words([np.full(N // 2, np.nan + 0j)] * 2)


@settings(max_examples=5, deadline=None)
@given(st.binary(max_size=40))
def test_the_public_matrix_follows_from_its_seed(seed: bytes) -> None:
    """The same seed gives the same elements, another seed others, and fewer borrowers a prefix."""
    elements = PublicMatrix(seed, N).elements
    assert np.array_equal(elements, PublicMatrix(seed, N).elements)
    assert np.array_equal(elements, PublicMatrix(seed, 5 * N).elements[:2])
    assert not np.array_equal(elements, PublicMatrix(seed + b"\0", N).elements)

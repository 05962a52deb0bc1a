"""Exact products in Z_2^64[X]/(X^N + 1) by floating FFT, and the public matrix made of them.

A product of a uniform 64-bit polynomial with small coefficients is computed limb by limb: two
balanced limbs of 32 bits, a half-size complex FFT with a twist that makes the convolution
negacyclic (evaluation at the odd powers of the 2N-th root of unity), and rounding. That a rounded
value is the exact integer is not assumed: every value must lie within 1/4 of an integer, else
ArithmeticError. docs/security.md bounds the error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import fft

from federation.linear_maps.one_hot import OneHotMatrix

RING_DEGREE = 2048  # N
HALF = RING_DEGREE // 2
LIMB_BITS = 32
LIMBS = 2
# Blocks of borrowers whose products are added before rounding: what a sum of more would lose in
# precision, and in bits of a float64, grows with it.
BLOCKS_A_SUM = 64
# Products with secrets that are made at once: half a megabyte of them stays in a core's cache.
POLYNOMIALS_AT_ONCE = 32
# Rows of a hint that are made at once, for the same reason.
ROWS_AT_ONCE = 32
_TWIST: npt.NDArray[np.complex128] = np.exp(1j * np.pi * np.arange(HALF) / RING_DEGREE)
_UNTWIST: npt.NDArray[np.complex128] = _TWIST.conj() / HALF
_ROUNDER = 1.5 * 2.0**52
_ROUNDER_WORD = np.float64(_ROUNDER).view(np.uint64)

Complex = npt.NDArray[np.complex128]


def limbs_of(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Balanced limbs (2, *shape) with values = Σ limb_i·2^(32 i) modulo 2^64."""
    rest = values.view(np.int64)
    half, full = 1 << (LIMB_BITS - 1), 1 << LIMB_BITS
    low = ((rest + half) & (full - 1)) - half
    high = (rest - low) >> LIMB_BITS
    return np.stack([low.astype(np.float64), high.astype(np.float64)])


def evaluate(coefficients: npt.NDArray[np.float64]) -> Complex:
    """Values of real polynomials (…, N) at N/2 roots of X^N + 1, one of each conjugate pair."""
    folded = (coefficients[..., :HALF] + 1j * coefficients[..., HALF:]) * _TWIST
    values: Complex = fft.ifft(folded, norm="forward", overwrite_x=True)
    return values


def exact_words(limbs: Sequence[Complex]) -> npt.NDArray[np.uint64]:
    """Back from every limb's values (…, N/2) to Σ limb_i·2^(32 i) modulo 2^64 (…, N).

    Adding 1.5·2^52 rounds to an integer and leaves it in a float64's lowest bits: few passes, since
    there are many polynomials. The values are overwritten.

    Raises:
        ArithmeticError: a coefficient is not within 1/4 of an integer.
    """
    shape = limbs[0].shape[:-1]
    words = np.zeros((*shape, 2, HALF), dtype=np.uint64)
    for index, values in enumerate(limbs):
        folded = fft.fft(values, overwrite_x=True)
        folded *= _UNTWIST
        coefficients = folded.view(np.float64)
        shifted = coefficients + _ROUNDER
        distances = shifted - _ROUNDER
        distances -= coefficients
        distance = max(float(distances.max(initial=0.0)), -float(distances.min(initial=0.0)))
        if not distance <= 0.25:
            raise ArithmeticError(
                f"a ring product lies {distance:.3f} from an integer, 0.25 at most is exact"
            )
        integers = shifted.view(np.uint64)
        integers -= _ROUNDER_WORD
        integers <<= np.uint64(LIMB_BITS * index)
        # real parts are the lower coefficients, imaginary ones the upper
        words += np.moveaxis(integers.reshape(*shape, HALF, 2), -1, -2)
    return words.reshape(*shape, RING_DEGREE)


class PublicMatrix:
    """The never materialised (N + n) × N matrix A.

    Row j of block k extracts coefficient j of the ring product a_k·s. The first block belongs to
    the N blinding columns, the others to the n borrowers.

    Args:
        seed: the public seed that both parties contributed to.
        columns: n, the number of borrowers.
    """

    def __init__(self, seed: bytes, columns: int) -> None:
        """Expand the seed (SHAKE-256) to 1 + ⌈n/N⌉ uniform ring elements."""
        self.columns = columns
        self.blocks = 1 + -(-columns // RING_DEGREE)
        stream = hashlib.shake_256(b"veilscore public matrix 1" + seed)
        expanded = np.frombuffer(stream.digest(self.blocks * RING_DEGREE * 8), dtype="<u8")
        self.elements = expanded.astype(np.uint64).reshape(self.blocks, RING_DEGREE)

    @cached_property
    def _values(self) -> Complex:
        """Limbs of all elements at the roots (blocks, 2, N/2); 16 bytes a borrower."""
        return np.ascontiguousarray(np.moveaxis(evaluate(limbs_of(self.elements)), 0, 1))

    def times_secret(self, secret: npt.NDArray[np.int8]) -> npt.NDArray[np.uint64]:
        """A·s (N + n,) modulo 2^64, s (N,) small."""
        product = np.empty(self.blocks * RING_DEGREE, dtype=np.uint64)
        for first, words in self.times_secrets(secret[None]):
            product[first : first + words.shape[1]] = words[0]
        return product[: RING_DEGREE + self.columns]

    def times_secrets(
        self, secrets: npt.NDArray[np.int8]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        """A·S for secrets (k, N) modulo 2^64, a few ring elements at a time, to the last whole one.

        Yields:
            The first word's index and words (k, words), to use and change before the next ones.
        """
        at_roots = evaluate(secrets.astype(np.float64))[:, None]
        step = max(1, POLYNOMIALS_AT_ONCE // len(secrets))
        for first in range(0, self.blocks, step):
            values = self._values[first : first + step]
            words = exact_words([values[:, limb] * at_roots for limb in range(LIMBS)])
            yield first * RING_DEGREE, words.reshape(len(secrets), -1)

    def left_blinded(self, blinding: npt.NDArray[np.int8]) -> npt.NDArray[np.uint64]:
        """R·A of the blinding columns (rows × N) modulo 2^64, R (rows, N) small."""
        product = np.empty(blinding.shape, dtype=np.uint64)
        for first in range(0, len(blinding), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            at_roots = evaluate(blinding[rows].astype(np.float64))
            product[rows] = exact_words([at_roots * value.conj() for value in self._values[0]])
        return product

    def left_multiplied(self, matrix: OneHotMatrix, feature: int) -> npt.NDArray[np.uint64]:
        """D_k·A of the borrowers (rows of one feature × N) modulo 2^64.

        Row by row this is a negacyclic correlation of the row with every a_k, summed over the
        blocks; correlating instead of convolving is a conjugate at the roots.
        """
        codes, bins = matrix.codes[feature], matrix.bins[feature]
        product = np.zeros((bins, RING_DEGREE), dtype=np.uint64)
        for row in range(0, bins, ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, bins - row)
            some = np.where(
                (codes >= row) & (codes < row + size), codes - codes.dtype.type(row), size
            )
            for first in range(1, self.blocks, BLOCKS_A_SUM):
                last = min(first + BLOCKS_A_SUM, self.blocks)
                limbs = self._correlated(some.astype(codes.dtype), size, first, last)
                product[row : row + size] += exact_words(list(limbs))
        return product

    def _correlated(
        self, codes: npt.NDArray[np.unsignedinteger], bins: int, first: int, last: int
    ) -> Complex:
        """Limbs of one feature's rows times blocks first to last - 1, at the roots."""
        total = np.zeros((LIMBS, bins, HALF), dtype=np.complex128)
        folded = np.zeros((bins + 1, HALF), dtype=np.complex128)
        term = np.empty((bins, HALF), dtype=np.complex128)
        places = np.arange(HALF)
        for block in range(first, last):
            start = (block - 1) * RING_DEGREE
            low = codes[start : start + HALF]
            high = codes[start + HALF : start + RING_DEGREE]
            folded[low, places[: len(low)]] = _TWIST[: len(low)]
            folded[high, places[: len(high)]] += 1j * _TWIST[: len(high)]
            at_roots = fft.ifft(folded[:bins], norm="forward")
            for limb in range(LIMBS):
                np.multiply(at_roots, self._values[block, limb].conj(), out=term)
                total[limb] += term
            folded[low, places[: len(low)]] = 0
            folded[high, places[: len(high)]] = 0
        return total

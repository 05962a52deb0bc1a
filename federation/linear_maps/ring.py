"""Exact products in Z_2^64[X]/(X^N + 1) by floating FFT, and the public matrix made of them.

A product of a uniform 64-bit polynomial with small coefficients is computed limb by limb: two
balanced limbs of 32 bits, a half-size complex FFT with a twist that makes the convolution
negacyclic (evaluation at the odd powers of the 2N-th root of unity), and rounding. That a rounded
value is the exact integer is not assumed: every value must lie within 1/4 of an integer, else
ArithmeticError. docs/security.md bounds the error.
"""

from __future__ import annotations

import hashlib
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
_TWIST: npt.NDArray[np.complex128] = np.exp(1j * np.pi * np.arange(HALF) / RING_DEGREE)

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


def interpolate_exactly(values: Complex) -> npt.NDArray[np.int64]:
    """Back from values (…, N/2) to integer coefficients (…, N); refuses what is not near one."""
    folded = fft.fft(values, norm="forward") * _TWIST.conj()
    coefficients = np.concatenate([folded.real, folded.imag], axis=-1)
    rounded = np.rint(coefficients)
    distance = float(np.abs(coefficients - rounded).max(initial=0.0))
    if distance > 0.25:
        raise ArithmeticError(
            f"a ring product lies {distance:.3f} from an integer, 0.25 at most is exact"
        )
    exact: npt.NDArray[np.int64] = rounded.astype(np.int64)
    return exact


def join_limbs(limbs: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Σ limb_i·2^(32 i) modulo 2^64 over the first axis."""
    total = np.zeros(limbs.shape[1:], dtype=np.uint64)
    for index, limb in enumerate(limbs):
        total += limb.view(np.uint64) << np.uint64(LIMB_BITS * index)
    return total


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
        at_roots = evaluate(secret.astype(np.float64))
        product = np.empty(self.blocks * RING_DEGREE, dtype=np.uint64)
        step = 64  # blocks at a time: bounded memory, long vectors for the FFT
        for first in range(0, self.blocks, step):
            exact = interpolate_exactly(self._values[first : first + step] * at_roots)
            joined = join_limbs(np.moveaxis(exact, 1, 0))
            product[first * RING_DEGREE : first * RING_DEGREE + joined.size] = joined.ravel()
        return product[: RING_DEGREE + self.columns]

    def left_blinded(self, blinding: npt.NDArray[np.int8]) -> npt.NDArray[np.uint64]:
        """R·A of the blinding columns (rows × N) modulo 2^64, R (rows, N) small."""
        at_roots = evaluate(blinding.astype(np.float64))
        limbs = [interpolate_exactly(at_roots * value.conj()) for value in self._values[0]]
        return join_limbs(np.stack(limbs))

    def left_multiplied(self, matrix: OneHotMatrix, feature: int) -> npt.NDArray[np.uint64]:
        """D_k·A of the borrowers (rows of one feature × N) modulo 2^64.

        Row by row this is a negacyclic correlation of the row with every a_k, summed over the
        blocks; correlating instead of convolving is a conjugate at the roots.
        """
        codes, bins = matrix.codes[feature], matrix.bins[feature]
        product = np.zeros((bins, RING_DEGREE), dtype=np.uint64)
        for first in range(1, self.blocks, BLOCKS_A_SUM):
            last = min(first + BLOCKS_A_SUM, self.blocks)
            product += join_limbs(interpolate_exactly(self._correlated(codes, bins, first, last)))
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

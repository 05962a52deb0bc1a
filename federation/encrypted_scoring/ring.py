"""Exact arithmetic in Z_q[X]/(X^N + 1), q a product of four primes, by floating FFT.

Every product here is of balanced residues (27 bits) with coefficients of at most 8 bits. A folded
and twisted complex FFT of half the size makes the convolution negacyclic. Its error is below
2^-53 · 12 · |a|₂ · |b|₂ ≤ 2^-4 for one product of the largest values; that every rounded value was
within 1/4 of an integer is checked all the same (the same method and check as
`federation.linear_maps.ring`, for another ring).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from federation.encrypted_scoring.parameters import DEGREE, MODULUS, PRIMES, WORD_BYTES
from federation.errors import ProtocolError

Residues = npt.NDArray[np.int64]  # (primes, count), each row below its prime
Complex = npt.NDArray[np.complex128]

HALF = DEGREE // 2
MODULI: Residues = np.array(PRIMES, dtype=np.int64)[:, None]
_TWIST: Complex = np.exp(1j * np.pi * np.arange(HALF) / DEGREE)
# Garner-free reconstruction: x/q = Σ (x·(q/p)^-1 mod p)/p modulo 1.
_COFACTOR_INVERSES: Residues = np.array(
    [pow(MODULUS // prime, -1, prime) for prime in PRIMES], dtype=np.int64
)[:, None]


def evaluate(coefficients: npt.NDArray[np.float64]) -> Complex:
    """Values of real polynomials (…, N) at N/2 roots of X^N + 1, one of each conjugate pair."""
    folded = (coefficients[..., :HALF] + 1j * coefficients[..., HALF:]) * _TWIST
    values: Complex = fft.ifft(folded, norm="forward", overwrite_x=True)
    return values


def interpolate(values: Complex) -> npt.NDArray[np.int64]:
    """Back to the exact integer coefficients (…, N).

    Raises:
        ArithmeticError: a value is not near an integer.
    """
    folded = fft.fft(values, norm="forward") * _TWIST.conj()
    coefficients = np.concatenate([folded.real, folded.imag], axis=-1)
    rounded = np.rint(coefficients)
    if not np.abs(coefficients - rounded).max(initial=0.0) < 0.25:
        raise ArithmeticError("a ring product is not near an integer; 0.25 at most is exact")
    exact: npt.NDArray[np.int64] = rounded.astype(np.int64)
    return exact


def balanced(residues: Residues) -> npt.NDArray[np.float64]:
    """Residues (…, primes, N) as numbers around 0, ready to be evaluated."""
    return np.where(residues > MODULI // 2, residues - MODULI, residues).astype(np.float64)


def reduced(integers: npt.NDArray[np.int64]) -> Residues:
    """Integers (…, primes, count) modulo the primes."""
    residues: Residues = integers % MODULI
    return residues


def scaled(integers: npt.NDArray[np.int64], scale_bits: int) -> Residues:
    """Residues (…, primes, count) of 2^scale_bits times small integers (…, count)."""
    scale = np.array([[pow(2, scale_bits, prime)] for prime in PRIMES], dtype=np.int64)
    return reduced(reduced(integers[..., None, :]) * scale)


def fractions(residues: Residues) -> npt.NDArray[np.float64]:
    """x/q in [-1/2, 1/2] of integers modulo q (primes, count), exact to 2^-50."""
    parts = reduced(residues * _COFACTOR_INVERSES) / MODULI
    total = parts.sum(axis=0)
    centred: npt.NDArray[np.float64] = total - np.rint(total)
    return centred


def to_words(residues: Residues) -> bytes:
    """Little-endian words of 4 bytes, prime by prime."""
    return residues.astype("<u4").tobytes()


def from_words(data: bytes | memoryview[Any], count: int, field: str) -> Residues:
    """Checked residues (primes, count) of words that came from outside.

    Raises:
        ProtocolError: names `field`; a wrong length, or a word that is no residue.
    """
    expected = WORD_BYTES * len(PRIMES) * count
    if len(data) != expected:
        raise ProtocolError(f"{field}: {len(data)} bytes of words where {expected} are right")
    residues = np.frombuffer(data, dtype="<u4").reshape(len(PRIMES), count).astype(np.int64)
    beyond = np.argwhere(residues >= MODULI)
    if beyond.size:
        index, place = (int(number) for number in beyond[0])
        raise ProtocolError(
            f"{field}: word {place} of prime {index} is not below the prime {PRIMES[index]}"
        )
    return residues

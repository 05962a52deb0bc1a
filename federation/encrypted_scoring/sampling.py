"""What is drawn: errors, randomisers and floods from the operating system, elements from seeds."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt

from federation.encrypted_scoring.parameters import (
    DEGREE,
    ERROR_BOUND,
    PRIME_BITS,
    PRIMES,
    RANDOMISER_BOUND,
)
from federation.encrypted_scoring.ring import Residues, reduced

Integers = npt.NDArray[np.int64]

# Words beyond the degree, for those that are no residue: 2 in 1,000 at most.
_SPARE = 64


def uniform_element(purpose: bytes, seed: bytes) -> Residues:
    """The ring element (primes, N) that a public seed stands for: SHAKE-256, by rejection.

    Nobody can choose a seed so that its element has a structure of their liking.
    """
    element = np.empty((len(PRIMES), DEGREE), dtype=np.int64)
    for index, prime in enumerate(PRIMES):
        stream = hashlib.shake_256(b"veilscore " + purpose + b"\0" + bytes([index]) + seed)
        kept = np.empty(0, dtype=np.uint32)
        spare = _SPARE
        while kept.size < DEGREE:
            words = np.frombuffer(stream.digest(4 * (DEGREE + spare)), dtype="<u4")
            words = words & np.uint32((1 << PRIME_BITS) - 1)
            kept = words[words < prime]
            spare *= 2
        element[index] = kept[:DEGREE]
    return element


def errors(count: int) -> Integers:
    """Centred binomial errors (count,) within ±21, deviation 3.24."""
    words = np.frombuffer(os.urandom(8 * count), dtype="<u8")
    mask = np.uint64((1 << ERROR_BOUND) - 1)
    added = np.bitwise_count(words & mask).astype(np.int64)
    taken = np.bitwise_count((words >> np.uint64(ERROR_BOUND)) & mask)
    drawn: Integers = added - taken
    return drawn


def randomiser() -> npt.NDArray[np.float64]:
    """A reply's fresh randomiser (N,), uniform in [-128, 128)."""
    drawn = np.frombuffer(os.urandom(DEGREE), dtype=np.uint8)
    return drawn.astype(np.float64) - RANDOMISER_BOUND


def flood(count: int, bits: int) -> Residues:
    """Residues (primes, count) of uniform integers from -2^(bits-1) up to 2^(bits-1), 64 < bits."""
    low = np.frombuffer(os.urandom(8 * count), dtype="<u8")
    high = np.frombuffer(os.urandom(8 * count), dtype="<u8") >> np.uint64(128 - bits)
    residues = np.empty((len(PRIMES), count), dtype=np.int64)
    for index, prime in enumerate(PRIMES):
        of_high = high % prime * np.uint64((1 << 64) % prime)
        residues[index] = (of_high + low % prime) % prime
    middle = np.array([[(1 << (bits - 1)) % prime] for prime in PRIMES], dtype=np.int64)
    return reduced(residues - middle)

"""Randomness that protects: integers from the operating system's generator, never floats."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

# Row i: the five ternary digits of i, each less one.
_FIVE_TERNARY = (np.arange(3**5)[:, None] // 3 ** np.arange(5) % 3 - 1).astype(np.int8)


def uniform_residues(count: int, bits: int) -> npt.NDArray[np.uint64]:
    """Uniform integers in [0, 2^bits), bits ≤ 64."""
    words = np.frombuffer(os.urandom(8 * count), dtype="<u8").astype(np.uint64)
    return words >> np.uint64(64 - bits) if bits < 64 else words


def ternary(count: int) -> npt.NDArray[np.int8]:
    """Uniform in {-1, 0, 1}: bytes below 3^5 give five each, others are drawn again."""
    kept, needed = np.zeros(0, dtype=np.uint8), -(-count // 5)
    while kept.size < needed:
        missing = needed - kept.size
        drawn = np.frombuffer(os.urandom(missing + missing // 16 + 32), dtype=np.uint8)
        kept = np.concatenate([kept, drawn[drawn < 3**5]])
    return _FIVE_TERNARY[kept[:needed]].reshape(-1)[:count]


def tuniform(shape: tuple[int, ...], bits: int) -> npt.NDArray[np.int64]:
    """TUniform(b): uniform in [-2^b, 2^b] with half weight at both ends, b ≤ 30.

    The error distribution of current TFHE parameter sets; variance (2^(2b+1) + 1)/6.
    """
    count = int(np.prod(shape))
    bits_each = bits + 2
    each_word = 64 // bits_each
    words = np.frombuffer(os.urandom(8 * -(-count // each_word)), dtype="<u8")
    drawn = np.empty((each_word, len(words)), dtype=np.uint64)
    for index, part in enumerate(drawn):
        np.right_shift(words, np.uint64(index * bits_each), out=part)
    drawn &= np.uint64((1 << bits_each) - 1)
    # u uniform below 2^(b+2): (u + 1) >> 1 has half weight at 0 and 2^(b+1)
    drawn += np.uint64(1)
    drawn >>= np.uint64(1)
    drawn -= np.uint64(1 << bits)
    return drawn.view(np.int64).reshape(-1)[:count].reshape(shape)

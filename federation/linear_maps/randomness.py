"""Randomness that protects: integers from the operating system's generator, never floats."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt


def uniform_residues(count: int, bits: int) -> npt.NDArray[np.uint64]:
    """Uniform integers in [0, 2^bits), bits ≤ 64."""
    words = np.frombuffer(os.urandom(8 * count), dtype="<u8").astype(np.uint64)
    return words >> np.uint64(64 - bits) if bits < 64 else words


def ternary(count: int) -> npt.NDArray[np.int8]:
    """Uniform in {-1, 0, 1}: bytes below 255 taken modulo 3, others drawn again."""
    kept = np.zeros(0, dtype=np.uint8)
    while kept.size < count:
        drawn = np.frombuffer(os.urandom(count - kept.size + 32), dtype=np.uint8)
        kept = np.concatenate([kept, drawn[drawn < 255]])
    return (kept[:count] % 3).astype(np.int8) - np.int8(1)


def tuniform(shape: tuple[int, ...], bits: int) -> npt.NDArray[np.int64]:
    """TUniform(b): uniform in [-2^b, 2^b] with half weight at both ends, b ≤ 30.

    The error distribution of current TFHE parameter sets; variance (2^(2b+1) + 1)/6.
    """
    count = int(np.prod(shape))
    words = np.frombuffer(os.urandom(4 * count), dtype="<u4").astype(np.int64)
    body = words >> (31 - bits)  # bits + 1 of them
    return (body - (1 << bits) + (words & 1)).reshape(shape)

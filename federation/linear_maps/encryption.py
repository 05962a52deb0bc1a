"""A label party's vectors under fresh secrets: b = A·s + e + Δ·(0 | v), rounded.

Everything is made a few ring elements at a time and written where it belongs in the message, so
that the numbers stay in a core's second cache and the message is all the memory that is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.linear_maps.parameters import ERROR_BITS, LatticeParameters
from federation.linear_maps.randomness import tuniform
from federation.linear_maps.ring import RING_DEGREE, PublicMatrix
from federation.linear_maps.words import dropped_bits, planes_of


def encrypt(
    public: PublicMatrix,
    secrets: npt.NDArray[np.int8],
    vectors: npt.NDArray[np.int64],
    parameters: LatticeParameters,
) -> bytes:
    """Ciphertexts of all vectors, one after the other, each in planes as `PackedWords` has them.

    Args:
        public: A, (N + n) × N.
        secrets: (k, N), ternary, fresh.
        vectors: (k, n), checked against their bound by the caller.
        parameters: scale and bytes a word.
    """
    length, size = RING_DEGREE + public.columns, parameters.query_bytes
    message = np.empty((len(secrets), length * size), dtype=np.uint8)
    planes, start = [], 0
    for width, shift in planes_of(size):
        part = message[:, start : start + length * width]
        # of a little-endian word seen as parts of `width` bytes, the part that the plane keeps
        planes.append((part.view(f"<u{width}"), width, shift // (8 * width)))
        start += length * width
    dropped = dropped_bits(size)
    half = np.uint64(1 << (dropped - 1) if dropped else 0)
    delta_bits = np.uint64(parameters.delta_bits)
    for first, words in public.times_secrets(secrets):
        words += tuniform(words.shape, ERROR_BITS).view(np.uint64)
        last = min(first + words.shape[1], length)
        # blinding columns stand for no borrower
        blind = min(max(RING_DEGREE - first, 0), last - first)
        some = vectors[:, first + blind - RING_DEGREE : last - RING_DEGREE]
        words[:, blind : last - first] += some.view(np.uint64) << delta_bits
        words += half
        stored = words.astype("<u8", copy=False)
        for plane, width, index in planes:
            parts = stored.view(f"<u{width}")[:, index :: 8 // width]
            plane[:, first:last] = parts[:, : last - first]
    return message.tobytes()

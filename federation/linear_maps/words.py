"""64-bit words on the wire in fewer bytes, and exact products of words with small numbers.

Modulus switching: a word of the ring modulo 2^64 is rounded to its highest bytes, the receiver
takes the missing low bits as zero. A packed array is a row of planes, each of 4, 2 or 1 bytes a
word, highest first: whole planes are quick to read, and 3, 5 or 6 bytes a word need no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError

WORD_BYTES = 8
_STEP = 128  # rows at a time: their float64 copies stay in the cache

Words = npt.NDArray[np.uint64]


def planes_of(word_bytes: int) -> tuple[tuple[int, int], ...]:
    """(bytes, shift) of every plane of a word kept in its highest `word_bytes` bytes (1 to 8)."""
    if not 1 <= word_bytes <= WORD_BYTES:
        raise ValueError(f"a word is kept in 1 to {WORD_BYTES} bytes, not {word_bytes}")
    planes, left = [], word_bytes
    while left:
        size = next(size for size in (4, 2, 1) if size <= left)
        left -= size
        planes.append((size, 8 * (WORD_BYTES - word_bytes + left)))
    return tuple(planes)


def dropped_bits(word_bytes: int) -> int:
    """How many low bits a word kept in this many bytes loses."""
    return 8 * (WORD_BYTES - word_bytes)


def round_words(words: Words, word_bytes: int) -> Words:
    """To the nearest multiple of 2^dropped, modulo 2^64: the carry out of the top is let go."""
    dropped = dropped_bits(word_bytes)
    if dropped == 0:
        return words
    rounded: Words = words + np.uint64(1 << (dropped - 1))
    rounded &= np.uint64(2**64 - (1 << dropped))
    return rounded


@dataclass(frozen=True, eq=False)
class PackedWords:
    """Words without their low bits, kept as their planes; nothing of them shows in repr().

    Attributes:
        word_bytes: how many bytes of every word are kept.
        planes: one unsigned array a plane, all of one shape.
    """

    word_bytes: int
    planes: tuple[npt.NDArray[np.unsignedinteger], ...]

    def __repr__(self) -> str:
        """Sizes only."""
        return f"PackedWords(word_bytes={self.word_bytes}, shape={self.shape})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array of words."""
        return self.planes[0].shape

    @classmethod
    def empty(cls, shape: tuple[int, ...], word_bytes: int) -> PackedWords:
        """Room for words that come later."""
        sizes = planes_of(word_bytes)
        return cls(word_bytes, tuple(np.zeros(shape, dtype=f"u{size}") for size, _ in sizes))

    @classmethod
    def of(cls, words: Words, word_bytes: int) -> PackedWords:
        """Round to the nearest and keep the highest bytes."""
        rounded = round_words(words, word_bytes)
        return cls(
            word_bytes,
            tuple(
                (rounded >> np.uint64(shift)).astype(f"u{size}")  # the cast drops higher planes
                for size, shift in planes_of(word_bytes)
            ),
        )

    @classmethod
    def from_bytes(
        cls, data: bytes, shape: tuple[int, ...], word_bytes: int, what: str
    ) -> PackedWords:
        """Planes from their bytes, not copied; the length must be exactly what the shape asks.

        Raises:
            ProtocolError: the length differs; the sentence names `what`.
        """
        count = int(np.prod(shape, dtype=np.int64))
        if len(data) != count * word_bytes:
            raise ProtocolError(
                f"{what} holds {len(data)} bytes where {count * word_bytes} are right "
                f"({'×'.join(map(str, shape))} words of {word_bytes} bytes)"
            )
        planes, first = [], 0
        for size, _ in planes_of(word_bytes):
            plane = np.frombuffer(data, dtype=f"<u{size}", count=count, offset=first)
            planes.append(plane.reshape(shape))
            first += count * size
        return cls(word_bytes, tuple(planes))

    def to_bytes(self) -> bytes:
        """Plane after plane, little-endian."""
        return b"".join(
            np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes()
            for plane in self.planes
        )

    def words(self) -> Words:
        """The words, low bits zero."""
        total = np.zeros(self.shape, dtype=np.uint64)
        for plane, (_, shift) in zip(self.planes, planes_of(self.word_bytes), strict=True):
            total |= plane.astype(np.uint64) << np.uint64(shift)
        return total

    def put(self, first: int, rows: PackedWords) -> None:
        """Take rows in from `first` on."""
        for mine, theirs in zip(self.planes, rows.planes, strict=True):
            mine[first : first + len(theirs)] = theirs

    def times_small(self, vector: npt.NDArray[np.int8]) -> Words:
        """The matrix of words (m, k) times small integers (k,), modulo 2^64, exactly.

        Plane by plane in float64: 2^32·127·k stays below 2^53 for k up to 2^14.
        """
        total = np.zeros(self.shape[0], dtype=np.uint64)
        small = vector.astype(np.float64)
        for plane, (_, shift) in zip(self.planes, planes_of(self.word_bytes), strict=True):
            for first in range(0, len(plane), _STEP):
                part = plane[first : first + _STEP].astype(np.float64) @ small
                total[first : first + _STEP] += _modular(part) << np.uint64(shift)
        return total


def small_times_words(small: npt.NDArray[np.int8], words: Words) -> Words:
    """A matrix of small integers (m, k) times words (k,), modulo 2^64, in two 32-bit limbs."""
    limbs = np.stack([words & np.uint64(2**32 - 1), words >> np.uint64(32)], axis=1)
    floats = limbs.astype(np.float64)
    total = np.empty(len(small), dtype=np.uint64)
    for first in range(0, len(small), _STEP):
        part = _modular(small[first : first + _STEP].astype(np.float64) @ floats)
        total[first : first + _STEP] = part[:, 0] + (part[:, 1] << np.uint64(32))
    return total


def _modular(whole: npt.NDArray[np.float64]) -> Words:
    """Whole numbers below 2^53 in size as words modulo 2^64."""
    words: Words = whole.astype(np.int64).view(np.uint64)
    return words

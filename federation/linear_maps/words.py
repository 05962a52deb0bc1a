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
# Of a limb in float64: 2^40 leaves room for exact sums of 2^13 of them.
MOST_LIMB_BYTES = 5
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
        words = cls.several_from_bytes(data, 1, shape, word_bytes, what)
        return cls(word_bytes, tuple(plane[0] for plane in words.planes))

    @classmethod
    def several_from_bytes(
        cls, data: bytes, count: int, shape: tuple[int, ...], word_bytes: int, what: str
    ) -> PackedWords:
        """Several packed arrays of one shape, one after the other, as one: (count, *shape).

        Raises:
            ProtocolError: the length differs; the sentence names `what`.
        """
        size = int(np.prod(shape, dtype=np.int64))
        if len(data) != count * size * word_bytes:
            several = f"{count} times " if count > 1 else ""
            raise ProtocolError(
                f"{what} holds {len(data)} bytes where {count * size * word_bytes} are right "
                f"({several}{'×'.join(map(str, shape))} words of {word_bytes} bytes)"
            )
        arrays = np.frombuffer(data, dtype=np.uint8).reshape(count, size * word_bytes)
        planes, first = [], 0
        for width, _ in planes_of(word_bytes):
            plane = arrays[:, first : first + width * size].view(f"<u{width}")
            planes.append(plane.reshape(count, *shape))
            first += width * size
        return cls(word_bytes, tuple(planes))

    def to_bytes(self) -> bytes:
        """Plane after plane, little-endian."""
        return b"".join(
            np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes()
            for plane in self.planes
        )

    def several_to_bytes(self) -> bytes:
        """Every array along the first axis, one after the other, as `several_from_bytes` reads."""
        parts = (PackedWords(self.word_bytes, planes) for planes in zip(*self.planes, strict=True))
        return b"".join(part.to_bytes() for part in parts)

    def words(self) -> Words:
        """The words, low bits zero."""
        total = np.zeros(self.shape, dtype=np.uint64)
        for plane, (_, shift) in zip(self.planes, planes_of(self.word_bytes), strict=True):
            total |= plane.astype(np.uint64) << np.uint64(shift)
        return total

    def of_rows(self, rows: npt.NDArray[np.int64]) -> PackedWords:
        """Some of the rows, in this order."""
        return PackedWords(self.word_bytes, tuple(plane[rows] for plane in self.planes))

    def put(self, first: int, rows: PackedWords) -> None:
        """Take rows in from `first` on."""
        for mine, theirs in zip(self.planes, rows.planes, strict=True):
            mine[first : first + len(theirs)] = theirs

    def columns(self, first: int, last: int) -> PackedWords:
        """Columns `first` to `last` - 1, not copied."""
        return PackedWords(self.word_bytes, tuple(plane[..., first:last] for plane in self.planes))

    def limbs(self) -> list[tuple[npt.NDArray[np.float64], int]]:
        """(limb, shift) with words = Σ limb·2^shift, every limb a whole number below 2^40."""
        limbs: list[tuple[npt.NDArray[np.float64], int]] = []
        taken = 0
        for plane, (size, shift) in zip(self.planes, planes_of(self.word_bytes), strict=True):
            if limbs and taken + size <= MOST_LIMB_BYTES:
                limb, _ = limbs.pop()
                limb *= 256.0**size
                limb += plane
                taken += size
            else:
                limb, taken = plane.astype(np.float64), size
            limbs.append((limb, shift))
        return limbs

    def times_ternary(self, small: npt.NDArray[np.int8]) -> Words:
        """The matrix of words (m, N) times integers of -1, 0 and 1 (N, k), modulo 2^64, exactly.

        Limb by limb in float64: 2^40·N stays below 2^53 for N up to 2^12.
        """
        total = np.zeros((self.shape[0], small.shape[1]), dtype=np.uint64)
        factor = small.astype(np.float64)
        for first in range(0, self.shape[0], _STEP):
            rows = tuple(plane[first : first + _STEP] for plane in self.planes)
            for limb, shift in PackedWords(self.word_bytes, rows).limbs():
                total[first : first + _STEP] += _modular(limb @ factor) << np.uint64(shift)
        return total


def ternary_times(small: npt.NDArray[np.int8], words: PackedWords) -> Words:
    """A matrix of -1, 0 and 1 (m, N) times words (k, N), as (k, m), modulo 2^64, exactly."""
    total = np.zeros((words.shape[0], len(small)), dtype=np.uint64)
    limbs = [(np.ascontiguousarray(limb.T), shift) for limb, shift in words.limbs()]
    for first in range(0, len(small), _STEP):
        factor = small[first : first + _STEP].astype(np.float64)
        for limb, shift in limbs:
            part = _modular(factor @ limb) << np.uint64(shift)
            total[:, first : first + _STEP] += part.T
    return total


def _modular(whole: npt.NDArray[np.float64]) -> Words:
    """Whole numbers below 2^53 in size as words modulo 2^64."""
    words: Words = whole.astype(np.int64).view(np.uint64)
    return words

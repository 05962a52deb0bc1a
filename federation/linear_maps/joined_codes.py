"""Sums over one-hot bins and scores from them, several features in one pass.

The codes of neighbouring features are joined to one code each: a histogram over a joined code
holds the sums of all its features (as its margins), and one look-up in a table of summed weights
adds all their scores. Two features of 32 bins take one pass over 1,024 cells instead of two, and as
many bytes. Nothing of the size borrowers × bins is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

# Cells of one joined code: they fit in 16 bits and, as float64, in a core's second cache.
MOST_CELLS = 1 << 16
FEWEST_CELLS = 1 << 8
# A table may have one cell for this many borrowers, else filling it costs what joining saves.
BORROWERS_A_CELL = 8
_LOOKUP_STEP = 1 << 15
# 2^32·2^18 = 2^50: sums of 32-bit limbs stay exact in float64
_SUM_STEP = 1 << 18

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Vector = npt.NDArray[np.float64]


class JoinedCodes:
    """Codes of several features over the same borrowers, joined in groups.

    Args:
        codes: (features, borrowers), each below the feature's number of bins.
        bins: of every feature.
    """

    def __init__(self, codes: Codes, bins: Sequence[int]) -> None:
        """Join neighbours while their product of bins is small enough."""
        self.borrowers = int(codes.shape[1])
        self.size = int(sum(bins))
        most = min(MOST_CELLS, max(FEWEST_CELLS, self.borrowers // BORROWERS_A_CELL))
        self._groups: list[tuple[npt.NDArray[np.unsignedinteger], tuple[int, ...]]] = []
        first = 0
        while first < len(bins):
            last, cells = first + 1, int(bins[first])
            while last < len(bins) and cells * bins[last] <= most:
                cells *= int(bins[last])
                last += 1
            # Not 256: the multiplier of a feature of 256 bins must fit too.
            joined = codes[first].astype(np.uint8 if cells < 256 else np.uint16)
            for index in range(first + 1, last):
                joined *= joined.dtype.type(bins[index])
                joined += codes[index].astype(joined.dtype, copy=False)
            self._groups.append((joined, tuple(map(int, bins[first:last]))))
            first = last

    def scores(self, weights: Vector) -> Vector:
        """Every borrower's sum of its bins' weights (borrowers,); weights (size,)."""
        tables, first = [], 0
        for _, shape in self._groups:
            table = np.zeros(1)
            for bins in shape:
                table = np.add.outer(table, weights[first : first + bins]).ravel()
                first += bins
            tables.append(table)
        total = np.zeros(self.borrowers)
        for low in range(0, self.borrowers, _LOOKUP_STEP):
            part = total[low : low + _LOOKUP_STEP]
            for (joined, _), table in zip(self._groups, tables, strict=True):
                part += table.take(joined[low : low + _LOOKUP_STEP])
        return total

    def sums(self, vector: Vector) -> Vector:
        """The vector (borrowers,) summed over every bin (size,)."""
        totals = [np.zeros(0)]
        for joined, shape in self._groups:
            totals += _margins(joined, vector, shape)
        return np.concatenate(totals)

    def sums_of_words(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """64-bit words (borrowers,) summed over every bin modulo 2^64 (size,), exactly."""
        total = np.zeros(self.size, dtype=np.uint64)
        for low in range(0, self.borrowers, _SUM_STEP):
            part = words[low : low + _SUM_STEP]
            limbs = (part & np.uint64(2**32 - 1), part >> np.uint64(32))
            for limb, shift in zip(limbs, (0, 32), strict=True):
                floats = limb.astype(np.float64)
                sums = [np.zeros(0)]
                for joined, shape in self._groups:
                    sums += _margins(joined[low : low + _SUM_STEP], floats, shape)
                total += np.concatenate(sums).astype(np.uint64) << np.uint64(shift)
        return total

    def of_some(self, chosen: npt.NDArray[np.int64]) -> JoinedCodes:
        """The same joined codes for some of the borrowers, in this order."""
        some = object.__new__(JoinedCodes)
        some.borrowers, some.size = len(chosen), self.size
        some._groups = [(joined[chosen], shape) for joined, shape in self._groups]
        return some


def _margins(
    joined: npt.NDArray[np.unsignedinteger], vector: Vector, shape: tuple[int, ...]
) -> Iterator[Vector]:
    """Sums over the bins of every feature of a group: margins of those over its joined cells."""
    cells = np.bincount(joined, weights=vector, minlength=math.prod(shape))
    table: Vector = cells.astype(np.float64, copy=False).reshape(shape)
    for axis in range(len(shape)):
        others = tuple(other for other in range(len(shape)) if other != axis)
        yield table.sum(axis=others)

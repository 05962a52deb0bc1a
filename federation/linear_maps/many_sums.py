"""Sums of several encrypted vectors over one-hot bins in one pass over the bins.

D is kept as sparse rows over a few thousand borrowers at a time: their words, all vectors side by
side, stay in a core's second cache while every row adds up its own. A borrower's words are read
together, so that 16 vectors cost about twice what two do. Codes are sorted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from federation.linear_maps.words import PackedWords, Words

# Limbs below 2^40, 2^12 of them, add up below 2^53: exact in float64 in any order.
BORROWERS_AT_ONCE = 1 << 12

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class ManySums:
    """Rows of D by borrower blocks; see `one_hot.OneHotMatrix` for codes and bins.

    Args:
        codes: (features, borrowers); a code of a feature's number of bins is in no row.
        bins: rows of every feature.
    """

    def __init__(self, codes: Codes, bins: Sequence[int]) -> None:
        """Sort every block's borrowers by code, two bytes a borrower and feature."""
        self.borrowers = int(codes.shape[1])
        self._starts = np.concatenate([[0], np.cumsum(bins, dtype=np.int64)])
        self._blocks = [
            _sorted_block(codes[:, first : first + BORROWERS_AT_ONCE], bins)
            for first in range(0, self.borrowers, BORROWERS_AT_ONCE)
        ]

    def sums(self, words: PackedWords, features: Sequence[int], cores: int = 1) -> Words:
        """D times words (k, borrowers), (k, rows of the features in their order), modulo 2^64.

        Args:
            words: every vector's.
            features: whose rows.
            cores: threads to take.
        """
        spans = [range(self._starts[f], self._starts[f + 1]) for f in features]
        rows = np.array([row for span in spans for row in span], dtype=np.int64)
        shape = (words.shape[0], len(rows))
        if not rows.size:
            return np.zeros(shape, dtype=np.uint64)
        most = int(max(len(members) for members, _ in self._blocks))
        ones = np.ones(most)

        def of_blocks(blocks: range) -> Words:
            total = np.zeros(shape[::-1], dtype=np.uint64)
            for block in blocks:
                self._add_block(block, words, spans, rows, ones, total)
            return total

        shares = [range(core, len(self._blocks), cores) for core in range(max(1, cores))]
        if len(shares) == 1:
            return np.ascontiguousarray(of_blocks(shares[0]).T)
        with ThreadPoolExecutor(len(shares)) as pool:
            totals = list(pool.map(of_blocks, shares))
        return np.ascontiguousarray(sum(totals[1:], start=totals[0]).T)

    def _add_block(
        self,
        block: int,
        words: PackedWords,
        spans: list[range],
        rows: npt.NDArray[np.int64],
        ones: npt.NDArray[np.float64],
        total: Words,
    ) -> None:
        members, ends = self._blocks[block]
        first = block * BORROWERS_AT_ONCE
        parts = [members[ends[span.start] : ends[span.stop]] for span in spans]
        borrowers = np.concatenate(parts).astype(np.int32)
        counts = ends[rows + 1] - ends[rows]
        pointers = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum(counts, out=pointers[1:])
        limbs = words.columns(first, first + BORROWERS_AT_ONCE).limbs()
        for limb, shift in limbs:
            size = limb.shape[1]
            matrix = csr_array((ones[: len(borrowers)], borrowers, pointers), (len(rows), size))
            sums = matrix @ np.ascontiguousarray(limb.T)
            total += sums.astype(np.uint64) << np.uint64(shift)


def _sorted_block(
    codes: Codes, bins: Sequence[int]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Borrowers of every row, row after row, and where each begins and the last one ends."""
    members, counts = [], []
    for row, size in zip(codes, bins, strict=True):
        count = np.bincount(row, minlength=size + 1)[:size]
        counts.append(count)
        order = np.argsort(row, kind="stable")  # by counting: codes are of one or two bytes
        members.append(order[: int(count.sum())].astype(np.uint16))
    ends = np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64)
    return np.concatenate([np.zeros(0, np.uint16), *members]), ends

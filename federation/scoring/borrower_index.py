"""A feature party's borrowers, found by their tags: millions of them, a batch at a time."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.scoring.masks import BLOCK_BYTES
from federation.scoring.tags import TAG_BYTES

Rows = npt.NDArray[np.int64]


class BorrowerIndex:
    """Rows in the order of their tags.

    Args:
        tags: sorted, TAG_BYTES each, as pairs of big-endian words (n, 2).
        blocks: what masks are bound to (`masks.borrower_blocks`), in the same order (n, 2).
    """

    def __init__(self, tags: npt.NDArray[np.uint64], blocks: npt.NDArray[np.uint64]) -> None:
        """Note how many tags at most begin with the same word: it is 1 but for a rare chance."""
        # Words of a column lie side by side: a search touches few cache lines.
        self._high = np.ascontiguousarray(tags[:, 0])
        self._low = np.ascontiguousarray(tags[:, 1])
        self._blocks = blocks
        self._longest_run = 1
        alike = np.flatnonzero(self._high[1:] == self._high[:-1])
        if alike.size:
            self._longest_run = int(np.unique(self._high[alike], return_counts=True)[1].max()) + 1

    @classmethod
    def of(cls, tags: bytes, blocks: bytes) -> tuple[Self, Rows]:
        """An index of a table's rows, and the rows in its order.

        Args:
            tags: a tag a row, in the table's order.
            blocks: a block a row, likewise.

        Raises:
            InputError: two rows have the same tag.
        """
        words = _words(tags)
        order = np.lexsort((words[:, 1], words[:, 0]))
        words = words[order]
        if (words[1:] == words[:-1]).all(axis=1).any():
            raise InputError("two borrowers of the table have the same tag; each needs one row")
        ordered = np.frombuffer(blocks, dtype=np.uint64).reshape(-1, BLOCK_BYTES // 8)[order]
        return cls(words, ordered), order

    def __len__(self) -> int:
        """Number of borrowers."""
        return self._high.size

    def find(self, tags: bytes) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Rows (m,) of m tags, in the index's order, and which are known; row 0 where not.

        Raises:
            ValueError: not a whole number of tags.
        """
        words = _words(tags)
        high, low = words[:, 0], words[:, 1]
        if not len(self):
            raise ValueError("an index of no borrower finds none")
        rows = np.searchsorted(self._high, high)
        known = np.zeros(rows.size, dtype=np.bool_)
        found = np.zeros(rows.size, dtype=np.int64)
        for step in range(self._longest_run):
            at = np.minimum(rows + step, len(self) - 1)
            same = (self._high[at] == high) & (self._low[at] == low)
            found[same] = at[same]
            known |= same
        return found, known

    def blocks_of(self, rows: Rows) -> bytes:
        """What masks are bound to, of some rows."""
        return self._blocks[rows].tobytes()


def _words(tags: bytes) -> npt.NDArray[np.uint64]:
    """Tags as pairs of words (n, 2), in the machine's own byte order, sorted as the bytes are."""
    pairs = np.frombuffer(tags, dtype=">u8").reshape(-1, TAG_BYTES // 8)
    return pairs.astype(np.uint64)

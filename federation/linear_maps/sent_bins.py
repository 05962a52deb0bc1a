"""Which bins become rows of a private linear map: all but each feature's fullest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federation.linear_maps.one_hot import OneHotMatrix

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def without_fullest(codes: Codes, bins: Sequence[int]) -> tuple[OneHotMatrix, list[int]]:
    """D without each feature's fullest bin, whose sums follow from the others and the total.

    Args:
        codes: (features, borrowers), each below its feature's bins.
        bins: of each feature, two or more.

    Returns:
        The matrix, and for each feature the bin that has no row.
    """
    omitted = [
        int(np.argmax(np.bincount(row, minlength=count)))
        for row, count in zip(codes, bins, strict=True)
    ]
    rows = np.empty(codes.shape, dtype=np.uint8 if max(bins, default=0) <= 256 else np.uint16)
    for index, (count, fullest) in enumerate(zip(bins, omitted, strict=True)):
        place = np.arange(count) - (np.arange(count) > fullest)
        place[fullest] = count - 1
        rows[index] = place[codes[index]]
    return OneHotMatrix(rows, tuple(count - 1 for count in bins)), omitted

"""What a vector of integers must be before a label party encrypts it or adds it to sums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def check_vector(values: npt.NDArray[np.int64], length: int, bound: int, what: str) -> None:
    """Refuse what is not `length` int64 within ±bound.

    Nothing is broadcast or cast: label noise of one element would repeat in every sum, and a float
    would be cut. The message never shows a value.

    Raises:
        ValueError: names `what`, and the shape, type or bound that would be right.
    """
    if values.shape != (length,) or values.dtype != np.int64:
        raise ValueError(f"{what}: {length} int64 are needed, not {values.shape} of {values.dtype}")
    # not np.abs: the smallest int64 has no absolute value
    if values.size and (int(values.max()) > bound or int(values.min()) < -bound):
        raise ValueError(f"{what}: values may be ±{bound} at most")

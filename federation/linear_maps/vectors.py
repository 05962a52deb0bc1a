"""What vectors and choices of rows must be before a party encrypts, answers or opens them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.linear_maps.interface import MOST_VECTORS, Direction
from federation.proto.session_pb2 import Query


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


def check_vectors(values: npt.NDArray[np.int64], length: int, bound: int) -> None:
    """Refuse what is not 1 to `MOST_VECTORS` rows of `length` int64 within ±bound.

    Raises:
        ValueError: as `check_vector`.
    """
    if values.ndim != 2 or not 1 <= len(values) <= MOST_VECTORS:
        raise ValueError(
            f"vectors: 1 to {MOST_VECTORS} rows of {length} int64 are needed, not {values.shape}"
        )
    if values.dtype != np.int64 or values.shape[1] != length:
        raise ValueError(
            f"vectors: {length} int64 each are needed, not {values.shape} of {values.dtype}"
        )
    check_vector(values.reshape(-1), values.size, bound, "vectors")


def check_many_allowed(direction: Direction) -> None:
    """Several vectors at once go to the label party only: the owner's masks are one a query.

    Raises:
        ProtocolError: the direction is to the owner.
    """
    if direction is not Direction.TO_LABEL_PARTY:
        raise ProtocolError("this map's direction is to the owner, which takes one vector a query")


def vectors_of(query: Query) -> int:
    """How many vectors a query holds.

    Raises:
        ProtocolError: more than `MOST_VECTORS`, or ids that pass 64 bits.
    """
    what, count = f"query {query.query_id}", max(1, query.vectors)
    if count > MOST_VECTORS:
        raise ProtocolError(f"{what} holds {count} vectors, {MOST_VECTORS} are the most")
    if query.query_id + count > 2**64:
        raise ProtocolError(f"{what} of {count} vectors has ids beyond 64 bits")
    return count


def check_life(done: str, used: int, more: int, most: int) -> None:
    """Refuse queries beyond the most of a map's life.

    Args:
        done: "has answered" or "was asked".
        used: queries so far.
        more: that come now.
        most: in the map's life.

    Raises:
        ProtocolError: with the numbers.
    """
    if used >= most:
        raise ProtocolError(f"this map {done} {used} queries, the most in its life; open a new map")
    if used + more > most:
        raise ProtocolError(
            f"this map {done} {used} of {most} queries, the most in its life, and has no room for "
            f"{more} more; open a new map"
        )


def check_features(features: Sequence[int], size: int) -> list[int]:
    """Refuse features that are not distinct ones below `size`.

    Raises:
        ValueError: with what would be right.
    """
    chosen = [int(feature) for feature in features]
    if len(set(chosen)) != len(chosen) or any(not 0 <= feature < size for feature in chosen):
        raise ValueError(f"features: distinct ones of 0 to {size - 1} are needed, not {chosen}")
    return chosen


def check_same_vectors(announced: int, open_ones: int, what: str) -> None:
    """An answer has as many vectors as its query.

    Raises:
        ProtocolError: it has not.
    """
    if max(1, announced) != open_ones:
        raise ProtocolError(f"{what} holds {announced} vectors where {open_ones} are right")


def check_open_by(open_ones: int, expected: int, query_id: int) -> None:
    """A query of several vectors is opened as such.

    Raises:
        ProtocolError: it is of another number of vectors.
    """
    if open_ones != expected:
        raise ProtocolError(f"query {query_id} is of {open_ones} vectors; use open_many()")


def check_rows(rows: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Refuse rows of D that are not distinct indices below `size`.

    Raises:
        ValueError: with what would be right.
    """
    if rows.ndim != 1 or rows.dtype != np.int64 or len(np.unique(rows)) != len(rows):
        raise ValueError(f"rows: distinct int64 are needed, not {rows.shape} of {rows.dtype}")
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < size:
        raise ValueError(f"rows: 0 to {size - 1} are there, not {rows.min()} to {rows.max()}")
    return rows

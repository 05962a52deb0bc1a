"""Row numbers of an alignment: checks of a party's own ids, shuffles, matches, absent rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from federation.alignment.group import POINT_BYTES
from federation.errors import InputError

Rows = npt.NDArray[np.uint32]


class AlignmentMode(StrEnum):
    """Which borrowers a session is about."""

    INNER = "inner"  # those that every party knows
    LABEL_LEFT = "label-left"  # all of the label party; unknown elsewhere counts as 'absent'


# The row of a borrower that a party does not know ('label-left' only).
ABSENT_ROW = 2**32 - 1
# Rows are uint32 and the largest is taken by ABSENT_ROW.
MAX_IDS = 2**32 - 2


def check_ids(ids: Sequence[str]) -> None:
    """Refuse an empty list and repeated ids.

    Raises:
        InputError: naming what is wrong; a repeated id by its two rows, counted from 1.
    """
    if not ids:
        raise InputError("this party has no borrower to align; its table needs at least one row")
    if len(ids) > MAX_IDS:
        raise InputError(f"{len(ids)} ids are too many to align; at most {MAX_IDS} are possible")
    if len(set(ids)) == len(ids):
        return
    first_row: dict[str, int] = {}
    for row, identifier in enumerate(ids, start=1):
        if identifier in first_row:
            raise InputError(
                f"the borrower of row {row} has the same id as that of row "
                f"{first_row[identifier]}; every borrower must have one row"
            )
        first_row[identifier] = row


def shuffled(count: int) -> Rows:
    """The numbers below `count` in an order drawn from the operating system's randomness."""
    sort_keys = np.frombuffer(os.urandom(8 * count), dtype="<u8")
    # Equal 64-bit keys (one chance in 2^25 for a million rows) keep their order: no leak of note.
    return np.argsort(sort_keys, kind="stable").astype(np.uint32)


def distinct(points: bytes) -> bool:
    """Whether no point occurs twice."""
    packed = _as_points(points)
    return bool(np.unique(packed).size == packed.size)


def match(own: bytes, partners: bytes) -> Rows:
    """For each of one's own points its position among the partner's points, or ABSENT_ROW.

    Both lists must be free of repeats.
    """
    own_points = _as_points(own)
    rows = np.full(own_points.size, ABSENT_ROW, dtype=np.uint32)
    _, own_positions, partner_positions = np.intersect1d(
        own_points, _as_points(partners), assume_unique=True, return_indices=True
    )
    rows[own_positions] = partner_positions
    return rows


def _as_points(points: bytes) -> npt.NDArray[np.bytes_]:
    # numpy ignores trailing zero bytes of 'S' strings, which is harmless: all have one length.
    return np.frombuffer(points, dtype=f"S{POINT_BYTES}")

"""The feature party's side of the alignment; the room's docstring says what it learns."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.alignment.blocks import IncomingPoints, block_ranges, refuse_repeats
from federation.alignment.group import GroupWorkers
from federation.alignment.rows import ABSENT_ROW, AlignmentMode, Rows, check_ids, shuffled
from federation.errors import ProtocolError
from federation.proto.session_pb2 import AlignedRows, BlindedIds, ReblindedIds
from federation.session.machine import Progress, Receive, Send, Step
from federation.session.wire import unpack_array

LAST_PART = 2  # 0 training, 1 validation, 2 test


@dataclass(frozen=True)
class FeatureAlignment:
    """A feature party's aligned rows.

    Attributes:
        rows: for each aligned row, the position in the ids this party gave, or ABSENT_ROW.
        parts: for each aligned row 0 (training), 1 (validation) or 2 (test).
        label_party_ids: how many ids the label party has.
    """

    rows: Rows
    parts: npt.NDArray[np.uint8]
    label_party_ids: int

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """For each aligned row, whether this party knows the borrower."""
        return np.not_equal(self.rows, ABSENT_ROW)


def feature_party_alignment(
    ids: Sequence[str],
    label_party: str,
    group: GroupWorkers,
    domain: bytes,
    mode: AlignmentMode = AlignmentMode.LABEL_LEFT,
) -> Generator[Step, object, FeatureAlignment]:
    """Blind one's own ids, blind the label party's again, and take the rows it announces.

    Args:
        ids: this party's borrower ids, normalised, each once.
        label_party: its name.
        group: holds this party's key; a fresh one for each alignment.
        domain: separates this session's hashes; the same bytes at every party.
        mode: under 'inner' an announced row that this party does not know is refused.

    Raises:
        InputError: no ids, or an id twice.
        ProtocolError: the label party's messages are not what the protocol allows.
    """
    check_ids(ids)
    own_total = len(ids)
    order = shuffled(own_total)
    for first, end in block_ranges(own_total):
        block = [ids[row] for row in order[first:end].tolist()]
        points = group.hash_and_blind(block, domain)
        yield Send(label_party, "blinded_ids", _block(own_total, first, points))
        yield Progress("alignment", 0.5 * end / own_total, f"{end:,} of {own_total:,} ids blinded")

    blinded = bytearray()
    incoming = IncomingPoints(label_party, "blinded ids")
    while not incoming.complete:
        first = incoming.taken
        points = incoming.take((yield Receive(label_party, "blinded_ids")))
        blinded += points
        total = incoming.total
        again = ReblindedIds(total=total, first=first, points=group.blind(points))
        yield Send(label_party, "reblinded_ids", again)
        yield Progress(
            "alignment",
            0.5 + 0.5 * incoming.taken / total,
            f"{incoming.taken:,} of {total:,} ids of {label_party} blinded again",
        )
    refuse_repeats(bytes(blinded), label_party, "the blinded ids")

    announced = yield Receive(label_party, "aligned_rows")
    alignment = _check(announced, order, incoming.total, label_party, mode)
    shared = int(alignment.present.sum())
    yield Progress("alignment", 1.0, f"{shared:,} of {own_total:,} borrowers are aligned")
    return alignment


def _block(total: int, first: int, points: bytes) -> BlindedIds:
    return BlindedIds(total=total, first=first, points=points)


def _check(
    announced: object, order: Rows, label_party_ids: int, label_party: str, mode: AlignmentMode
) -> FeatureAlignment:
    """Take the rows announced, if they are rows of this party, each once."""
    if not isinstance(announced, AlignedRows):
        raise TypeError(f"{type(announced).__name__} announces no rows")
    count = announced.rows
    what = f"the aligned rows from {label_party}"
    if not 0 < count <= label_party_ids:
        raise ProtocolError(
            f"{what} are {count}; there must be 1 to {label_party_ids}, the ids of {label_party}"
        )
    positions = unpack_array(announced.positions, "<u4", (count,), f"{what} (positions)")
    parts = unpack_array(announced.parts, "u1", (count,), f"{what} (parts)")
    if parts.max() > LAST_PART:
        raise ProtocolError(f"{what} name part {parts.max()}; only 0 to {LAST_PART} exist")
    present = positions != ABSENT_ROW
    if mode == "inner" and not present.all():
        raise ProtocolError(f"{what} hold an unknown borrower, which 'inner' alignment never does")
    known = positions[present]
    if not known.size:
        raise ProtocolError(f"{what} hold no borrower of this party")
    if known.max() >= order.size:
        raise ProtocolError(
            f"{what} name position {known.max()} of a list of {order.size} blinded ids"
        )
    if np.unique(known).size != known.size:
        raise ProtocolError(f"{what} name a borrower of this party twice")
    rows = np.full(count, ABSENT_ROW, dtype=np.uint32)
    rows[present] = order[known]
    return FeatureAlignment(rows, parts.astype(np.uint8), label_party_ids)

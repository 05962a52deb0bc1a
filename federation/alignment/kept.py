"""An alignment kept for later sessions: the same borrowers need not be aligned again.

Both sides keep which of their own rows the aligned borrowers are, under the name of the session
that found out. Where neither side's ids have changed since, the label party announces only each
row's part. Nothing new is disclosed: both knew all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from federation.alignment.feature_party import LAST_PART, FeatureAlignment
from federation.alignment.label_party import LabelAlignment
from federation.alignment.rows import AlignmentMode, Rows
from federation.errors import ProtocolError
from federation.proto.kept_pb2 import Alignment
from federation.proto.session_pb2 import AlignedRows
from federation.session.machine import Receive, Send, Step
from federation.session.wire import pack_array, unpack_array


@dataclass(frozen=True)
class KeptAlignment:
    """One party's side of an alignment.

    Attributes:
        session: that made it.
        label_party: of that session.
        mode: whose borrowers it is about.
        ids_digest: of the party's own ids.
        rows: the own row of every aligned borrower, or ABSENT_ROW.
        label_party_ids: at a feature party, how many ids the label party had.
        partner_ids, shared_ids: at the label party, as in `LabelAlignment`.
    """

    session: str
    label_party: str
    mode: AlignmentMode
    ids_digest: bytes
    rows: Rows = field(repr=False)
    label_party_ids: int = 0
    partner_ids: Mapping[str, int] = field(default_factory=dict)
    shared_ids: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """For the party's vault only."""
        return Alignment(
            session=self.session,
            label_party=self.label_party,
            mode=str(self.mode),
            ids_digest=self.ids_digest,
            rows=pack_array(self.rows, "<u4"),
            label_party_ids=self.label_party_ids,
            partner_ids=dict(self.partner_ids),
            shared_ids=dict(self.shared_ids),
        ).SerializeToString()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """What `to_bytes` made; None where it is something else: it is only made anew then."""
        try:
            kept = Alignment.FromString(data)
            rows = np.frombuffer(kept.rows, dtype="<u4").astype(np.uint32)
            mode = AlignmentMode(kept.mode)
        except (DecodeError, ValueError):
            return None
        return cls(
            kept.session,
            kept.label_party,
            mode,
            kept.ids_digest,
            rows,
            kept.label_party_ids,
            dict(kept.partner_ids),
            dict(kept.shared_ids),
        )


def ids_digest(ids: Sequence[str]) -> bytes:
    """SHA-256 over a party's ids in their order; never leaves the party."""
    hasher = hashlib.sha256(b"veilscore ids 1")
    for first in range(0, len(ids), 65536):
        block = ids[first : first + 65536]
        # Lengths first: no two lists of ids may come to the same bytes.
        hasher.update(np.fromiter(map(len, block), np.int64, len(block)).tobytes())
        hasher.update("".join(block).encode())
    return hasher.digest()


def announce_parts(
    kept: KeptAlignment, parts: npt.NDArray[np.uint8]
) -> Generator[Step, object, None]:
    """The label party tells its partners each aligned row's part, and no positions."""
    for party in kept.partner_ids:
        announced = AlignedRows(rows=kept.rows.size, parts=pack_array(parts, "u1"))
        yield Send(party, "aligned_rows", announced)


def resumed_label_alignment(kept: KeptAlignment) -> LabelAlignment:
    """The label party's side; the partners know their positions, which it need not keep."""
    return LabelAlignment(kept.rows, {}, kept.partner_ids, kept.shared_ids)


def resumed_feature_alignment(
    kept: KeptAlignment, label_party: str
) -> Generator[Step, object, FeatureAlignment]:
    """A feature party's side: its kept rows, with the parts of this session.

    Raises:
        ProtocolError: the parts are not those of the kept rows.
    """
    announced = yield Receive(label_party, "aligned_rows")
    if not isinstance(announced, AlignedRows):
        raise TypeError(f"{type(announced).__name__} announces no rows")
    what = f"the aligned rows from {label_party}"
    count = kept.rows.size
    if announced.rows != count or announced.positions:
        raise ProtocolError(
            f"{what} are {announced.rows}, where the alignment of session '{kept.session}' that "
            f"goes on has {count}"
        )
    parts = unpack_array(announced.parts, "u1", (count,), f"{what} (parts)")
    if parts.max(initial=0) > LAST_PART:
        raise ProtocolError(f"{what} name part {parts.max()}; only 0 to {LAST_PART} exist")
    return FeatureAlignment(kept.rows, parts.astype(np.uint8), kept.label_party_ids)

"""The label party's side of the alignment; the room's docstring says what it learns."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.alignment.blocks import IncomingPoints, block_ranges, refuse_repeats
from federation.alignment.group import POINT_BYTES, GroupWorkers
from federation.alignment.rows import (
    ABSENT_ROW,
    AlignmentMode,
    Rows,
    check_ids,
    match,
    shuffled,
)
from federation.errors import InputError
from federation.proto.session_pb2 import AlignedRows, BlindedIds
from federation.session.machine import Progress, Receive, Send, Step
from federation.session.wire import pack_array


@dataclass(frozen=True)
class LabelAlignment:
    """The label party's aligned rows, before the partners know them.

    Attributes:
        rows: for each aligned row, the position in the ids the label party gave; a fresh random
            order. Under 'label-left' every borrower of the label party is among them.
        partner_positions: for each feature party and aligned row, the position in that party's
            blinded list, or ABSENT_ROW.
        partner_ids: how many ids each feature party has.
        shared_ids: how many of the label party's ids each feature party has, aligned or not: under
            'inner' with several partners the label party learns more than the aligned rows.
    """

    rows: Rows
    partner_positions: Mapping[str, Rows]
    partner_ids: Mapping[str, int]
    shared_ids: Mapping[str, int]

    def present(self, feature_party: str) -> npt.NDArray[np.bool_]:
        """For each aligned row, whether that feature party knows the borrower."""
        return np.not_equal(self.partner_positions[feature_party], ABSENT_ROW)


def label_party_alignment(
    ids: Sequence[str],
    feature_parties: Sequence[str],
    mode: AlignmentMode,
    group: GroupWorkers,
    domain: bytes,
) -> Generator[Step, object, LabelAlignment]:
    """Find the shared borrowers with every feature party; `announce_rows` then tells them.

    Args:
        ids: the label party's borrower ids, normalised, each once.
        feature_parties: their names.
        mode: 'inner' keeps the borrowers that all parties know, 'label-left' all of one's own.
        group: holds the label party's key; a fresh one for each alignment.
        domain: separates this session's hashes; the same bytes at every party.

    Raises:
        InputError: no ids, an id twice, or no shared borrower.
        ProtocolError: a feature party's messages are not what the protocol allows.
    """
    if not feature_parties or len(set(feature_parties)) != len(feature_parties):
        raise ValueError(f"feature parties must be one or more and distinct: {feature_parties}")
    check_ids(ids)
    total = len(ids)
    for first, end in block_ranges(total):
        points = group.hash_and_blind(ids[first:end], domain)
        block = BlindedIds(total=total, first=first, points=points)
        for party in feature_parties:
            yield Send(party, "blinded_ids", block)
        yield Progress("alignment", 0.5 * end / total, f"{end:,} of {total:,} ids blinded")

    theirs = {}
    for done, party in enumerate(feature_parties):
        share = (0.5 + 0.4 * done / len(feature_parties), 0.4 / len(feature_parties))
        theirs[party] = yield from _blind_again(party, group, share)
    own = {}
    for done, party in enumerate(feature_parties):
        own[party] = yield from _take_back(party, total)
        yield Progress("alignment", 0.9 + 0.1 * (done + 1) / len(feature_parties), party)

    positions = {party: match(own[party], theirs[party]) for party in feature_parties}
    known = {party: positions[party] != ABSENT_ROW for party in feature_parties}
    for party in feature_parties:
        if not known[party].any():
            raise InputError(
                f"none of the {total:,} borrowers is known to {party}; check that both manifests "
                "name the same id column, normalised by the same rule"
            )
    rows = shuffled(total)
    if mode == "inner":
        rows = rows[np.logical_and.reduce(list(known.values()))[rows]]
    if not rows.size:
        raise InputError(
            f"none of the {total:,} borrowers is known to all of {', '.join(feature_parties)}; "
            "train with fewer partners, or choose the alignment 'label-left'"
        )
    shared = ", ".join(f"{known[party].sum():,} known to {party}" for party in feature_parties)
    yield Progress("alignment", 1.0, f"{rows.size:,} of {total:,} borrowers are aligned: {shared}")
    return LabelAlignment(
        rows=rows,
        partner_positions={party: positions[party][rows] for party in feature_parties},
        partner_ids={party: len(theirs[party]) // POINT_BYTES for party in feature_parties},
        shared_ids={party: int(known[party].sum()) for party in feature_parties},
    )


def announce_rows(
    alignment: LabelAlignment, parts: npt.NDArray[np.uint8]
) -> Generator[Step, object, None]:
    """Tell every feature party which of its borrowers each aligned row is, and the row's part.

    Args:
        alignment: what `label_party_alignment` returned.
        parts: for each aligned row 0 (training), 1 (validation) or 2 (test).
    """
    if parts.shape != alignment.rows.shape:
        raise ValueError(f"{parts.shape} parts for {alignment.rows.shape} aligned rows")
    for party, positions in alignment.partner_positions.items():
        announced = AlignedRows(
            rows=alignment.rows.size,
            positions=pack_array(positions, "<u4"),
            parts=pack_array(parts, "u1"),
        )
        yield Send(party, "aligned_rows", announced)


def _blind_again(
    party: str, group: GroupWorkers, share: tuple[float, float]
) -> Generator[Step, object, bytes]:
    """Take a feature party's blinded ids and blind each block as it comes."""
    blinded, again = bytearray(), []
    incoming = IncomingPoints(party, "blinded ids")
    while not incoming.complete:
        points = incoming.take((yield Receive(party, "blinded_ids")))
        blinded += points
        again.append(group.blind(points))
        yield Progress(
            "alignment",
            share[0] + share[1] * incoming.taken / incoming.total,
            f"{incoming.taken:,} of {incoming.total:,} ids of {party} blinded again",
        )
    refuse_repeats(bytes(blinded), party, "the blinded ids")
    return b"".join(again)


def _take_back(party: str, total: int) -> Generator[Step, object, bytes]:
    """Take one's own ids back, blinded again by a feature party."""
    points = bytearray()
    incoming = IncomingPoints(party, "re-blinded ids", total)
    while not incoming.complete:
        points += incoming.take((yield Receive(party, "reblinded_ids")))
    refuse_repeats(bytes(points), party, "the re-blinded ids")
    return bytes(points)

"""The label party's side of contributions: what it asks feature parties and reads of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import ContributionReply, ContributionRequest
from federation.scoring.points import MOST_POINTS
from federation.scoring.served_model import ServedVariant

VERSION = 1
MOST_BORROWERS = 16_384


class Answer(NamedTuple):
    """What one feature party answered about n borrowers.

    Attributes:
        points: uint32 (n,), masked where two or more parties answer; 0 where not known.
        known: bool (n,).
        as_of_ms: when the party's table was read.
        cache_seconds: how long the points may be kept; 0 where they are masked.
    """

    points: npt.NDArray[np.uint32]
    known: npt.NDArray[np.bool_]
    as_of_ms: int = 0
    cache_seconds: int = 0


def build_request(
    session: str, variant: ServedVariant, nonce: bytes, tags: bytes
) -> ContributionRequest:
    """The label party's question to one feature party of the variant.

    Args:
        session: that trained the model.
        variant: that is asked for.
        nonce: of `new_nonce`, the same to all parties of the variant.
        tags: of the borrowers, made for this party; in the same order to all.
    """
    return ContributionRequest(
        version=VERSION,
        session=session,
        variant=variant.name,
        parties=variant.parties,
        nonce=nonce,
        tags=tags,
    )


def read_reply(reply: ContributionReply, variant: ServedVariant, count: int) -> Answer:
    """One feature party's answer about `count` borrowers, checked.

    Raises:
        ProtocolError: it is of another length, has points of a borrower that the party does not
            know, or, unmasked, more than MOST_POINTS.
    """
    if len(reply.points) != 4 * count or len(reply.known) != (count + 7) // 8:
        raise ProtocolError(
            f"the answer has {len(reply.points)} bytes of points and {len(reply.known)} of known "
            f"borrowers; {4 * count} and {(count + 7) // 8} are right"
        )
    points = np.frombuffer(reply.points, dtype="<u4").astype(np.uint32, copy=False)
    bits = np.unpackbits(np.frombuffer(reply.known, dtype=np.uint8), bitorder="little")
    known = bits[:count].astype(np.bool_)
    if bits[count:].any() or points[~known].any():
        raise ProtocolError("the answer has points or marks of borrowers that are not known there")
    masked = len(variant.parties) > 1
    if not masked and (np.abs(points.view(np.int32).astype(np.int64)) > MOST_POINTS).any():
        raise ProtocolError(f"the answer has points beyond ±{MOST_POINTS:,}")
    if masked and reply.cache_seconds:
        raise ProtocolError("the answer allows masked points to be kept, which serve once only")
    return Answer(points, known, reply.as_of_ms, reply.cache_seconds)


def combine(answers: Sequence[Answer]) -> npt.NDArray[np.int64]:
    """The points (n,) of all feature parties of a variant together.

    Args:
        answers: of every party of the variant, to the same nonce and borrowers.

    Returns:
        Points; 0 for borrowers that one of them does not know, whose masks don't cancel: these
        must be scored with another variant.

    Raises:
        ProtocolError: there is no answer, they are of different lengths, or a sum is beyond what
            so many parties can say: masks did not cancel, or a party left the protocol.
    """
    if not answers or len({answer.points.size for answer in answers}) > 1:
        raise ProtocolError("answers of every party of a variant to the same borrowers are needed")
    total = np.zeros(answers[0].points.size, dtype=np.uint32)
    known = np.ones(total.size, dtype=np.bool_)
    for answer in answers:
        total += answer.points
        known &= answer.known
    points = total.view(np.int32).astype(np.int64)
    points[~known] = 0
    if (np.abs(points) > MOST_POINTS * len(answers)).any():
        raise ProtocolError(
            "the parties' answers do not add up: their masks do not cancel, so at least one of "
            "them answered another question or pins another key"
        )
    return points

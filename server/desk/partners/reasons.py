"""A partner's reasons: what weighed most against one borrower, by its public labels."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import ReasonsReply, ReasonsRequest
from federation.scoring.contribution import VERSION
from federation.scoring.points import MOST_POINTS
from server.desk.answers import GivenReason

MOST_LABEL = 200
# Whatever is asked for: a reply with more is none.
MOST_REASONS = 100


def reasons_request(session: str, variant: str, nonce: bytes, tag: bytes, most: int) -> bytes:
    """The question, serialised."""
    asked = min(max(most, 1), MOST_REASONS)
    return ReasonsRequest(
        version=VERSION, session=session, variant=variant, nonce=nonce, tag=tag, most=asked
    ).SerializeToString()


def read_reasons(reply: bytes, party: str, most: int) -> list[GivenReason] | None:
    """A party's reasons, the heaviest first; None: it gives none, or does not know the borrower.

    Raises:
        ProtocolError: a label or a number of points can't be one.
    """
    try:
        parsed = ReasonsReply.FromString(reply)
    except DecodeError as error:
        raise ProtocolError("its reasons can't be read") from error
    if not parsed.given or not parsed.known:
        return None
    if len(parsed.reasons) > MOST_REASONS:
        raise ProtocolError(f"it gave more than {MOST_REASONS} reasons")
    for reason in parsed.reasons:
        if not reason.label.isprintable() or not 0 < len(reason.label) <= MOST_LABEL:
            raise ProtocolError("it gave a reason whose label is none")
        if abs(reason.points) > MOST_POINTS:
            raise ProtocolError(f"it gave a reason of more than {MOST_POINTS:,} points")
    heaviest = sorted(parsed.reasons, key=lambda reason: -reason.points)[:most]
    return [GivenReason(party, reason.label, reason.points) for reason in heaviest]

"""What a partner offers: the variants that it serves, and on which terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import OfferReply

MOST_MODELS = 10_000
MOST_NAME = 500


@dataclass(frozen=True)
class PartnerOffer:
    """A partner's offer, as it last made it.

    Attributes:
        digests: of its part, by session and variant.
        as_of_ms: when its table was read, milliseconds since 1970.
        borrowers: how many it knows.
        reasons: whether it gives reasons.
        cache_seconds: how long its unmasked contributions may be kept.
    """

    digests: Mapping[tuple[str, str], str]
    as_of_ms: int
    borrowers: int
    reasons: bool
    cache_seconds: int


def read_offer(reply: bytes) -> PartnerOffer:
    """Parse an offer.

    Raises:
        ProtocolError: it is none.
    """
    try:
        offer = OfferReply.FromString(reply)
    except DecodeError as error:
        raise ProtocolError("its offer can't be read") from error
    if len(offer.models) > MOST_MODELS:
        raise ProtocolError(f"its offer has more than {MOST_MODELS:,} models")
    digests = {}
    for model in offer.models:
        names = (model.session, model.variant, model.part_digest)
        if not all(name.isprintable() and 0 < len(name) <= MOST_NAME for name in names):
            raise ProtocolError("its offer has a name or digest that is none")
        digests[model.session, model.variant] = model.part_digest
    return PartnerOffer(
        digests, offer.as_of_ms, offer.borrowers, offer.reasons, offer.cache_seconds
    )

"""Offers and reasons as partners send them: whatever the bytes, a value or a clear refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import OfferReply, PartyReason, ReasonsReply
from federation.scoring.points import MOST_POINTS
from server.desk.answers import GivenReason
from server.desk.partners.offers import MOST_NAME, read_offer
from server.desk.partners.reasons import MOST_LABEL, MOST_REASONS, read_reasons


@given(st.binary(max_size=200))
def test_any_bytes_are_an_offer_or_refused(reply: bytes) -> None:
    """Nothing else comes out."""
    try:
        offer = read_offer(reply)
    except ProtocolError:
        return
    assert all(
        name.isprintable() and 0 < len(name) <= MOST_NAME
        for key, digest in offer.digests.items()
        for name in (*key, digest)
    )


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_reasons_or_refused(reply: bytes, most: int) -> None:
    """Nothing else comes out."""
    try:
        reasons = read_reasons(reply, "platform", most)
    except ProtocolError:
        return
    assert reasons is None or len(reasons) <= most


def test_an_offer_is_read() -> None:
    """With all that it says."""
    reply = OfferReply(as_of_ms=5, borrowers=7, reasons=True, cache_seconds=30)
    reply.models.add(session="one", variant="exact", part_digest="ab")
    offer = read_offer(reply.SerializeToString())
    assert offer.digests == {("one", "exact"): "ab"}
    assert (offer.as_of_ms, offer.borrowers, offer.reasons, offer.cache_seconds) == (5, 7, True, 30)


@pytest.mark.parametrize("name", ["", "line\nbreak", "x" * (MOST_NAME + 1), "\u202e"])
def test_names_that_are_none_are_refused(name: str) -> None:
    """They would stand in logs and on pages."""
    reply = OfferReply()
    reply.models.add(session="one", variant=name, part_digest="ab")
    with pytest.raises(ProtocolError, match="a name or digest that is none"):
        read_offer(reply.SerializeToString())


def test_the_heaviest_reasons_come_first() -> None:
    """And no more than were asked for."""
    given_reasons = [PartyReason(label=f"figure {n}", points=n) for n in (3, 9, -2, 5)]
    reply = ReasonsReply(known=True, given=True, reasons=given_reasons).SerializeToString()
    assert read_reasons(reply, "platform", 2) == [
        GivenReason("platform", "figure 9", 9),
        GivenReason("platform", "figure 5", 5),
    ]


@pytest.mark.parametrize(("known", "given_any"), [(False, True), (True, False)])
def test_no_reasons_are_none(known: bool, given_any: bool) -> None:
    """Of a borrower that is not known there, or by a party that gives none."""
    reply = ReasonsReply(known=known, given=given_any)
    assert read_reasons(reply.SerializeToString(), "platform", 4) is None


@pytest.mark.parametrize(
    "reasons",
    [
        [PartyReason(label="", points=1)],
        [PartyReason(label="a\x1b[31m", points=1)],
        [PartyReason(label="a" * (MOST_LABEL + 1), points=1)],
        [PartyReason(label="a", points=MOST_POINTS + 1)],
        [PartyReason(label="a", points=1)] * (MOST_REASONS + 1),
    ],
)
def test_reasons_that_are_none_are_refused(reasons: list[PartyReason]) -> None:
    """Labels go to callers, and from there to borrowers."""
    reply = ReasonsReply(known=True, given=True, reasons=reasons)
    with pytest.raises(ProtocolError, match="it gave"):
        read_reasons(reply.SerializeToString(), "platform", 4)

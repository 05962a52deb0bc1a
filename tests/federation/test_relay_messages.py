"""Messages between a party and the relay: what is written is read, and nothing else is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.proto.relay_pb2 import Done, FromParty, Parcel, ToParty
from federation.session.relay_messages import (
    MAX_SUMMARY_BYTES,
    MAX_VERSIONS,
    common_version,
    done_message,
    one_line,
    parcel_message,
    progress_note,
    read_from_party,
    read_parcel,
    read_to_party,
    read_versions,
    versions_text,
)
from federation.session.wire import MAX_PARCEL_BYTES

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
frames = st.one_of(
    st.binary(min_size=1, max_size=400),
    st.sampled_from([127, 128, 16_383, 16_384, MAX_PARCEL_BYTES]).map(bytes),
)


@given(names, names, frames)
def test_parcels_are_what_protobuf_makes_of_them(peer: str, sender: str, frame: bytes) -> None:
    """Written by hand and by protobuf they are the same bytes, before and after the relay."""
    message = parcel_message(peer, frame)
    assert message == FromParty(parcel=Parcel(peer=peer, frame=frame)).SerializeToString()
    parcel = read_parcel(message)
    assert parcel is not None
    assert (parcel.peer, parcel.frame, parcel.frame_bytes) == (peer, frame, len(frame))
    passed_on = parcel.readdressed(sender)
    assert passed_on == ToParty(parcel=Parcel(peer=sender, frame=frame)).SerializeToString()


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda raw: b"\x12" + raw)))
@example(b"\x12\x80\x80\x80\x80\x01")
@example(b"\x12\x06\x0a\x01\xff\x12\x01x")
def test_bytes_of_any_kind(raw: bytes) -> None:
    """They are read, or refused with a ProtocolError: nothing else comes out."""
    try:
        parcel = read_parcel(raw)
    except ProtocolError:
        pass
    else:
        if parcel is not None and parcel.frame_bytes:
            assert FromParty.FromString(raw).parcel.frame == parcel.frame
            assert FromParty.FromString(raw).parcel.peer == parcel.peer
    for read in (read_from_party, read_to_party):
        with contextlib.suppress(ProtocolError):
            assert read(raw).WhichOneof("content") not in (None, "parcel")


@given(frames, st.data())
def test_a_truncated_parcel_is_refused(frame: bytes, data: st.DataObject) -> None:
    """At every length."""
    message = parcel_message("bank", frame)
    cut = data.draw(st.integers(1, len(message) - 1))
    with pytest.raises(ProtocolError, match="truncated or damaged$"):
        read_parcel(message[:cut])


@pytest.mark.parametrize("length", [0, MAX_PARCEL_BYTES + 1])
def test_frames_that_are_empty_or_too_long_are_not_written(length: int) -> None:
    """With both lengths in the sentence."""
    with pytest.raises(ProtocolError, match=f"^a frame of {length} bytes .* {MAX_PARCEL_BYTES} "):
        parcel_message("bank", bytes(length))


def test_summaries_are_bounded() -> None:
    """On both sides."""
    summary = "x" * MAX_SUMMARY_BYTES
    assert read_from_party(done_message(summary)).done.summary_json == summary
    with pytest.raises(ProtocolError, match="the summary is longer than"):
        done_message(summary + "x")
    with pytest.raises(ProtocolError, match="its summary is longer than"):
        read_from_party(FromParty(done=Done(summary_json=summary + "x")).SerializeToString())


@given(st.text(), st.integers(1, 50))
def test_text_from_elsewhere_is_one_printable_line(text: str, signs: int) -> None:
    """Of a bounded length; what was in order stays as it is."""
    shown = one_line(text, signs)
    assert len(shown) <= signs
    assert shown.isprintable()
    if text.isprintable() and len(text) <= signs:
        assert shown == text


@given(st.text(), st.floats(), st.text())
def test_progress_is_cut_and_its_fraction_a_share(stage: str, fraction: float, words: str) -> None:
    """Whatever a party says."""
    assert 0 <= progress_note(stage, fraction, words).fraction <= 1


@given(st.sets(st.integers(0, 999_999), min_size=1, max_size=MAX_VERSIONS))
def test_versions_come_back(versions: set[int]) -> None:
    """As a set."""
    assert read_versions(versions_text(versions)) == versions


@given(st.text(max_size=200))
@example("1," * MAX_VERSIONS + "1")
@example("²")
def test_text_that_is_no_versions_is_refused(text: str) -> None:
    """Nothing but a ProtocolError comes out."""
    try:
        versions = read_versions(text)
    except ProtocolError:
        return
    assert 1 <= len(versions) <= MAX_VERSIONS


@given(st.dictionaries(names, st.frozensets(st.integers(1, 6), min_size=1), min_size=1))
def test_the_highest_common_version(offers: dict[str, frozenset[int]]) -> None:
    """All speak it, and none higher; where there is none, those behind are named."""
    common = set.intersection(*map(set, offers.values()))
    if common:
        assert common_version(offers) == max(common)
        return
    newest = max(map(max, offers.values()))
    with pytest.raises(ProtocolError) as raised:
        common_version(offers)
    tail = str(raised.value).rpartition("; upgrade veilscore at ")[2]
    behind = ", ".join(party for party, offer in offers.items() if newest not in offer)
    assert tail == f"{behind} to a release that speaks version {newest}"

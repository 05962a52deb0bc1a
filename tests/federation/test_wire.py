"""The wire format: what is sent is read back, and bytes from outside raise one kind of error."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.proto.session_pb2 import Closing, Envelope, PartialScores, Query, Verdict
from federation.session import wire
from federation.session.wire import decode, encode, pack_array, unpack_array

FRAME = encode("s", "bank", "platform", 7, "query", Query(query_id=3, ciphertext=b"x" * 100))


def test_an_envelope_is_read_back() -> None:
    """All fields, and an empty body is a body."""
    envelope = decode(FRAME)
    assert (envelope.session, envelope.sender, envelope.recipient) == ("s", "bank", "platform")
    assert (envelope.sequence, envelope.WhichOneof("body")) == (7, "query")
    assert envelope.query.ciphertext == b"x" * 100
    assert decode(encode("s", "a", "b", 0, "closing", Closing())).WhichOneof("body") == "closing"


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes) -> None:
    """A frame is an envelope with a body, or a ProtocolError."""
    with contextlib.suppress(ProtocolError):
        assert decode(data).WhichOneof("body") is not None


@settings(max_examples=300)
@given(st.integers(0, len(FRAME) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_frames_raise_nothing_but_protocol_errors(
    place: int, replacement: bytes, dropped: int
) -> None:
    """Bytes changed, inserted or dropped anywhere in a true frame."""
    with contextlib.suppress(ProtocolError):
        decode(FRAME[:place] + replacement + FRAME[place + dropped :])


@pytest.mark.parametrize("length", [1, 5, 30, len(FRAME) - 1])
def test_a_truncated_frame_is_refused(length: int) -> None:
    """Cut anywhere."""
    with pytest.raises(ProtocolError, match=r"truncated or damaged|carries no body"):
        decode(FRAME[:length])


def test_a_frame_without_a_body_is_refused() -> None:
    """An envelope of another protocol version, say."""
    with pytest.raises(
        ProtocolError, match=f"no body that protocol version {wire.PROTOCOL_VERSION} knows"
    ):
        decode(Envelope(session="s", sender="bank").SerializeToString())
    with pytest.raises(ProtocolError, match="carries no body"):
        decode(b"")


def test_frames_over_the_limit_are_refused_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large must go in blocks."""
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 50)
    with pytest.raises(ProtocolError, match=f"a frame of {len(FRAME)} bytes is over the limit"):
        decode(FRAME)
    with pytest.raises(ProtocolError, match="it must be sent in blocks"):
        encode("s", "a", "b", 0, "query", Query(ciphertext=b"x" * 100))


def test_a_body_must_be_of_its_kind() -> None:
    """A programming error, not a protocol error."""
    with pytest.raises(TypeError, match="a body of kind 'query' must be Query"):
        encode("s", "a", "b", 0, "query", Verdict())
    with pytest.raises(TypeError, match="must be PartialScores"):
        encode("s", "a", "b", 0, "partial_scores", object())


@settings(max_examples=60)
@given(
    st.sampled_from(["<u8", "<u4", "u1", "<u2"]), st.integers(0, 5), st.integers(0, 5), st.data()
)
def test_arrays_are_read_back(dtype: str, rows: int, columns: int, data: st.DataObject) -> None:
    """Any shape, row after row, little-endian; the result can't be written to."""
    largest = int(np.iinfo(dtype).max)
    numbers = data.draw(
        st.lists(st.integers(0, largest), min_size=rows * columns, max_size=rows * columns)
    )
    array = np.array(numbers, dtype=dtype).reshape(rows, columns)
    packed = pack_array(array, dtype)
    assert packed == b"".join(n.to_bytes(array.itemsize, "little") for n in numbers)
    read = unpack_array(packed, dtype, (rows, columns), "the array")
    np.testing.assert_array_equal(read, array)
    assert not read.flags.writeable
    np.testing.assert_array_equal(
        unpack_array(pack_array(array.T, dtype), dtype, (columns, rows), "it"), array.T
    )


@pytest.mark.parametrize("length", [0, 8, 79, 81, 160])
def test_an_array_of_another_length_is_refused(length: int) -> None:
    """The sentence says which array, how long it is and how long it should be."""
    with pytest.raises(
        ProtocolError, match=f"the scores holds {length} bytes where 80 are right .10 of uint64."
    ):
        unpack_array(bytes(length), "<u8", (10,), "the scores")


def test_an_array_is_never_cast_on_its_way_out() -> None:
    """Neither narrower nor from floats."""
    with pytest.raises(TypeError, match="can't go out as uint32"):
        pack_array(np.zeros(3, np.uint64), "<u4")
    with pytest.raises(TypeError, match="can't go out as uint64"):
        pack_array(np.zeros(3), "<u8")
    assert len(PartialScores(values=pack_array(np.zeros(3, np.uint64), "<u8")).values) == 24

"""The wire format: protobuf envelopes, parsed defensively, and arrays as little-endian bytes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from federation.errors import ProtocolError
from federation.proto.session_pb2 import Envelope

# Versions of the protocol that this release speaks, and the one it prefers.
SUPPORTED_VERSIONS = (3,)
PROTOCOL_VERSION = SUPPORTED_VERSIONS[-1]
# Blocks keep every message far below this; a larger one is an error or an attack.
MAX_FRAME_BYTES = 64 * 1024 * 1024
# What a transport carries at once: a message is sealed in pieces of at most a mebibyte.
PIECE_BYTES = 1024 * 1024
MAX_PARCEL_BYTES = PIECE_BYTES + 64
# The coordinator names runs and sessions; at everybody the names become parts of paths.
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def encode(
    session: str, sender: str, recipient: str, sequence: int, kind: str, body: object
) -> bytes:
    """One envelope as bytes; `kind` is the name of the body's field."""
    envelope = Envelope(session=session, sender=sender, recipient=recipient, sequence=sequence)
    field = getattr(envelope, kind)
    if not isinstance(body, Message) or type(field) is not type(body):
        raise TypeError(f"a body of kind '{kind}' must be {type(field).__name__}")
    field.CopyFrom(body)
    field.SetInParent()
    frame = envelope.SerializeToString()
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(
            f"'{kind}' of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}; "
            "it must be sent in blocks"
        )
    return frame


def decode(frame: bytes) -> Envelope:
    """Parse one frame; refuses what is too long, truncated, or carries no body."""
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}")
    envelope = Envelope()
    try:
        envelope.ParseFromString(frame)
    except DecodeError as error:
        raise ProtocolError(
            f"a frame of {len(frame)} bytes is not a veilscore message: truncated or damaged"
        ) from error
    if envelope.WhichOneof("body") is None:
        raise ProtocolError(
            f"a frame of {len(frame)} bytes from '{envelope.sender}' carries no body that protocol "
            f"version {PROTOCOL_VERSION} knows"
        )
    return envelope


def pack_array(values: npt.NDArray[Any], dtype: str) -> bytes:
    """The array's elements as little-endian bytes of `dtype` (e.g. '<u8'), row after row."""
    wire_dtype = np.dtype(dtype)
    if not np.can_cast(values.dtype, wire_dtype, casting="equiv"):
        raise TypeError(f"an array of {values.dtype} can't go out as {wire_dtype}")
    return np.ascontiguousarray(values, dtype=wire_dtype).tobytes()


def unpack_array(data: bytes, dtype: str, shape: tuple[int, ...], what: str) -> npt.NDArray[Any]:
    """Bytes back to a read-only array; the length must be exactly what the shape asks.

    Raises:
        ProtocolError: the length differs; the sentence names `what`.
    """
    wire_dtype = np.dtype(dtype)
    expected = int(np.prod(shape, dtype=np.int64)) * wire_dtype.itemsize
    if len(data) != expected:
        raise ProtocolError(
            f"{what} holds {len(data)} bytes where {expected} are right "
            f"({'×'.join(str(extent) for extent in shape)} of {wire_dtype.name})"
        )
    return np.frombuffer(data, dtype=wire_dtype).reshape(shape)

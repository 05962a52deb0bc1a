"""What goes over a party's stream to the relay: limits, and messages parsed defensively.

Parcels carry nearly all bytes. They are written and read by hand, in the form that protoc gives
them, so that the relay swaps the name on a parcel without unpacking and repacking its frame.
Everything else is small and goes through protobuf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from google.protobuf.message import DecodeError

from federation.errors import ProtocolError
from federation.proto.relay_pb2 import Done, Failed, FromParty, Heartbeat, ProgressNote, ToParty
from federation.session.wire import MAX_PARCEL_BYTES

SERVICE = "veilscore.relay.Relay"
METHOD = "Session"
SESSION_METHOD = f"/{SERVICE}/{METHOD}"
VERSIONS_KEY = "veilscore-versions"

# Each side sends a heartbeat after so long with nothing else to send, and gives the other up
# after so long without a word. One parcel must pass within the latter: 0.2 Mbit/s will do.
HEARTBEAT_SECONDS = 10.0
LOST_SECONDS = 60.0

MAX_SUMMARY_BYTES = 1024 * 1024
MAX_SENTENCE_SIGNS = 2000
MAX_NOTE_SIGNS = 200
MAX_VERSIONS = 32
# The transport lets pass a little more than what is right, so that what is too large for the
# protocol is refused with a sentence that names its sender, and only what is far too large by
# breaking the stream.
MAX_MESSAGE_BYTES = 2 * MAX_PARCEL_BYTES
# Flow control: what may be on its way to one receiver that does not read.
WINDOW_BYTES = 2 * 1024 * 1024
PING_MS = 20_000

# Options of gRPC's core that both sides set (grpc/impl/channel_arg_names.h).
STREAM_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A fixed window: the measured one would grow with the line and so with the relay's memory.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
    # Pings keep idle streams open at proxies, and find connections that are open at one end only.
    ("grpc.keepalive_time_ms", PING_MS),
    ("grpc.keepalive_timeout_ms", PING_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

_PARCEL = 0x12  # field 2 of FromParty and ToParty, length-delimited
_PEER = 0x0A  # field 1 of Parcel, length-delimited
_FRAME = 0x12  # field 2 of Parcel, length-delimited
_VARINT_BYTES = 4

HEARTBEAT_FROM_PARTY = FromParty(heartbeat=Heartbeat()).SerializeToString()
HEARTBEAT_TO_PARTY = ToParty(heartbeat=Heartbeat()).SerializeToString()


class ParcelView(NamedTuple):
    """A parcel that was read: whom it is to or from, and where its frame lies in the message."""

    peer: str
    message: bytes
    start: int

    @property
    def frame_bytes(self) -> int:
        """The frame's length."""
        return len(self.message) - self.start

    @property
    def frame(self) -> bytes:
        """The frame."""
        return self.message[self.start :]

    def readdressed(self, peer: str) -> bytes:
        """The message with another name on it; the frame's bytes are copied once."""
        return _head(peer, self.frame_bytes) + memoryview(self.message)[self.start :]


def parcel_message(peer: str, frame: bytes) -> bytes:
    """A parcel as a whole FromParty or ToParty message.

    Raises:
        ProtocolError: the frame is empty, or longer than a transport carries at once.
    """
    check_frame_length(len(frame))
    return _head(peer, len(frame)) + frame


def check_frame_length(length: int) -> None:
    """Refuse an empty frame, and one that is longer than MAX_PARCEL_BYTES.

    Raises:
        ProtocolError: says both lengths.
    """
    if not 0 < length <= MAX_PARCEL_BYTES:
        raise ProtocolError(
            f"a frame of {length} bytes is not one that goes over a stream; 1 to "
            f"{MAX_PARCEL_BYTES} are right"
        )


def read_parcel(message: bytes) -> ParcelView | None:
    """The parcel that a message is; None if it is another kind of message.

    Raises:
        ProtocolError: it begins as a parcel, but is truncated or damaged.
    """
    if not message or message[0] != _PARCEL:
        return None
    length, at = _varint(message, 1)
    if length != len(message) - at:
        raise _damaged(message)
    name_length, at = _length_of(message, at, _PEER)
    name, at = message[at : at + name_length], at + name_length
    frame_length, at = _length_of(message, at, _FRAME)
    if frame_length != len(message) - at:
        raise _damaged(message)
    try:
        return ParcelView(name.decode(), message, at)
    except UnicodeDecodeError as error:
        raise _damaged(message) from error


def read_from_party(message: bytes) -> FromParty:
    """A message of a party that is no parcel.

    Raises:
        ProtocolError: it is no such message, or longer than its kind may be.
    """
    parsed = FromParty()
    _parse(parsed, message)
    if len(parsed.done.summary_json.encode()) > MAX_SUMMARY_BYTES:
        raise ProtocolError(f"its summary is longer than {MAX_SUMMARY_BYTES} bytes")
    return parsed


def read_to_party(message: bytes) -> ToParty:
    """A message of the relay that is no parcel.

    Raises:
        ProtocolError: it is no such message.
    """
    parsed = ToParty()
    _parse(parsed, message)
    return parsed


def failed_note(party: str, sentence: str) -> Failed:
    """A failure as it goes over a stream: one line of a bounded length."""
    return Failed(party=one_line(party, MAX_NOTE_SIGNS), sentence=one_line(sentence))


def done_message(summary: str) -> bytes:
    """A party's last message, with what it wants the run record to hold.

    Raises:
        ProtocolError: the summary is longer than MAX_SUMMARY_BYTES.
    """
    if len(summary.encode()) > MAX_SUMMARY_BYTES:
        raise ProtocolError(f"the summary is longer than {MAX_SUMMARY_BYTES} bytes")
    return FromParty(done=Done(summary_json=summary)).SerializeToString()


def progress_note(stage: str, fraction: float, detail: str) -> ProgressNote:
    """What a person may watch, cut to a bounded length; the fraction lies in 0..1."""
    return ProgressNote(
        stage=one_line(stage, MAX_NOTE_SIGNS),
        fraction=min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else 0.0,
        detail=one_line(detail, MAX_NOTE_SIGNS),
    )


def one_line(text: str, signs: int = MAX_SENTENCE_SIGNS) -> str:
    """Text from elsewhere as it may be shown and logged: one line, printable, cut to a bound."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: signs + 1])
    return shown if len(text) <= signs else shown[: signs - 1] + "…"


def versions_text(versions: Iterable[int]) -> str:
    """Versions as they stand in a request's metadata."""
    return ",".join(map(str, sorted(set(versions))))


def read_versions(text: str) -> frozenset[int]:
    """Versions out of a request's metadata.

    Raises:
        ProtocolError: these are not up to MAX_VERSIONS numbers with commas between.
    """
    parts = text.split(",", MAX_VERSIONS)
    if len(parts) > MAX_VERSIONS or not all(
        part.isascii() and part.isdigit() and len(part) <= 6 for part in parts
    ):
        raise ProtocolError(
            f"'{one_line(text, 40)}' are no versions of the protocol; numbers with commas between "
            "are right, as in '2,3'"
        )
    return frozenset(map(int, parts))


def common_version(offers: dict[str, frozenset[int]]) -> int:
    """The highest version of the protocol that all parties speak.

    Raises:
        ProtocolError: there is none; says what each speaks and who must upgrade.
    """
    common = frozenset.intersection(*offers.values())
    if common:
        return max(common)
    newest = max(max(offer) for offer in offers.values())
    spoken = ", ".join(
        f"{party} speaks {' and '.join(map(str, sorted(offer)))}" for party, offer in offers.items()
    )
    behind = ", ".join(party for party, offer in offers.items() if newest not in offer)
    raise ProtocolError(
        f"the parties share no version of the protocol: {spoken}; upgrade veilscore at {behind} "
        f"to a release that speaks version {newest}"
    )


def _parse(parsed: FromParty | ToParty, message: bytes) -> None:
    try:
        parsed.ParseFromString(message)
    except DecodeError as error:
        raise _damaged(message) from error
    if parsed.WhichOneof("content") in (None, "parcel"):
        # A parcel in another form than ours would go past the limits on parcels.
        raise _damaged(message)


def _head(peer: str, frame_bytes: int) -> bytes:
    name = peer.encode()
    inner = bytes((_PEER, *_as_varint(len(name)))) + name
    inner += bytes((_FRAME, *_as_varint(frame_bytes)))
    return bytes((_PARCEL, *_as_varint(len(inner) + frame_bytes))) + inner


def _as_varint(value: int) -> bytes:
    """A protobuf varint: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint of up to four bytes, and where it ends."""
    value = 0
    for place, byte in enumerate(message[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte <= 0x7F:
            return value, at + place + 1
    raise _damaged(message)


def _length_of(message: bytes, at: int, tag: int) -> tuple[int, int]:
    if at >= len(message) or message[at] != tag:
        raise _damaged(message)
    return _varint(message, at + 1)


def _damaged(message: bytes) -> ProtocolError:
    return ProtocolError(
        f"a message of {len(message)} bytes is not one of the relay's: truncated or damaged"
    )

"""One sealed direction each way between two parties of a session: pieces out, messages in.

A piece is a header of 17 bytes, in the clear because the carrier can count anyway, and the sealed
bytes:

    kind (1) | channel (8) | sequence (8, little-endian) | ChaCha20-Poly1305 ciphertext and tag

The sequence number is the nonce (RFC 8439: 96 bits, the upper 32 zero) under a key that only this
session and direction have. Session, sender, recipient and header are the associated data, so that a
piece opens at one place only: in order, once, in its session, between its parties.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from federation.errors import ProtocolError
from federation.sealing.noise import TAG_BYTES, TransportKeys
from federation.session.wire import MAX_FRAME_BYTES, MAX_PARCEL_BYTES, PIECE_BYTES

_HEADER = struct.Struct("<B8sQ")
HEADER_BYTES = _HEADER.size


class PieceKind(IntEnum):
    """What a piece is."""

    OPENING = 1  # the initiator's handshake message
    REPLY = 2  # the responder's
    PART = 3  # of a message; more follows
    LAST = 4  # of a message


@dataclass(frozen=True)
class Piece:
    """A piece, taken apart but not opened."""

    kind: PieceKind
    channel: bytes
    sequence: int
    sealed: bytes
    header: bytes

    @classmethod
    def parse(cls, frame: bytes, sender: str) -> Piece:
        """Take a frame of any bytes apart.

        Raises:
            ProtocolError: it is no piece; names the sender.
        """
        if not HEADER_BYTES + TAG_BYTES <= len(frame) <= MAX_PARCEL_BYTES:
            raise ProtocolError(
                f"a frame of {len(frame)} bytes came from {sender}, where "
                f"{HEADER_BYTES + TAG_BYTES} to {MAX_PARCEL_BYTES} are right: it was truncated, or "
                "is no veilscore message"
            )
        number, channel, sequence = _HEADER.unpack_from(frame)
        try:
            kind = PieceKind(number)
        except ValueError as error:
            raise ProtocolError(
                f"a frame of kind {number} came from {sender}; it is no veilscore message"
            ) from error
        return cls(kind, channel, sequence, frame[HEADER_BYTES:], frame[:HEADER_BYTES])


def piece_header(kind: PieceKind, channel: bytes, sequence: int) -> bytes:
    """The 17 bytes in the clear."""
    return _HEADER.pack(kind, channel, sequence)


def direction(session: str, sender: str, recipient: str) -> bytes:
    """32 bytes that bind a session and both names; the first eight name the channel."""
    hasher = hashlib.sha256(b"veilscore sealed direction 1")
    for part in (session, sender, recipient):
        hasher.update(len(part.encode()).to_bytes(4, "little") + part.encode())
    return hasher.digest()


def check_channel(piece: Piece, bound_to: bytes, sender: str, party: str, session: str) -> None:
    """Refuse a piece of another session or other parties.

    Raises:
        ProtocolError: names the sender and the session that is right.
    """
    if piece.channel != bound_to[:8]:
        raise ProtocolError(
            f"{party} was given a message from {sender} that belongs to another session, or is for "
            f"another party; only messages of session '{session}' to {party} are taken"
        )


class SealedChannel:
    """Both directions between this party and one peer, once the handshake is over."""

    def __init__(self, keys: TransportKeys, session: str, party: str, peer: str) -> None:
        """Start both sequences at 0."""
        self._sending = ChaCha20Poly1305(keys.sending)
        self._receiving = ChaCha20Poly1305(keys.receiving)
        self._outward = direction(session, party, peer)
        self._inward = direction(session, peer, party)
        self._session, self._party, self._peer = session, party, peer
        self._sent = 0
        self._received = 0
        self._parts: list[bytes] = []
        self._part_bytes = 0

    def seal(self, message: bytes) -> Iterator[bytes]:
        """The pieces of one message, in order."""
        view = memoryview(message)
        for first in range(0, max(len(view), 1), PIECE_BYTES):
            part = view[first : first + PIECE_BYTES]
            kind = PieceKind.LAST if first + PIECE_BYTES >= len(view) else PieceKind.PART
            header = piece_header(kind, self._outward[:8], self._sent)
            sealed = self._sending.encrypt(_nonce(self._sent), part, self._outward + header)
            self._sent += 1
            yield header + sealed

    def open(self, piece: Piece) -> bytes | None:
        """Take the next piece; a whole message, or None while more of it is to come.

        Raises:
            ProtocolError: replayed, out of order, damaged, of another session, or too long.
        """
        check_channel(piece, self._inward, self._peer, self._party, self._session)
        where = f"piece {piece.sequence} from {self._peer}"
        if piece.sequence < self._received:
            raise ProtocolError(
                f"{where} was replayed; the next from that party must be piece {self._received}"
            )
        if piece.sequence > self._received:
            raise ProtocolError(f"{where} is out of order; piece {self._received} is missing")
        try:
            part = self._receiving.decrypt(
                _nonce(piece.sequence), piece.sealed, self._inward + piece.header
            )
        except InvalidTag as error:
            raise ProtocolError(
                f"{where} does not open: it was truncated or changed on its way, or was not sealed "
                "in this session"
            ) from error
        self._received += 1
        self._part_bytes += len(part)
        if self._part_bytes > MAX_FRAME_BYTES:
            raise ProtocolError(
                f"{self._peer} sends a message of over {MAX_FRAME_BYTES} bytes, which is the limit"
            )
        if piece.kind is PieceKind.PART:
            self._parts.append(part)
            return None
        if not self._parts:
            self._part_bytes = 0
            return part
        message = b"".join((*self._parts, part))
        self._parts, self._part_bytes = [], 0
        return message


def _nonce(sequence: int) -> bytes:
    return bytes(4) + sequence.to_bytes(8, "little")

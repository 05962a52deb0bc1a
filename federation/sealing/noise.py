"""Noise_KK_25519_ChaChaPoly_SHA256: a handshake between two parties that know each other's keys.

Source: Perrin, 'The Noise Protocol Framework', revision 34: handshake pattern KK

    -> s
    <- s
    ...
    -> e, es, ss
    <- e, ee, se

Both ephemeral keys are drawn for this handshake and forgotten with it: who steals a party's
long-term key later reads nothing of earlier sessions. The first message proves its sender to the
receiver but may be a replay; the reply, and everything sealed after it, may not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PROTOCOL_NAME = b"Noise_KK_25519_ChaChaPoly_SHA256"  # of HASHLEN bytes: it is h as it stands
KEY_BYTES = 32
TAG_BYTES = 16


class HandshakeError(Exception):
    """A handshake message does not open: another key, another context, or damage."""


@dataclass(frozen=True)
class TransportKeys:
    """What a finished handshake leaves; both sides hold the same two, crossed.

    Attributes:
        sending, receiving: 32 bytes each.
    """

    sending: bytes = field(repr=False)
    receiving: bytes = field(repr=False)


class KKHandshake:
    """One side of a handshake; each message goes or comes once, in order.

    Args:
        initiator: whether this side sends the first message.
        own: this party's long-term X25519 key.
        peer: the other's pinned X25519 public key, 32 bytes.
        prologue: what both sides must agree on; another one and nothing opens.
        ephemeral: for known-answer tests only.
    """

    def __init__(
        self,
        initiator: bool,
        own: X25519PrivateKey,
        peer: bytes,
        prologue: bytes,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        """Mix the prologue and both long-term public keys."""
        self._initiator = initiator
        self._own = own
        self._peer = X25519PublicKey.from_public_bytes(peer)
        self._ephemeral = ephemeral or X25519PrivateKey.generate()
        self._peer_ephemeral: X25519PublicKey | None = None
        self._hash = PROTOCOL_NAME
        self._chaining_key = PROTOCOL_NAME
        self._key = b""
        self._mix_hash(prologue)
        public = own.public_key().public_bytes_raw()
        for static in (public, peer) if initiator else (peer, public):
            self._mix_hash(static)

    def write_opening(self, payload: bytes) -> bytes:
        """The initiator's message: e, es, ss, and the payload sealed (not yet forward secret)."""
        message = self._write_ephemeral()
        self._mix_key(self._ephemeral, self._peer)
        self._mix_key(self._own, self._peer)
        return message + self._encrypt_and_hash(payload)

    def read_opening(self, message: bytes) -> bytes:
        """The responder takes it; returns the payload.

        Raises:
            HandshakeError: it was not made for this session by the holder of the pinned key.
        """
        ephemeral, sealed = self._read_ephemeral(message)
        self._mix_key(self._own, ephemeral)
        self._mix_key(self._own, self._peer)
        return self._decrypt_and_hash(sealed)

    def write_reply(self, payload: bytes) -> bytes:
        """The responder's message: e, ee, se, and the payload sealed."""
        message = self._write_ephemeral()
        self._mix_key(self._ephemeral, self._received_ephemeral)
        self._mix_key(self._ephemeral, self._peer)
        return message + self._encrypt_and_hash(payload)

    def read_reply(self, message: bytes) -> bytes:
        """The initiator takes it; returns the payload.

        Raises:
            HandshakeError: it was not made for this opening by the holder of the pinned key.
        """
        ephemeral, sealed = self._read_ephemeral(message)
        self._mix_key(self._ephemeral, ephemeral)
        self._mix_key(self._own, ephemeral)
        return self._decrypt_and_hash(sealed)

    def split(self) -> TransportKeys:
        """The keys of the session; both messages must have gone."""
        first, second = _hkdf(self._chaining_key, b"")
        if self._initiator:
            return TransportKeys(sending=first, receiving=second)
        return TransportKeys(sending=second, receiving=first)

    @property
    def _received_ephemeral(self) -> X25519PublicKey:
        if self._peer_ephemeral is None:
            raise HandshakeError("a reply can't be written before the opening was read")
        return self._peer_ephemeral

    def _write_ephemeral(self) -> bytes:
        public = self._ephemeral.public_key().public_bytes_raw()
        self._mix_hash(public)
        return public

    def _read_ephemeral(self, message: bytes) -> tuple[X25519PublicKey, bytes]:
        if len(message) < KEY_BYTES + TAG_BYTES:
            raise HandshakeError(f"{len(message)} bytes are too few")
        self._peer_ephemeral = X25519PublicKey.from_public_bytes(message[:KEY_BYTES])
        self._mix_hash(message[:KEY_BYTES])
        return self._peer_ephemeral, message[KEY_BYTES:]

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, private: X25519PrivateKey, public: X25519PublicKey) -> None:
        try:
            shared = private.exchange(public)
        except ValueError as error:  # a point of small order
            raise HandshakeError("a public key is no proper one") from error
        self._chaining_key, self._key = _hkdf(self._chaining_key, shared)

    # Every key seals one payload: mixing makes a new one, so the nonce is 0.
    def _encrypt_and_hash(self, payload: bytes) -> bytes:
        sealed = ChaCha20Poly1305(self._key).encrypt(bytes(12), payload, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _decrypt_and_hash(self, sealed: bytes) -> bytes:
        try:
            payload = ChaCha20Poly1305(self._key).decrypt(bytes(12), sealed, self._hash)
        except InvalidTag as error:
            raise HandshakeError("it does not open") from error
        self._mix_hash(sealed)
        return payload


def _hkdf(chaining_key: bytes, shared: bytes) -> tuple[bytes, bytes]:
    """HKDF of Noise with two outputs, which is RFC 5869 with an empty info."""
    made = HKDF(hashes.SHA256(), 64, salt=chaining_key, info=b"").derive(shared)
    return made[:KEY_BYTES], made[KEY_BYTES:]

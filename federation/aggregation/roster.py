"""Who takes part in a run: names and keys, bound by one digest into everything that follows."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federation.aggregation.messages import context
from federation.errors import BlamedError, ProtocolError

KEY_BYTES = 32


@dataclass(frozen=True)
class Roster:
    """All clients of a run.

    Attributes:
        run: its name.
        keys: each client's X25519 public key of this run.

    Raises:
        ProtocolError: fewer than two clients, or a key that is none.
    """

    run: str
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        """Check the keys' form."""
        if len(self.keys) < 2:
            raise ProtocolError("a secure sum needs at least two clients on its roster")
        for name, key in self.keys.items():
            if len(key) != KEY_BYTES:
                raise ProtocolError(
                    f"the run key of {name or 'a client without a name'} is damaged"
                )
        if "" in self.keys or len(set(self.keys.values())) != len(self.keys):
            raise ProtocolError("the clients of a roster must have names, and keys of their own")

    @property
    def names(self) -> list[str]:
        """All clients, by name."""
        return sorted(self.keys)

    @property
    def first(self) -> str:
        """Who makes the run's encryption key."""
        return min(self.keys)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the run's name and every client's name and key."""
        keys = {name: key.hex() for name, key in self.keys.items()}
        return hashlib.sha256(context("roster", self.run, keys)).digest()

    def bound(self, purpose: str, *parts: object) -> bytes:
        """A context within this run and roster."""
        return context(purpose, self.run, self.digest.hex(), *parts)


def agreed_key(private: bytes, public: bytes, bound_to: bytes, whose: str) -> bytes:
    """32 bytes that only the two key holders can derive (X25519, RFC 7748; HKDF, RFC 5869).

    Raises:
        ProtocolError: the public key is none; names `whose`.
    """
    try:
        peer = X25519PublicKey.from_public_bytes(public)
        shared = X25519PrivateKey.from_private_bytes(private).exchange(peer)
    except ValueError as error:  # also where the result would be the same for every private key
        raise BlamedError(whose, f"the key of {whose} is not an X25519 key") from error
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=bound_to).derive(shared)


class SealedPair:
    """Sealing between one client and one other, under their run keys.

    ChaCha20-Poly1305 (RFC 8439). What is sealed opens only with the same run, roster, sender,
    recipient and context. Each message has a key of its own, derived with a random salt of 32
    bytes, so that no nonce can repeat.
    """

    def __init__(self, roster: Roster, private: bytes, party: str, peer: str) -> None:
        """`private` is the run key of `party`."""
        self._roster, self._party, self._peer = roster, party, peer
        pair = sorted((party, peer))
        self._key = agreed_key(private, roster.keys[peer], roster.bound("pair", pair), peer)

    def seal(self, plain: bytes, *bound_to: object) -> bytes:
        """Seal for the peer."""
        salt = secrets.token_bytes(KEY_BYTES)
        associated = self._roster.bound("sealed", self._party, self._peer, *bound_to)
        return salt + self._cipher(salt).encrypt(bytes(12), plain, associated)

    def open(self, sealed: bytes, *bound_to: object) -> bytes:
        """Open what the peer sealed for this client.

        Raises:
            ProtocolError: it was not sealed under these keys, or for another roster or purpose.
        """
        associated = self._roster.bound("sealed", self._peer, self._party, *bound_to)
        salt, rest = sealed[:KEY_BYTES], sealed[KEY_BYTES:]
        try:
            return self._cipher(salt).decrypt(bytes(12), rest, associated)
        except (InvalidTag, ValueError) as error:
            raise BlamedError(
                self._peer,
                f"what {self._peer} sealed for {self._party} does not open: it was made under "
                "another key, for another roster, or was damaged",
            ) from error

    def _cipher(self, salt: bytes) -> ChaCha20Poly1305:
        derivation = HKDF(hashes.SHA256(), KEY_BYTES, salt=salt, info=b"veilscore sealed message")
        return ChaCha20Poly1305(derivation.derive(self._key))

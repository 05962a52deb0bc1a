"""A party's long-term key: made at the party, pinned by its peers, issued by nobody.

One secret seed gives two keys that never do each other's work (HKDF-SHA256, RFC 5869): Ed25519
(RFC 8032) signs, X25519 (RFC 7748) seals. What peers pin is one line of text that holds both public
keys and a checksum, so that a slip of the hand is told apart from a wrong key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from federation.errors import InputError

SEED_BYTES = 32
PUBLIC_BYTES = 64
CHECKSUM_BYTES = 5
TEXT_PREFIX = "veilscore-key-1:"


@dataclass(frozen=True)
class PartyPublicKey:
    """What peers pin of a party.

    Attributes:
        signing: Ed25519, 32 bytes.
        sealing: X25519, 32 bytes.
    """

    signing: bytes
    sealing: bytes

    @property
    def text(self) -> str:
        """One line for a federation file: prefix, both keys, checksum."""
        raw = self.signing + self.sealing
        return TEXT_PREFIX + base64.urlsafe_b64encode(raw + _checksum(raw)).decode()

    @property
    def fingerprint(self) -> str:
        """Twenty hexadecimal digits in groups of four, to compare over the telephone."""
        digest = hashlib.sha256(b"veilscore fingerprint 1" + self.signing + self.sealing)
        digits = digest.hexdigest()[:20]
        return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))

    @classmethod
    def from_text(cls, text: str, where: str) -> Self:
        """Read the line that `text` makes.

        Raises:
            InputError: it is not such a line, or was mistyped; the sentence begins with `where`.
        """
        wrong = f"{where}: is no party key; the line that `veilscore keys` prints there is right"
        if not text.startswith(TEXT_PREFIX):
            raise InputError(f"{wrong} ('{TEXT_PREFIX}' and 92 letters and digits)")
        try:
            raw = base64.b64decode(text[len(TEXT_PREFIX) :], altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise InputError(wrong) from error
        keys, checksum = raw[:PUBLIC_BYTES], raw[PUBLIC_BYTES:]
        if len(raw) != PUBLIC_BYTES + CHECKSUM_BYTES:
            raise InputError(f"{wrong}; this one is of another length")
        if checksum != _checksum(keys):
            raise InputError(f"{wrong}; this one was mistyped or cut (its checksum differs)")
        try:
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(keys[32:]))
        except ValueError as error:  # a point of small order: anybody knows what is sealed under it
            raise InputError(
                f"{wrong}; this one's sealing key is none that anybody holds"
            ) from error
        return cls(keys[:32], keys[32:])

    def verifies(self, signature: bytes, purpose: str, message: bytes) -> bool:
        """Whether the party signed this message for this purpose."""
        try:
            Ed25519PublicKey.from_public_bytes(self.signing).verify(
                signature, _to_sign(purpose, message)
            )
        except (InvalidSignature, ValueError):
            return False
        return True


class PartyKey:
    """A party's own long-term key; never printed, logged or sent.

    Args:
        seed: 32 bytes from the operating system's generator, kept in the party's vault.
    """

    def __init__(self, seed: bytes) -> None:
        """Derive both keys."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a party key's seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.signing = Ed25519PrivateKey.from_private_bytes(_derive(seed, b"signing"))
        self.sealing = X25519PrivateKey.from_private_bytes(_derive(seed, b"sealing"))
        self.public = PartyPublicKey(
            self.signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
            self.sealing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        )

    @staticmethod
    def new_seed() -> bytes:
        """A fresh seed."""
        return os.urandom(SEED_BYTES)

    def __repr__(self) -> str:
        """Name the public key only."""
        return f"PartyKey({self.public.fingerprint})"

    def sign(self, purpose: str, message: bytes) -> bytes:
        """Sign a message (64 bytes); `purpose` keeps a signature from serving elsewhere."""
        return self.signing.sign(_to_sign(purpose, message))


def check_pins(pins: Mapping[str, PartyPublicKey]) -> None:
    """Refuse two parties with the same key, or half of it: whoever holds it would be both.

    Raises:
        InputError: names the two.
    """
    seen: dict[bytes, str] = {}
    for party, pin in pins.items():
        for half in (pin.signing, pin.sealing):
            if seen.setdefault(half, party) != party:
                raise InputError(
                    f"{seen[half]} and {party} have the same party key; each party makes its own"
                )


def _derive(seed: bytes, use: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"veilscore party key 1 " + use).derive(seed)


def _checksum(raw: bytes) -> bytes:
    return hashlib.sha256(b"veilscore key checksum 1" + raw).digest()[:CHECKSUM_BYTES]


def _to_sign(purpose: str, message: bytes) -> bytes:
    name = f"veilscore signature 1 {purpose}".encode()
    return len(name).to_bytes(4, "little") + name + message

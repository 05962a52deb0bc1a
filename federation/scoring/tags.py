"""Keyed tags: how the label party names a borrower to a feature party without sending its id.

Both sides derive the tag key of a session from their long-term sealing keys, so nothing more is
exchanged. A tag tells nobody else who is meant, and two feature parties can't compare theirs. The
feature party itself finds its own borrowers by it, and cannot undo a tag of a borrower that it does
not know, but by guessing ids: who knows an id and the key can make its tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federation.identity import PartyKey, PartyPublicKey

TAG_BYTES = 16
KEY_BYTES = 32
_PURPOSE = b"veilscore scoring tag 1"


def agreed_key(own: PartyKey, peer: PartyPublicKey, *context: bytes) -> bytes:
    """A key (32 bytes) that two parties share for one purpose: X25519 (RFC 7748), HKDF (RFC 5869).

    Args:
        own: the one's long-term key.
        peer: the other's public key.
        context: what the key is for; each part is length-prefixed, so that none runs into another.
    """
    info = b"".join(len(part).to_bytes(4, "little") + part for part in context)
    shared = own.sealing.exchange(X25519PublicKey.from_public_bytes(peer.sealing))
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(shared)


def tag_key(
    own: PartyKey, peer: PartyPublicKey, session: str, label_party: str, feature_party: str
) -> bytes:
    """The key of a session's tags between its label party and one feature party.

    Args:
        own: the long-term key of either.
        peer: the public key of the other.
        session: that trained the model.
        label_party, feature_party: their names.

    Returns:
        32 bytes, the same on both sides.
    """
    names = (session.encode(), label_party.encode(), feature_party.encode())
    return agreed_key(own, peer, _PURPOSE, *names)


def tags(key: bytes, normalised_ids: Iterable[str]) -> bytes:
    """Tags of borrowers, TAG_BYTES each, one after another: keyed BLAKE2b (RFC 7693).

    Args:
        key: of `tag_key`.
        normalised_ids: as the session's identifier rule leaves them.
    """
    keyed = hashlib.blake2b(key=key, digest_size=TAG_BYTES)
    made = []
    for identifier in normalised_ids:
        one = keyed.copy()
        # Lone surrogates are no UTF-8, but ids of a table may hold them.
        one.update(identifier.encode("utf-8", "surrogatepass"))
        made.append(one.digest())
    return b"".join(made)

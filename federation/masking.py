"""Pairwise masks: several feature parties' vectors of which only the sum is ever seen.

Every pair of feature parties agrees on a key (X25519, RFC 7748; HKDF-SHA256, RFC 5869) and expands
it per purpose to a ChaCha20 key stream (RFC 8439) read as words; one of the pair adds it, the other
subtracts it, modulo 2^32 or 2^64, so that the masks cancel in the sum. Bonawitz et al.,
'Practical Secure Aggregation' (CCS 2017), without the dropout part: in a vertical session nobody
may drop out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from federation.errors import InputError, ProtocolError

# Scores, one a borrower: 32-bit words, 1e-6 apart, all parties' sum within ±2^11 (log-odds of ±20
# are certainty already).
FRACTION_BITS = 20
SCORE_RANGE = 2.0**11
# Numbers of a round, two a party: 64-bit words, 6e-8 apart, a party's within ±2^36.
WIDE_FRACTION_BITS = 24
WIDE_RANGE = 2.0**36


class PairwiseMasks:
    """One feature party's end of all its pairwise masks in a session."""

    def __init__(self, party: str) -> None:
        """Draw this session's key."""
        self._party = party
        self._private_key = X25519PrivateKey.generate()
        self._pair_keys: dict[str, bytes] = {}

    @property
    def public_key(self) -> bytes:
        """32 bytes for the other feature parties."""
        return self._private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def agree(self, session: str, public_keys: Mapping[str, bytes]) -> None:
        """Derive a key with every other feature party (`public_keys` may hold this one's own)."""
        for peer, public_key in public_keys.items():
            if peer == self._party:
                continue
            try:
                shared = self._private_key.exchange(X25519PublicKey.from_public_bytes(public_key))
            except (ValueError, InvalidKey) as error:
                raise ProtocolError(f"the mask key of {peer} is not an X25519 key") from error
            pair = "\0".join(sorted((self._party, peer)))
            derivation = HKDF(
                hashes.SHA256(), 32, salt=None, info=f"veilscore mask 1\0{session}\0{pair}".encode()
            )
            self._pair_keys[peer] = derivation.derive(shared)

    def among(self, parties: Sequence[str]) -> PairwiseMasks:
        """The masks of a sum over only these feature parties, this one among them.

        The keys are the same: purposes must differ from those of every other sum.
        """
        some = copy.copy(self)
        some._pair_keys = {p: key for p, key in self._pair_keys.items() if p in parties}
        return some

    @property
    def parties(self) -> int:
        """How many feature parties add their vectors up, this one included."""
        return len(self._pair_keys) + 1

    def mask(self, count: int, purpose: str) -> npt.NDArray[np.uint64]:
        """This party's mask (count,) modulo 2^64; every purpose must be used once."""
        total = np.zeros(count, dtype=np.uint64)
        for stream, sign in self._streams(8 * count, purpose):
            words = np.frombuffer(stream, dtype="<u8")
            np.add(total, words, out=total) if sign > 0 else np.subtract(total, words, out=total)
        return total

    def short_mask(self, count: int, purpose: str) -> npt.NDArray[np.uint32]:
        """This party's mask (count,) modulo 2^32; no purpose may serve both kinds of masks."""
        total = np.zeros(count, dtype=np.uint32)
        for stream, sign in self._streams(4 * count, purpose):
            words = np.frombuffer(stream, dtype="<u4")
            np.add(total, words, out=total) if sign > 0 else np.subtract(total, words, out=total)
        return total

    def _streams(self, length: int, purpose: str) -> Iterator[tuple[bytes, int]]:
        """Every pair's key stream and whether this party adds or subtracts it."""
        for peer, key in self._pair_keys.items():
            derivation = HKDF(hashes.SHA256(), 32, salt=None, info=purpose.encode())
            encryptor = Cipher(ChaCha20(derivation.derive(key), bytes(16)), mode=None).encryptor()
            yield encryptor.update(bytes(length)), 1 if self._party < peer else -1


def to_fixed_point(values: npt.NDArray[np.float64], parties: int = 1) -> npt.NDArray[np.uint32]:
    """Scores as two's complement fixed point, 32 bits with 20 of them for the fraction.

    Args:
        values: one party's.
        parties: how many parties' numbers are added: each may use its share of the range only.

    Raises:
        InputError: a number is not finite or beyond the share of ±2^11.
    """
    share = (SCORE_RANGE - 1) / parties
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > share:
        raise InputError(
            f"scores must be finite and within ±{share:g} to be sent in fixed point; a weaker "
            "penalty than the data can bear makes larger ones"
        )
    return np.rint(values * 2.0**FRACTION_BITS).astype(np.int32).view(np.uint32)


def from_fixed_point(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Back to real numbers."""
    return words.view(np.int32).astype(np.float64) / 2.0**FRACTION_BITS


def to_wide_fixed_point(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Real numbers as two's complement fixed point, 64 bits with 24 of them for the fraction.

    Raises:
        InputError: a number is not finite or beyond ±2^36.
    """
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > WIDE_RANGE:
        raise InputError("numbers must be finite and within ±2^36 to be sent in fixed point")
    return np.rint(values * 2.0**WIDE_FRACTION_BITS).astype(np.int64).view(np.uint64)


def from_wide_fixed_point(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Back to real numbers."""
    return words.view(np.int64).astype(np.float64) / 2.0**WIDE_FRACTION_BITS

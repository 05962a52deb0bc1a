"""Masks of a secure sum: pairwise ones that cancel, and each client's own that is taken off later.

Bonawitz et al., 'Practical Secure Aggregation for Privacy-Preserving Machine Learning' (CCS 2017),
section 6 and figure 4: client u sends x_u + PRG(b_u) + Σ_{v>u} PRG(s_uv) - Σ_{v<u} PRG(s_uv). The
seed s_uv comes from the two clients' X25519 keys of the step; b_u is random. The stream is ChaCha20
(RFC 8439), read as 64-bit words. The modulus is a power of two, so words may be added with
wrap-around and reduced once: the masks are exactly uniform, without rejection and without bias.

Not in the paper: s_uv, and a further stream that all clients add, are bound to what the clients
have in common, so that vectors of clients which differ in it make no sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from federation.aggregation.roster import Roster, agreed_key

Words = npt.NDArray[np.uint64]
# Words a pass: stream and sum stay in the processor's cache.
_BLOCK = 1 << 15
_ZEROS = bytes(8 * _BLOCK)
# Slots after a vector's own, zero in every client's: where masks are left on a sum, they aren't.
CHECK_SLOTS = 1


def public_mask_key(secret: bytes) -> bytes:
    """The 32 bytes that go with a step's secret mask key."""
    private = X25519PrivateKey.from_private_bytes(secret)
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def seed_commitment(roster: Roster, party: str, step: int, seed: bytes) -> bytes:
    """What tells a rebuilt self-mask seed from a wrong one; shows nothing of 32 random bytes."""
    bound = roster.bound("self-mask seed", party, step)
    return hashlib.sha256(bound + seed).digest()


def pair_seed(
    roster: Roster,
    step: int,
    party: str,
    peer: str,
    secret: bytes,
    key: bytes,
    bound: bytes = b"",
) -> bytes:
    """The seed that `party` (whose secret mask key this is) and `peer` share in one step.

    Two clients that are `bound` to different things have different seeds, so that their masks do
    not cancel.
    """
    pair = sorted((party, peer))
    return agreed_key(secret, key, roster.bound("pairwise mask", step, pair, bound.hex()), peer)


def common_stream(roster: Roster, step: int, secret: bytes, bound: bytes) -> bytes:
    """The key of the stream that every client adds, and takes off an opened sum.

    It is derived from the run's encryption key and from what the client is bound to. Beside the
    pairwise masks it keeps clients from opening sums in which they have no part, of others that are
    bound to something else.
    """
    context = roster.bound("common mask", step, bound.hex())
    return hashlib.sha256(context + secret).digest()


def self_seed_stream(roster: Roster, step: int, party: str, seed: bytes) -> bytes:
    """The key of the stream of a self-mask, bound to run, step and party."""
    return hashlib.sha256(roster.bound("self-mask stream", party, step) + seed).digest()


def adds(party: str, peer: str) -> bool:
    """Whether `party` adds the pair's mask; the other one of the pair subtracts it."""
    return party < peer


def apply_masks(total: Words, added: Iterable[bytes], subtracted: Iterable[bytes]) -> None:
    """Add and subtract the streams of these keys (32 bytes each), in place, modulo 2^64."""
    streams = [(_stream(key), False) for key in added]
    streams += [(_stream(key), True) for key in subtracted]
    buffer = bytearray(8 * _BLOCK + 64)
    words = np.frombuffer(buffer, dtype="<u8")
    for start in range(0, total.size, _BLOCK):
        part = total[start : start + _BLOCK]
        zeros = memoryview(_ZEROS)[: part.nbytes]
        for stream, subtract in streams:
            stream.update_into(zeros, buffer)
            if subtract:
                part -= words[: part.size]
            else:
                part += words[: part.size]


def _stream(key: bytes) -> CipherContext:
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

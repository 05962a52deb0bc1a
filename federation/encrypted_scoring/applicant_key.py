"""An applicant's side: its key, encryption of inputs and decryption of sums.

A key is registered once and then used for any number of requests. Its public part is a sample
(a, b = -a·s + e) whose uniform half a expands from a seed that the desk drew: the applicant can't
build a trapdoor into it, and since a hash stands between, neither can the desk. A secret belongs to
one seed for ever: two samples of one secret under the same seed would let a desk average the error
away.

Encryption is symmetric, since the applicant holds the secret: noise is smaller than under a public
key, and one polynomial travels as the seed it expands from. Decryption is exact: the sums that come
out are integers without noise, so that a score may be shown without the leak that approximate
decryptions have (Li and Micciancio, EUROCRYPT 2021). A desk that sends replies it did not compute
and is told the scores that come out of them learns about the secret all the same, as with every
encryption of this kind; the scores are for the applicant.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt

from federation.encrypted_scoring.packing import pack
from federation.encrypted_scoring.parameters import (
    DEGREE,
    ELEMENT_BYTES,
    MODULUS,
    SEED_BYTES,
    reply_bytes,
)
from federation.encrypted_scoring.ring import (
    Residues,
    balanced,
    evaluate,
    fractions,
    from_words,
    interpolate,
    reduced,
    scaled,
    to_words,
)
from federation.encrypted_scoring.sampling import errors, uniform_element
from federation.errors import InputError, ProtocolError
from federation.linear_maps.randomness import ternary

KEY_PURPOSE = b"encrypted scoring key 1"
CIPHERTEXT_PURPOSE = b"encrypted scoring ciphertext 1"
Integers = npt.NDArray[np.int64]
# Of an opened sum from a whole step: flood and noise stay within 1/4 of one, and 2^-40.
_FURTHEST = 0.26


def key_id(key_seed: bytes, public_key: bytes) -> bytes:
    """A registered key's name: SHA-256 of both halves."""
    sizes = len(key_seed).to_bytes(4, "little")
    return hashlib.sha256(b"veilscore encrypted key 1" + sizes + key_seed + public_key).digest()


class ApplicantKey:
    """A secret key. Its repr shows nothing of it."""

    def __init__(self, secret: bytes) -> None:
        """Take a ternary secret, a byte a coefficient: 0, 1, or 255 for -1.

        Raises:
            InputError: it is no such secret.
        """
        coefficients = np.frombuffer(secret, dtype=np.int8)
        if coefficients.shape != (DEGREE,) or np.abs(coefficients.astype(np.int64)).max() > 1:
            raise InputError(f"a secret key is {DEGREE:,} coefficients of -1, 0 or 1")
        self._secret = coefficients.astype(np.int64)
        self._at_roots = evaluate(self._secret.astype(np.float64))

    @classmethod
    def generate(cls, key_seed: bytes) -> tuple[ApplicantKey, bytes]:
        """A fresh key and its public half under the desk's seed."""
        key = cls(ternary(DEGREE).tobytes())
        element = uniform_element(KEY_PURPOSE, key_seed)
        return key, to_words(reduced(errors(DEGREE) - key._times_secret(element)))

    @property
    def secret(self) -> bytes:
        """To be kept where nobody else reads it."""
        return self._secret.astype(np.int8).tobytes()

    def encrypt(self, values: Integers, scale_bits: int) -> list[bytes]:
        """Ciphertexts of borrowers' inputs (n, d), n ≤ 4,096."""
        ciphertexts = []
        for polynomial in pack(values):
            seed = os.urandom(SEED_BYTES)
            element = uniform_element(CIPHERTEXT_PURPOSE, seed)
            masked = scaled(polynomial, scale_bits) + errors(DEGREE) - self._times_secret(element)
            ciphertexts.append(seed + to_words(reduced(masked)))
        return ciphertexts

    def decrypt(self, reply: bytes, borrowers: int, scale_bits: int) -> Integers:
        """The borrowers' sums (n,) from a desk's reply.

        Raises:
            ProtocolError: not a reply for so many borrowers under this key.
        """
        if len(reply) != reply_bytes(borrowers):
            raise ProtocolError(
                f"the reply has {len(reply)} bytes where {reply_bytes(borrowers)} are right"
            )
        element = from_words(memoryview(reply)[:ELEMENT_BYTES], DEGREE, "the reply's element")
        masked = from_words(memoryview(reply)[ELEMENT_BYTES:], borrowers, "the reply's sums")
        if borrowers == 1:  # one coefficient of the product is an inner product
            turned = np.concatenate([self._secret[:1], -self._secret[:0:-1]])
            opened = (element @ turned)[:, None]
        else:
            opened = self._times_secret(element)[:, :borrowers]
        steps = fractions(reduced(masked + opened)) * (MODULUS / 2.0**scale_bits)
        sums = np.rint(steps)
        if np.abs(steps - sums).max() > _FURTHEST:
            raise ProtocolError("the reply does not decrypt under this key")
        return sums.astype(np.int64)

    def _times_secret(self, element: Residues) -> Residues:
        product = interpolate(evaluate(balanced(element)) * self._at_roots)
        return reduced(product)

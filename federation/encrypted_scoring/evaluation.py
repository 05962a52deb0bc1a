"""The desk's side: a weighted sum of what it can't read, in a reply that tells the sum alone.

The weighted sum alone would give the weights away: its second polynomial is w·c1 of elements c1
that the applicant knows, and one division returns every weight. So a fresh encryption of zero under
the applicant's public key (a, b) is added: a·u + e to the second polynomial, b·u to the first. The
second is then uniform to everybody under the ring-LWE assumption in the secret u, whatever c1 was;
given it, the first tells the sum plus noise, and `budget` floods the noise.

What a client gains by registering a false half b, an arbitrary polynomial: every coefficient that
it gets of the first polynomial is w·c0 + b·u + flood, so it may hear about the randomiser u instead
of the weights, at no more than `capacity_bits` (33 at the most) a coefficient. One coefficient a
borrower is sent. With one borrower that is one hint on a secret of 4,096 bytes, which takes a
dimension or a few off a lattice of 4,096. To leave 2,048 of them, where an attack is still work,
takes 2,048 bytes of hints; as many bits of dishonest queries are 1,024 weights of 16 bits, the
largest model that is served. A false half is no shorter way to the weights than asking, and quotas
count borrowers, not calls. This is an argument about known attacks, not a proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from federation.encrypted_scoring.applicant_key import CIPHERTEXT_PURPOSE, KEY_PURPOSE, key_id
from federation.encrypted_scoring.model import EncryptedModel
from federation.encrypted_scoring.packing import weigh, weigh_first
from federation.encrypted_scoring.parameters import (
    CIPHERTEXT_BYTES,
    DEGREE,
    MOST_CIPHERTEXTS,
    PRIMES,
    SEED_BYTES,
    borrowers_a_request,
    ciphertexts_for,
)
from federation.encrypted_scoring.ring import (
    Residues,
    balanced,
    evaluate,
    from_words,
    interpolate,
    reduced,
    scaled,
    to_words,
)
from federation.encrypted_scoring.sampling import errors, flood, randomiser, uniform_element
from federation.errors import ProtocolError


@dataclass(frozen=True)
class PublicKey:
    """A registered key.

    Attributes:
        key_seed: that the uniform half expands from, drawn by the desk.
        public_key: the applicant's half, checked words.
        key_id: its name.
    """

    key_seed: bytes
    public_key: bytes
    key_id: bytes

    @classmethod
    def read(cls, key_seed: bytes, public_key: bytes) -> PublicKey:
        """Check what a client registers.

        Raises:
            ProtocolError: a wrong length, or words that are no residues.
        """
        from_words(public_key, DEGREE, "public_key")
        return cls(key_seed, public_key, key_id(key_seed, public_key))

    def encrypted_zero(self, borrowers: int) -> tuple[Residues, Residues]:
        """A fresh encryption of zero: first polynomial (primes, borrowers), second (primes, N)."""
        small = evaluate(randomiser())
        uniform = uniform_element(KEY_PURPOSE, self.key_seed)
        own = from_words(self.public_key, DEGREE, "public_key")
        products = interpolate(evaluate(balanced(np.stack([own, uniform]))) * small)
        first, second = reduced(products)
        return first[:, :borrowers], reduced(second + errors(DEGREE))


def read_request(
    ciphertexts: Sequence[bytes], borrowers: int, inputs: int
) -> tuple[Residues, Residues]:
    """Both polynomials of every ciphertext (ciphertexts, primes, N); the second from its seed.

    Raises:
        ProtocolError: names the field; a wrong number, length or word.
    """
    most = borrowers_a_request(inputs)
    if not 1 <= borrowers <= most:
        raise ProtocolError(f"borrowers: {borrowers} in a request where 1 to {most} are right")
    expected = ciphertexts_for(inputs, borrowers)
    if len(ciphertexts) != expected or expected > MOST_CIPHERTEXTS:
        raise ProtocolError(
            f"ciphertexts: {len(ciphertexts)} where {inputs} inputs of {borrowers} borrowers take "
            f"{expected}"
        )
    first = np.empty((expected, len(PRIMES), DEGREE), dtype=np.int64)
    second = np.empty_like(first)
    for index, data in enumerate(ciphertexts):
        field = f"ciphertexts[{index}]" if borrowers > 1 else "ciphertext"
        if len(data) != CIPHERTEXT_BYTES:
            raise ProtocolError(
                f"{field}: {len(data)} bytes where a ciphertext has {CIPHERTEXT_BYTES}"
            )
        first[index] = from_words(memoryview(data)[SEED_BYTES:], DEGREE, field)
        second[index] = uniform_element(CIPHERTEXT_PURPOSE, data[:SEED_BYTES])
    return first, second


def weighted_sum(
    model: EncryptedModel, first: Residues, second: Residues, borrowers: int
) -> tuple[Residues, Residues]:
    """The borrowers' coefficients of the sum's first polynomial, and its whole second one.

    These still hold the weights for everybody who knows the ciphertexts; `answer` hides them.
    """
    weights = model.weight_vector
    intercept = scaled(np.array([model.intercept], dtype=np.int64), model.budget.scale_bits)
    own = weigh_first(first, weights, borrowers)
    return reduced(own + intercept), weigh(second, weights, borrowers)


def answer(
    model: EncryptedModel, key: PublicKey, ciphertexts: Sequence[bytes], borrowers: int
) -> bytes:
    """The encrypted scores of so many borrowers, re-randomised and flooded.

    Raises:
        ProtocolError: names the field that is wrong.
    """
    first, second = read_request(ciphertexts, borrowers, model.encoding.width)
    own, element = weighted_sum(model, first, second, borrowers)
    zero_first, zero_second = key.encrypted_zero(borrowers)
    hidden = own + zero_first + flood(borrowers, model.budget.flood_bits)
    return to_words(reduced(element + zero_second)) + to_words(reduced(hidden))

"""Parameters of encrypted scoring: one ring for everybody, and how inputs lie in ciphertexts.

CKKS (Cheon, Kim, Kim, Song, ASIACRYPT 2017) with messages in coefficients instead of slots: what a
weighted sum needs is then additions and one ring product with public exponents, and no rotation,
relinearisation or Galois key.

Security: degree 4,096, a modulus of 108 bits, a ternary secret and errors of deviation 3.24. For
128-bit security homomorphicencryption.org (Security Standard 2018, table 1) allows 109 bits. The
randomiser of a reply is drawn wider than ternary, which no known attack profits from.

The modulus is a product of four primes below 2^27: residues are words of 4 bytes, a sum of 1,024 of
them times 16-bit weights stays in 64 bits, and a floating FFT multiplies them exactly.
"""

from __future__ import annotations

import hashlib
import math

from federation.record_chain import canonical_json

DEGREE = 4096  # N
PRIME_BITS = 27
PRIMES = (133_963_777, 134_012_929, 134_111_233, 134_176_769)  # each 1 modulo 2N
MODULUS = math.prod(PRIMES)  # q, just below 2^108
# Errors are differences of two sums of 21 fair bits, as SEAL draws them.
ERROR_BOUND = 21
# A reply's randomiser is uniform in [-128, 128).
RANDOMISER_BOUND = 128

SEED_BYTES = 32
WORD_BYTES = 4
ELEMENT_BYTES = len(PRIMES) * DEGREE * WORD_BYTES
# A ciphertext is the seed that its second polynomial expands from, and the first polynomial.
CIPHERTEXT_BYTES = SEED_BYTES + ELEMENT_BYTES
KEY_ID_BYTES = 32

MOST_INPUTS = 1024
MOST_WEIGHT = (1 << 15) - 1
MOST_CIPHERTEXTS = 60  # a request of them stays within gRPC's usual 4 MiB
MOST_BORROWERS = DEGREE

FORMAT = "veilscore encrypted scoring 1"
RING = {
    "format": FORMAT,
    "degree": DEGREE,
    "primes": list(PRIMES),
    "coefficients": "uniform ternary",
    "error_bound": ERROR_BOUND,
    "randomiser_bound": RANDOMISER_BOUND,
    "packing": "coefficients",
}
# What a public key is made for; all models share it.
RING_DIGEST = hashlib.sha256(canonical_json(RING).encode()).hexdigest()


def blocks(borrowers: int) -> int:
    """How many inputs share a ciphertext: each takes one coefficient a borrower."""
    return DEGREE // borrowers


def ciphertexts_for(inputs: int, borrowers: int) -> int:
    """How many ciphertexts so many borrowers take."""
    return -(-inputs // blocks(borrowers))


def borrowers_a_request(inputs: int) -> int:
    """The most borrowers that fit a request with so many inputs."""
    return DEGREE // -(-inputs // MOST_CIPHERTEXTS)


def reply_bytes(borrowers: int) -> int:
    """The second polynomial, and one coefficient of the first for each borrower."""
    return ELEMENT_BYTES + len(PRIMES) * WORD_BYTES * borrowers

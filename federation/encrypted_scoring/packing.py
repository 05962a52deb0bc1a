"""How borrowers' inputs lie in coefficients, so that their weighted sums come out by themselves.

With n borrowers a ciphertext has ⌊N/n⌋ blocks of n coefficients; block j holds one input of all of
them. Times Σ_j w_j·X^(-jn), coefficient b < n is Σ_j w_j·x_j[b]: borrower b's sum. All other
coefficients hold cross terms of several borrowers and weights and are never sent.

One borrower is the 'dot' packing (4,096 inputs a ciphertext and a ring product), 4,096 are the
'batched' one (one input a ciphertext, and only multiples by numbers); those between follow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.encrypted_scoring.parameters import DEGREE, blocks, ciphertexts_for
from federation.encrypted_scoring.ring import Residues, balanced, evaluate, interpolate, reduced

Integers = npt.NDArray[np.int64]
# Ciphertexts whose products are added before rounding, for the FFT's precision.
_AT_ONCE = 16
_LIMB = 1 << 8


def pack(values: Integers) -> Integers:
    """Polynomials (ciphertexts, N) of borrowers' inputs (n, d)."""
    borrowers, inputs = values.shape
    share = blocks(borrowers)
    count = ciphertexts_for(inputs, borrowers)
    packed = np.zeros((count, DEGREE), dtype=np.int64)
    rows = np.zeros((count * share, borrowers), dtype=np.int64)
    rows[:inputs] = values.T
    packed[:, : share * borrowers] = rows.reshape(count, -1)
    return packed


def weigh_first(elements: Residues, weights: Integers, borrowers: int) -> Residues:
    """The borrowers' coefficients (primes, n) of Σ w·c, elements (ciphertexts, primes, N)."""
    share = blocks(borrowers)
    total = np.zeros((elements.shape[1], borrowers), dtype=np.int64)
    for index, element in enumerate(elements):
        of_element = weights[index * share : (index + 1) * share]
        used = element[:, : len(of_element) * borrowers].reshape(-1, len(of_element), borrowers)
        total += np.einsum("j,pjb->pb", of_element, used)
    return reduced(total)


def weigh(elements: Residues, weights: Integers, borrowers: int) -> Residues:
    """All coefficients (primes, N) of Σ w·c, elements (ciphertexts, primes, N)."""
    if blocks(borrowers) == 1:
        return reduced(np.einsum("i,ipj->pj", weights, elements))
    total = np.zeros(elements.shape[1:], dtype=np.int64)
    polynomials = _polynomials(weights, borrowers)
    low = (polynomials + _LIMB // 2) % _LIMB - _LIMB // 2
    limbs = np.stack([low, (polynomials - low) // _LIMB], axis=1)  # (ciphertexts, 2, N)
    for first in range(0, len(elements), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        element_values = evaluate(balanced(elements[part]))
        limb_values = evaluate(limbs[part].astype(np.float64))
        low_sum, high_sum = interpolate(np.einsum("clj,cpj->lpj", limb_values, element_values))
        total += low_sum + reduced(high_sum) * _LIMB
    return reduced(total)


def _polynomials(weights: Integers, borrowers: int) -> Integers:
    """Σ_j w_j·X^(-jn) of every ciphertext (ciphertexts, N); X^(-k) is -X^(N-k)."""
    share = blocks(borrowers)
    count = ciphertexts_for(len(weights), borrowers)
    padded = np.zeros((count, share), dtype=np.int64)
    padded.reshape(-1)[: len(weights)] = weights
    polynomials = np.zeros((count, DEGREE), dtype=np.int64)
    polynomials[:, 0] = padded[:, 0]
    polynomials[:, DEGREE - borrowers * np.arange(1, share)] = -padded[:, 1:]
    return polynomials

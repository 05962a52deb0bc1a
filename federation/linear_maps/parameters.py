"""Parameters of the lattice map: the scale Δ, the flooding, and the floors on D.

Ring degree N = 2048, q = 2^64, ternary secrets, error TUniform(17); derivation and sources in
docs/security.md. Δ is the largest power of two that leaves room for the sums, and must be at least
what decoding needs. What room is left is spent on shorter hints: words without their low bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, NoRoomError
from federation.linear_maps.interface import Direction
from federation.linear_maps.ring import RING_DEGREE
from federation.linear_maps.words import WORD_BYTES, dropped_bits

MINIMUM_BORROWERS = 4096  # hardness of the hint comes from the borrowers unknown to the other side
ERROR_BITS = 17  # query error, TUniform
HINT_ERROR_BITS = 21  # hint error, TUniform: standard deviation 2^20.2
ENTROPY_BITS = 512  # of a row of D, log2 C(n, w)
MINIMUM_ROW_BORROWERS = 64
MINIMUM_ROW_SHARE = 0.002
# A query's words go without their 16 low bits: rounding adds 6% to the variance of its error.
QUERY_BYTES = 6
# To the label party they go without what there is room for: it learns D·v itself, beside which
# the larger error tells it next to nothing (docs/security.md).
QUERY_BYTES_TO_LABEL_PARTY = (4, 5, 6)
# An answer keeps this many bits below Δ: rounding it moves a sum's error by Δ/64 at most.
ANSWER_GUARD_BITS = 5
# Answers of one map in its life, sessions that resume it included: docs/security.md counts what
# they say together.
MOST_ANSWERS = 1000
# The same to the label party, which learns D·v exactly: 200 trees of depth 6, ten times over.
MOST_ANSWERS_TO_LABEL_PARTY = 1 << 17


def tuniform_variance(bits: int) -> float:
    """Variance of TUniform(b)."""
    return float((2 ** (2 * bits + 1) + 1) / 6)


def rounding_variance(word_bytes: int) -> float:
    """Variance of what rounding to the highest `word_bytes` bytes adds to a uniform word."""
    return 0.0 if word_bytes == WORD_BYTES else float(4 ** dropped_bits(word_bytes)) / 12


@dataclass(frozen=True)
class LatticeParameters:
    """What both sides compute from public numbers, and must agree on.

    Attributes:
        columns: n, borrowers.
        delta_bits: log2 Δ; sums live modulo 2^(64 - delta_bits).
        flood_bits: φ; the answer is flooded with a uniform error in ±2^φ.
        sum_bound: largest |D·v + noise| that decodes.
        error_bound: largest decryption error beside the flooding, rounding included; a larger one
            means that the two sides disagree or that a message was damaged.
        hint_bytes: bytes that a word of the hint keeps.
        query_bytes: bytes that a word of a query keeps.
    """

    columns: int
    delta_bits: int
    flood_bits: int
    sum_bound: int
    error_bound: int
    hint_bytes: int
    query_bytes: int = QUERY_BYTES

    @property
    def residue_bits(self) -> int:
        """log2 q/Δ."""
        return 64 - self.delta_bits

    @property
    def answer_bytes(self) -> int:
        """Bytes that a word of an answer keeps: the residue and a few bits below Δ."""
        return -(-(self.residue_bits + ANSWER_GUARD_BITS) // 8)

    @property
    def sum_bytes(self) -> int:
        """Bytes of a residue modulo q/Δ."""
        return -(-self.residue_bits // 8)


def choose_parameters(
    columns: int,
    value_bound: int,
    noise_bound: int = 0,
    direction: Direction = Direction.TO_OWNER,
) -> LatticeParameters:
    """Δ and φ for n borrowers and |v| ≤ value_bound.

    The row sum W is at most n/2, since the largest bin of a feature is not sent.

    Args:
        columns: n, at least 4,096.
        value_bound: largest absolute value in a vector.
        noise_bound: largest label noise that is added to a sum.
        direction: who learns D·v; to the label party, queries may be shorter.

    Raises:
        InputError: n is too small for the hint to be hard.
        NoRoomError: no Δ holds both the sums and the noise budget.
    """
    if columns < MINIMUM_BORROWERS:
        raise InputError(
            f"{columns} training borrowers are too few for the lattice map, which needs "
            f"{MINIMUM_BORROWERS}; the elgamal map serves any number"
        )
    widest_row = columns // 2
    sum_bound = widest_row * value_bound + noise_bound
    # |sum| < q/(2Δ)
    delta_bits = 63 - sum_bound.bit_length()
    ternary = 2 * RING_DEGREE / 3

    # the secret and the blinding, both ternary, against the errors of hint and query
    def hidden(query_bytes: int) -> float:
        in_query = tuniform_variance(ERROR_BITS) + rounding_variance(query_bytes)
        return widest_row * in_query + ternary * (tuniform_variance(HINT_ERROR_BITS) + in_query)

    # 8σ + Δ/64 ≤ Δ/4: what is left of Δ/2 beside the flooding 2^φ = Δ/4
    def needed(query_bytes: int) -> int:
        return math.ceil(math.log2(8 * math.sqrt(hidden(query_bytes)) * 64 / 15))

    query_bytes, needed_bits = QUERY_BYTES, needed(QUERY_BYTES)
    if direction is Direction.TO_LABEL_PARTY:
        fitting = (size for size in QUERY_BYTES_TO_LABEL_PARTY if needed(size) <= delta_bits)
        query_bytes = next(fitting, QUERY_BYTES)
    variance = hidden(query_bytes)
    if delta_bits < needed_bits:
        raise NoRoomError(
            f"no room in the noise budget: sums up to {sum_bound:,} over {columns:,} borrowers "
            f"leave a scale of 2^{delta_bits}, decoding needs 2^{needed_bits}; use fewer borrowers "
            "a session or coarser quantisation"
        )

    # 8 σ: every error is a sum of independent signs, so that a cell exceeds it with 2^-45 at most
    def bound(hint_bytes: int) -> int:
        total = variance + ternary * rounding_variance(hint_bytes)
        return math.ceil(8 * math.sqrt(total)) + (1 << (delta_bits - 1 - ANSWER_GUARD_BITS))

    room = 1 << (delta_bits - 2)
    hint_bytes = next(size for size in range(1, WORD_BYTES + 1) if bound(size) <= room)
    return LatticeParameters(
        columns,
        delta_bits,
        delta_bits - 2,
        sum_bound,
        bound(hint_bytes),
        hint_bytes,
        query_bytes,
    )


def minimum_row_weight(columns: int) -> int:
    """Fewest borrowers a row of D must have: log2 C(n, w) ≥ 512, ≥ 64, ≥ 0.2% of n."""

    def entropy_bits(weight: int) -> float:
        log_choose = (
            math.lgamma(columns + 1) - math.lgamma(weight + 1) - math.lgamma(columns - weight + 1)
        )
        return log_choose / math.log(2)

    weight = min(max(MINIMUM_ROW_BORROWERS, math.ceil(MINIMUM_ROW_SHARE * columns)), columns // 2)
    while weight < columns // 2 and entropy_bits(weight) < ENTROPY_BITS:
        weight += 1
    return weight


def check_row_weights(weights: npt.NDArray[np.int64], columns: int) -> None:
    """Refuse a matrix with a row below the floor, or above n/2 (its bin must not be sent).

    Raises:
        InputError: names the row and its number of borrowers.
    """
    floor, ceiling = minimum_row_weight(columns), columns // 2
    for row in np.flatnonzero((weights < floor) | (weights > ceiling))[:1]:
        raise InputError(
            f"row {row} of the bins has {weights[row]} of {columns} borrowers; the private linear "
            f"map allows {floor} to {ceiling}: merge rare bins, leave out each feature's largest"
        )

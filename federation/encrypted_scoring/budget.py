"""How the 108 bits of the modulus are shared between a model's scores, flooding and noise.

A reply's coefficient is Δ·S + noise + flood modulo q, with S the integer score and Δ = 2^scale.

- noise, at most B: 21·Σ|w| of the request's errors, and N·21·128 + N·21 of the fresh encryption of
  zero (its randomiser times the key's error, its error times the secret). These are bounds, not
  deviations: no draw exceeds them.
- flood: uniform in [-2^(scale - 2), 2^(scale - 2)).

Correct, always: B < 2^(scale - 2), so noise and flood stay below Δ/2, and (2·|S| + 1)·Δ < q, so no
score wraps. Decoding is then exact.

Hidden: a uniform flood of width W moved by at most B is B/W away from one that was not moved, in
statistical distance; over all 4,096 coefficients of the largest reply, 4096·B/W ≤ 2^-40 is asked.

Whatever a client sends and whatever key it registers, a coefficient of its reply tells at most
log2(q/W) bits about the model, since the flood alone has the entropy log2(W): `capacity_bits`.
The scale is therefore as large as the model's scores allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from federation.encrypted_scoring.parameters import (
    DEGREE,
    ERROR_BOUND,
    MODULUS,
    MOST_BORROWERS,
    RANDOMISER_BOUND,
)
from federation.errors import NoRoomError

DISTANCE_BITS = 40


@dataclass(frozen=True)
class NoiseBudget:
    """One model's share of the modulus.

    Attributes:
        scale_bits: Δ = 2^scale_bits stands for one step of the score.
        noise: the largest noise without the flood.
        flood_bits: the flood is uniform over 2^flood_bits values around 0.
        distance_bits: -log2 of the statistical distance of a whole reply.
        capacity_bits: the most that one coefficient of a reply tells, whoever asks.
    """

    scale_bits: int
    noise: int
    flood_bits: int
    distance_bits: float
    capacity_bits: float


def noise_budget(absolute_weights: int, largest_sum: int) -> NoiseBudget:
    """The budget of a model.

    Args:
        absolute_weights: Σ|w| over all inputs, in steps of the weights' grid.
        largest_sum: the largest |score| that honest inputs reach, in steps of the sums' grid.

    Raises:
        NoRoomError: scores and noise leave too little for the flood.
    """
    noise = ERROR_BOUND * (absolute_weights + DEGREE * (RANDOMISER_BOUND + 1))
    scale_bits = (MODULUS // (2 * largest_sum + 1)).bit_length() - 1
    flood_bits = scale_bits - 1
    distance_bits = flood_bits - math.log2(MOST_BORROWERS * noise)
    if distance_bits < DISTANCE_BITS:
        raise NoRoomError(
            f"the model's scores reach {largest_sum:,} steps and its weights add up to "
            f"{absolute_weights:,}: that leaves {distance_bits:.1f} bits of flooding where "
            f"{DISTANCE_BITS} are needed; fewer inputs or smaller weights would fit"
        )
    capacity_bits = math.log2(MODULUS) - flood_bits
    return NoiseBudget(scale_bits, noise, flood_bits, distance_bits, capacity_bits)

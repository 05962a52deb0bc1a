"""Randomised response on labels: flipped once, before anything is computed from them.

Warner, 'Randomized Response' (JASA 1965): a label is kept with probability e^ε/(1 + e^ε) and
flipped otherwise, which is ε-DP for one borrower's label with δ = 0. Ghazi, Golowich, Kumar,
Manurangsi, Zhang, 'Deep Learning with Label Differential Privacy' (NeurIPS 2021): whatever is
computed from the flipped labels afterwards is post-processing. So ε covers every gradient of a
training, however many exchanges it has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

# Above the rounding of a float's probability as a 64-bit threshold; costs nothing measurable.
_MARGIN = 1 << 12


def flip_probability(epsilon: float) -> float:
    """1/(1 + e^ε)."""
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise ValueError(f"ε must be positive and finite, not {epsilon}")
    return 1.0 / (1.0 + math.exp(epsilon))


def randomised_response(
    labels: npt.NDArray[np.float64],
    epsilon: float,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> npt.NDArray[np.float64]:
    """The labels (n,), each flipped with the probability that ε allows.

    Args:
        labels: 0 or 1.
        epsilon: of one label.
        random_bytes: of the operating system; tests may bring their own.
    """
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ValueError("labels must be 0 or 1")
    # Rounded up, so that the flips are never rarer than ε asks for.
    threshold = math.ceil(flip_probability(epsilon) * 2.0**64) + _MARGIN
    draws = np.frombuffer(random_bytes(8 * len(labels)), dtype="<u8")
    flips = draws < np.uint64(threshold)
    noisy: npt.NDArray[np.float64] = np.where(flips, 1.0 - labels, labels)
    return noisy


def corrected_rate(noisy: npt.NDArray[np.float64], epsilon: float | None) -> float:
    """The share of defaults that noisy labels speak for, held within 1% to 99%.

    An unbiased estimate (Warner 1965); without ε the labels' own mean.
    """
    flips = 0.0 if epsilon is None else flip_probability(epsilon)
    rate = (float(noisy.mean()) - flips) / (1.0 - 2.0 * flips)
    return min(max(rate, 0.01), 0.99)


def privacy_record(epsilon: float | None) -> dict[str, Any] | None:
    """How labels were protected, for a run's record; None where they were not."""
    if epsilon is None:
        return None
    return {
        "mechanism": "randomised response",
        "epsilon": epsilon,
        "delta": 0.0,
        "flip_probability": flip_probability(epsilon),
    }

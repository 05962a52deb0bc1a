"""Real vectors as small integers by stochastic rounding, unbiased."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.linear_maps.randomness import uniform_residues

RESIDUAL_SCALE = 127  # one unit of residual (a flipped label) in integers


def stochastic_round(scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Round to one of the two neighbouring integers with the probability that keeps the mean.

    The uniform draws come from the operating system, 32 bits each: what is rounded depends on
    labels, so a predictable rounding would be one more thing to argue about.
    """
    floor = np.floor(scaled)
    draws = uniform_residues(scaled.size, 32).reshape(scaled.shape).astype(np.float64) / 2.0**32
    rounded: npt.NDArray[np.int64] = (floor + (draws < scaled - floor)).astype(np.int64)
    return rounded

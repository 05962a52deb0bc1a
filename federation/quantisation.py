"""Real vectors as small integers by stochastic rounding, unbiased and repeatable.

The draws protect nobody: what a partner learns of unrounded sums is what it learns of rounded ones.
They come from a seed, one a borrower and round, so that a training can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
RESIDUAL_SCALE = 127  # one unit of residual (a flipped label) in integers


@dataclass(frozen=True)
class RoundingDraws:
    """Uniform draws, the same for the same borrower in every run with this seed.

    Attributes:
        seed: of the training.
        places: each borrower's place in an order that does not change from run to run (borrowers,);
            None where the borrowers come in such an order themselves.
    """

    seed: int = 0
    places: npt.NDArray[np.int64] | None = None

    def of_round(self, number: int, count: int) -> Vector:
        """The draws of one round (count,), in [0, 1)."""
        draws = np.random.default_rng([self.seed, number]).random(count)
        return draws if self.places is None else draws[self.places]


def stochastic_round(scaled: Vector, draws: Vector) -> npt.NDArray[np.int64]:
    """Round to one of the two neighbouring integers with the probability that keeps the mean.

    Args:
        scaled: what to round.
        draws: as many, uniform in [0, 1), independent of what is rounded.
    """
    floor = np.floor(scaled)
    rounded: npt.NDArray[np.int64] = (floor + (draws < scaled - floor)).astype(np.int64)
    return rounded

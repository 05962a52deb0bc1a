"""The terms of an additive block: partitions of the borrowers into bins, and their penalties.

Sources: generalized additive models (Hastie & Tibshirani 1990); second-difference penalties over
ordered bins (Eilers & Marx 1996).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One additive term of a block: a partition of the borrowers into bins.

    Attributes:
        name: what the term is of, for its owner.
        bins: how many bins.
        penalty: (bins, bins) smoothness penalty, positive semi-definite, before its strength.
        shrunk: whether the ridge applies (not to an intercept).
        strength: how many times as strong as other terms' both penalties are.
    """

    name: str
    bins: int
    penalty: Vector
    shrunk: bool = True
    strength: float = 1.0


INTERCEPT = Term("intercept", 1, np.zeros((1, 1)), shrunk=False)


def second_difference_penalty(bins: int, ordered: int) -> Vector:
    """Penalty on the curvature of the first `ordered` bins' weights (bins, bins).

    Scaled by ordered³: for a fixed function a sum of squared second differences falls with the cube
    of the number of bins, so that one strength means about the same smoothness for few and many.
    """
    penalty = np.zeros((bins, bins))
    if ordered > 2:
        differences = np.diff(np.eye(ordered), 2, axis=0)
        penalty[:ordered, :ordered] = differences.T @ differences * float(ordered) ** 3
    return penalty


@dataclass(frozen=True)
class Penalty:
    """A block's penalty P, one matrix a term: terms are not penalised together.

    Attributes:
        matrices: of every term (bins, bins), strengths and stretch included.
        offsets: the first bin of every term, and the number of all bins.
    """

    matrices: tuple[Vector, ...]
    offsets: npt.NDArray[np.int64]

    def times(self, weights: Vector) -> Vector:
        """P·w (size,)."""
        parts = np.split(weights, self.offsets[1:-1])
        products = [m @ part for m, part in zip(self.matrices, parts, strict=False)]
        return np.concatenate([np.zeros(0), *products])

    def along(self, direction: Vector) -> float:
        """dᵀP·d."""
        return float(direction @ self.times(direction))

"""How far to go along a direction, and what it takes off the loss; neither needs a label.

Sources: safeguarded secant on the derivative of a convex function (Boyd & Vandenberghe 2004,
section 9.2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.additive.logistic import sigmoid

Vector = npt.NDArray[np.float64]


def line_search(
    slope: float,
    curvature: float,
    scores: Vector,
    direction: Vector,
    borrower_weights: Vector | float,
    longest: float = 2.0,
    flat: float = 0.0,
) -> float:
    """The α in [0, longest] that minimises F along a direction; it needs no label.

    Args:
        slope: dF/dα at α = 0.
        curvature: dᵀPd of the penalty.
        scores: current scores of all borrowers.
        direction: their change for α = 1.
        borrower_weights: t.
        longest: of the steps.
        flat: also good enough is any α where |dF/dα| is at most this share of |slope|.
    """
    if slope >= 0:
        return 0.0
    pulled = borrower_weights * direction
    now = float(np.sum(sigmoid(scores) * pulled))

    def derivative(alpha: float) -> float:
        then = float(np.dot(sigmoid(scores + alpha * direction), pulled))
        return slope + alpha * curvature + then - now

    # F' is increasing (F is convex). A Newton step's length is near 1: look there first, then on
    # one side of it; a safeguarded secant finds the root of F'.
    low, high, low_value = 0.0, longest, slope
    alpha = min(1.0, longest)
    value = derivative(alpha)
    if abs(value) <= flat * -slope:
        return alpha
    if value < 0:
        if alpha == longest:
            return longest
        low, low_value = alpha, value
        high_value = derivative(longest)
        if high_value <= 0:
            return longest
    else:
        high, high_value = alpha, value
    for _ in range(30):
        if high - low < 1e-3:
            break
        alpha = low - low_value * (high - low) / (high_value - low_value)
        alpha = min(max(alpha, low + 0.05 * (high - low)), high - 0.05 * (high - low))
        value = derivative(alpha)
        if abs(value) <= flat * -slope:
            return alpha
        if value < 0:
            low, low_value = alpha, value
        else:
            high, high_value = alpha, value
    return (low + high) / 2


def loss_change(
    slope: float,
    curvature: float,
    scores: Vector,
    direction: Vector,
    borrower_weights: Vector | float,
    step: float,
) -> float:
    """F after a step along a direction minus F before; it needs no label either.

    Args: as for `line_search`; `step` is α.
    """
    moved = step * direction
    bent = np.logaddexp(0.0, scores + moved) - np.logaddexp(0.0, scores) - sigmoid(scores) * moved
    return step * slope + step**2 * curvature / 2 + float(np.sum(borrower_weights * bent))

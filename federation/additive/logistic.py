"""The logistic function and the logistic loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def sigmoid(scores: Vector) -> Vector:
    """1/(1 + exp(-s)): numpy's exp is several times quicker than scipy's expit."""
    with np.errstate(over="ignore"):  # exp(-s) beyond the largest float: 1/∞ is the 0 it should be
        probability: Vector = 1.0 / (1.0 + np.exp(-scores))
    return probability


def log_losses(labels: Vector, scores: Vector) -> Vector:
    """log(1 + exp(s)) - y·s of every borrower."""
    losses: Vector = np.logaddexp(0.0, scores) - labels * scores
    return losses

"""The logistic loss of an additive model at the label party."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def log_losses(labels: Vector, scores: Vector) -> Vector:
    """log(1 + exp(s)) - y·s of every borrower."""
    losses: Vector = np.logaddexp(0.0, scores) - labels * scores
    return losses

"""Calibration of a finished model: intercept and slope on the log-odds of its points.

Platt, 'Probabilistic outputs for support vector machines' (1999), fitted by Newton's method with
his slightly smoothed targets, which keep both numbers finite whatever the labels are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.scoring.points import LOG_ODDS_A_POINT, Calibration, default_probability

STEPS = 50
# Fewer borrowers of either outcome tell nothing of a slope.
FEWEST_OF_EITHER = 20


def fit_calibration(
    points: npt.NDArray[np.int64], labels: npt.NDArray[np.float64]
) -> Calibration | None:
    """Fit to borrowers with known outcomes.

    Args:
        points: all parts' points together (n,).
        labels: 1 for default, 0 for none (n,).

    Returns:
        None where there is too little to fit to, or the scores rank borrowers the wrong way.
    """
    defaults = float(labels.sum())
    repaid = len(labels) - defaults
    if min(defaults, repaid) < FEWEST_OF_EITHER or points.min() == points.max():
        return None
    raw = points * LOG_ODDS_A_POINT
    targets = np.where(labels > 0, (defaults + 1) / (defaults + 2), 1 / (repaid + 2))
    centre, spread = float(raw.mean()), float(raw.std())
    inputs = np.stack([np.ones(len(raw)), (raw - centre) / spread])
    weights = np.array([float(np.log(defaults / repaid)), 0.0])
    for _ in range(STEPS):
        probability = default_probability(weights @ inputs)
        gradient = inputs @ (targets - probability)
        curvature = (inputs * (probability * (1 - probability))) @ inputs.T
        step = np.linalg.solve(curvature + 1e-9 * len(raw) * np.eye(2), gradient)
        weights += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            break
    slope = float(weights[1]) / spread
    if not slope > 0:
        return None
    return Calibration(float(weights[0]) - slope * centre, slope)

"""Log-odds brought to scale after training under privacy, from one noisy histogram.

DP-SGD ranks borrowers well and is far too sure of itself: the noise in the weights spreads the
log-odds. Two numbers mend that, a slope and an intercept (Platt, 'Probabilistic outputs for support
vector machines', 1999), and they need no more of the training rows than counts by log-odds and
outcome, one count a borrower: so a little noise, and a small part of ε, is enough.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from federation.neural.models import build
from federation.neural.schema import InputSchema
from federation.neural.settings import NeuralSettings
from federation.neural.weights import Vector, flatten, load

BINS = 48
# Log-odds beyond ± this count as this.
MOST_LOG_ODDS = 6.0
# A bin counts from so many deviations of its noise on.
CERTAIN = 2.0
# As a prior: slope and intercept have a deviation of 1/√RIDGE around 1 and 0.
RIDGE = 10.0
_SLOPES = (1 / 16, 5.0)
_MOST_INTERCEPT = 5.0
# Exponentials differ in their last bits between machines, and all banks must agree.
_GRID = 2.0**10

Counts = npt.NDArray[np.int64]


def log_odds_histogram(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> Counts:
    """How many borrowers of each class have log-odds in each bin (2·`BINS`,): repaid, defaulted."""
    bounded = np.clip(probabilities, 1e-12, 1 - 1e-12)
    log_odds = np.clip(np.log(bounded / (1 - bounded)), -MOST_LOG_ODDS, MOST_LOG_ODDS)
    width = 2 * MOST_LOG_ODDS / BINS
    place = np.minimum(((log_odds + MOST_LOG_ODDS) / width).astype(np.int64), BINS - 1)
    return np.bincount(place + BINS * (np.asarray(labels) == 1), minlength=2 * BINS)


def fit(counts: Counts, deviation: float = 0.0) -> tuple[float, float]:
    """Slope and intercept that make log-odds fit a noisy histogram best.

    Bins in which nobody can be told from noise are left out: where log-odds are large, noise would
    weigh more than borrowers. The rest has no negative weights, so the log-loss is convex, and
    Newton's method (with halved steps) finds its one minimum. A little ridge holds slope and
    intercept at (1, 0) where hardly anything is left.

    Args:
        counts: of `log_odds_histogram`, with noise (2·`BINS`,).
        deviation: σ of the noise on each count.
    """
    width = 2 * MOST_LOG_ODDS / BINS
    centres = -MOST_LOG_ODDS + width * (np.arange(BINS) + 0.5)
    repaid, defaulted = counts.astype(np.float64).reshape(2, BINS)
    everybody = repaid + defaulted
    everybody = np.where(everybody > CERTAIN * math.sqrt(2) * deviation, everybody, 0.0)
    everybody = np.maximum(everybody, 0.0)
    defaulted = np.clip(defaulted, 0.0, everybody)
    design = np.stack([centres, np.ones(BINS)])
    start = np.array([1.0, 0.0])

    def loss(at: npt.NDArray[np.float64]) -> float:
        score = at @ design
        held = RIDGE / 2 * float(np.sum(np.square(at - start)))
        return float(np.sum(everybody * np.logaddexp(0.0, score) - defaulted * score)) + held

    at = start
    for _ in range(50):
        chance = expit(at @ design)
        gradient = design @ (everybody * chance - defaulted) + RIDGE * (at - start)
        curvature = (design * (everybody * chance * (1 - chance))) @ design.T
        step = np.linalg.solve(curvature + RIDGE * np.eye(2), gradient)
        share = 1.0
        while share > 1e-3 and loss(at - share * step) > loss(at):
            share /= 2
        at = at - share * step
        if share <= 1e-3 or float(np.abs(share * step).max()) < 1e-7:
            break
    slope = float(np.clip(at[0], *_SLOPES))
    intercept = float(np.clip(at[1], -_MOST_INTERCEPT, _MOST_INTERCEPT))
    return round(slope * _GRID) / _GRID, round(intercept * _GRID) / _GRID


def calibrated(
    settings: NeuralSettings, schema: InputSchema, weights: Vector, slope: float, intercept: float
) -> Vector:
    """The weights (p,) of the network whose log-odds are slope times as large, plus intercept."""
    import torch

    network = build(settings, schema)
    load(network, weights)
    weight, bias = list(network.head.parameters())[-2:]
    with torch.no_grad():
        weight.mul_(slope)
        bias.mul_(slope).add_(intercept)
    return flatten(network)

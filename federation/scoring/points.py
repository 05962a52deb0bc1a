"""Points: whole numbers in which every party says what its part adds to a borrower's score.

One point is ln 2 / 20 of the log-odds of default (0.035), as scorecards have it: 20 points double
the odds (Siddiqi, 'Intelligent Credit Scoring', 2nd edition, chapter 10). Whole numbers add up to
the same sum at every party and in every order, so a score online equals the score offline exactly,
and masks cancel exactly; and a partner's partial score leaves it no finer than this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

POINTS_TO_DOUBLE_ODDS = 20
LOG_ODDS_A_POINT = math.log(2) / POINTS_TO_DOUBLE_ODDS
SCORE_AT_EVEN_ODDS = 500
# One part's most points either way: log-odds of ±3,400. A sum of a hundred parts stays in 32 bits.
MOST_POINTS = 100_000

Points = npt.NDArray[np.int32]


def to_points(log_odds: npt.NDArray[np.float64]) -> Points:
    """Partial scores (n,) in points, risk upwards.

    Raises:
        InputError: one is not finite, or beyond ±MOST_POINTS.
    """
    points = np.rint(np.asarray(log_odds, dtype=np.float64) / LOG_ODDS_A_POINT)
    if not (np.abs(points) <= MOST_POINTS).all():  # NaN compares as False
        raise InputError(f"partial scores must be finite and within ±{MOST_POINTS:,} points")
    whole: Points = points.astype(np.int32)
    return whole


@dataclass(frozen=True)
class Calibration:
    """From the log-odds of all parts' points to calibrated ones: intercept + slope · log-odds."""

    intercept: float = 0.0
    slope: float = 1.0

    def log_odds(self, points: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Calibrated log-odds of default (n,) of all parts' points together (n,)."""
        raw = np.asarray(points, dtype=np.float64) * LOG_ODDS_A_POINT
        calibrated: npt.NDArray[np.float64] = self.intercept + self.slope * raw
        return calibrated


def scores_of(log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Scores (n,) as callers read them: 500 is even odds, more is safer, 0 to 1,000."""
    scores = SCORE_AT_EVEN_ODDS - np.rint(np.asarray(log_odds) / LOG_ODDS_A_POINT)
    inside: Points = np.clip(scores, 0, 2 * SCORE_AT_EVEN_ODDS).astype(np.int32)
    return inside


def default_probability(log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities of default (n,)."""
    positive = np.exp(-np.abs(log_odds))
    return np.where(np.asarray(log_odds) >= 0, 1 / (1 + positive), positive / (1 + positive))

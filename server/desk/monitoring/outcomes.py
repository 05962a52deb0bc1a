"""How good served scores turned out to be, once it is known who defaulted.

Bad rates by score band, observed against predicted defaults, and the area under the curve over
time. Outcomes exist only for borrowers who were lent to, so all of it describes the approved: among
them the area under the curve is lower, and calibration can differ, from what holds for applicants
(the problem of reject inference: Hand and Henley 1993).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.metrics import Estimate, bootstrap_intervals, calibration, wilson_interval
from federation.scoring.points import SCORE_AT_EVEN_ODDS

BAND_POINTS = 50
FEWEST_OF_EITHER = 5  # below, an area under the curve says nothing
RESAMPLES = 500

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredOutcome:
    """A score that was told, and what became of the borrower.

    Attributes:
        model: digest of the served model that scored.
        month: 'YYYY-MM' of the score.
        score: as told; the probability that it stands for.
        defaulted: what was observed.
    """

    model: str
    month: str
    score: int
    probability: float
    defaulted: bool


@dataclass(frozen=True)
class RateBin:
    """Borrowers of like scores: predicted and observed default rate.

    Attributes:
        lowest, highest: the scores (of a band) or probabilities (of a calibration bin) within.
        borrowers: how many.
        predicted: mean probability.
        observed: share that defaulted; low and high end its 95% Wilson interval.
    """

    lowest: float
    highest: float
    borrowers: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Period:
    """One month's scores; no AUC where a class has too few borrowers."""

    month: str
    outcomes: int
    defaults: int
    auc: Estimate | None


@dataclass(frozen=True)
class ModelOutcomes:
    """One model's outcomes.

    Attributes:
        model: digest of the served model.
        outcomes, defaults: how many.
        bands: by score, the riskiest first.
        calibration: by quantile of the probability; empty without both classes.
        auc: over all outcomes; None with too few of a class.
        ratio: observed defaults for each predicted one, and its 95% interval; None where nothing
            was predicted.
        periods: by month of the score.
    """

    model: str
    outcomes: int
    defaults: int
    bands: tuple[RateBin, ...]
    calibration: tuple[RateBin, ...]
    auc: Estimate | None
    ratio: Estimate | None
    periods: tuple[Period, ...]


def measured(outcomes: Iterable[ScoredOutcome], seed: int = 0) -> list[ModelOutcomes]:
    """Each model's outcomes measured, by name; `seed` is of the bootstrap's resamples."""
    of_model: dict[str, list[ScoredOutcome]] = defaultdict(list)
    for one in outcomes:
        of_model[one.model].append(one)
    return [_measured(model, of_model[model], seed) for model in sorted(of_model)]


def _measured(model: str, outcomes: Sequence[ScoredOutcome], seed: int) -> ModelOutcomes:
    scores = np.array([one.score for one in outcomes], dtype=np.int64)
    probabilities = np.array([one.probability for one in outcomes], dtype=np.float64)
    defaulted = np.array([one.defaulted for one in outcomes], dtype=np.float64)
    of_month: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(outcomes):
        of_month[one.month].append(place)
    defaults = int(defaulted.sum())
    low, high = wilson_interval(defaults, len(outcomes))
    predicted = float(probabilities.mean())
    ratio = None
    if predicted > 0:
        rate = float(defaulted.mean())
        ratio = Estimate(rate / predicted, float(low) / predicted, float(high) / predicted)
    return ModelOutcomes(
        model=model,
        outcomes=len(outcomes),
        defaults=defaults,
        bands=_bands(scores, probabilities, defaulted),
        calibration=_calibration(probabilities, defaulted),
        auc=_auc(probabilities, defaulted, seed),
        ratio=ratio,
        periods=tuple(
            Period(
                month,
                len(places),
                int(defaulted[places].sum()),
                _auc(probabilities[places], defaulted[places], seed),
            )
            for month, places in sorted(of_month.items())
        ),
    )


def _bands(
    scores: npt.NDArray[np.int64], probabilities: FloatArray, defaulted: FloatArray
) -> tuple[RateBin, ...]:
    last = 2 * SCORE_AT_EVEN_ODDS // BAND_POINTS - 1
    bands = np.minimum(scores // BAND_POINTS, last)
    bins = []
    for band in np.unique(bands).tolist():
        rows = bands == band
        many, bad = int(rows.sum()), float(defaulted[rows].sum())
        low, high = wilson_interval(bad, many)
        lowest = band * BAND_POINTS
        highest = 2 * SCORE_AT_EVEN_ODDS if band == last else lowest + BAND_POINTS - 1
        mean = float(probabilities[rows].mean())
        bins.append(RateBin(lowest, highest, many, mean, bad / many, float(low), float(high)))
    return tuple(bins)


def _calibration(probabilities: FloatArray, defaulted: FloatArray) -> tuple[RateBin, ...]:
    if not 0 < defaulted.sum() < len(defaulted):
        return ()
    table = calibration(defaulted, probabilities)
    ends = np.cumsum(table.borrowers)
    ordered = np.sort(probabilities)
    return tuple(
        RateBin(float(ordered[end - many]), float(ordered[end - 1]), int(many), *map(float, rest))
        for end, many, *rest in zip(
            ends,
            table.borrowers,
            table.predicted,
            table.observed,
            table.low,
            table.high,
            strict=True,
        )
    )


def _auc(probabilities: FloatArray, defaulted: FloatArray, seed: int) -> Estimate | None:
    defaults = int(defaulted.sum())
    if min(defaults, len(defaulted) - defaults) < FEWEST_OF_EITHER:
        return None
    return bootstrap_intervals(defaulted, probabilities, RESAMPLES, seed=seed).auc

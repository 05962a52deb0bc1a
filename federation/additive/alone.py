"""What the label party reaches without any partner: the same model on its own features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.additive.block import Block, Codes
from federation.additive.terms import INTERCEPT, Term

Vector = npt.NDArray[np.float64]
STEPS = 25


@dataclass(frozen=True)
class AloneFit:
    """A model of one party's terms, fitted to convergence.

    Attributes:
        weights: intercept first.
        scores: log-odds of the borrowers of the fit.
        test_scores: log-odds of the test borrowers.
    """

    weights: Vector
    scores: Vector
    test_scores: Vector


def fit_alone(
    terms: list[Term],
    fit_codes: Codes,
    labels: Vector,
    test_codes: Codes,
    smoothness: float,
    ridge: float,
) -> AloneFit:
    """Fit it.

    Args:
        terms: the party's terms, without an intercept.
        fit_codes: (terms, borrowers) of the fit.
        labels: theirs.
        test_codes: (terms, test borrowers).
        smoothness, ridge: penalty strengths.
    """
    block = Block([INTERCEPT, *terms], with_intercept(fit_codes))
    start = np.zeros(block.size)
    weights = block.fit(
        block.sums(labels), 0.0, 1.0, block.penalty(smoothness, ridge), start, STEPS
    )
    return AloneFit(
        weights, block.scores(weights), block.scores(weights, with_intercept(test_codes))
    )


def with_intercept(codes: Codes) -> Codes:
    """Codes with a first term that holds everybody in its one bin."""
    return np.vstack([np.zeros((1, codes.shape[1]), codes.dtype), codes])

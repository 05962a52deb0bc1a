"""What the benchmarks of the additive model compare with: the same borrowers, pooled in plaintext.

Three references. The same model by the same code, without parties, messages or cryptography: what
privacy and distribution cost. An independent Newton fit that shares no code: whether the result is
right. scikit-learn's logistic regression on the one-hot bins: a yardstick that everybody knows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.additive.alone import STEPS, with_intercept
from federation.additive.block import Block, Codes
from federation.additive.terms import INTERCEPT
from federation.metrics import auc
from federation.schema import FeatureColumn
from federation.vertical.borrowers import BinnedRows
from federation.vertical.plan import TEST, TRAINING
from simulations.bench_population import pooled
from simulations.plain_additive import Design, fit_plain, one_hot_design

# Above it the independent fit, which factorises a dense matrix, takes many minutes.
LARGEST_JUDGED = 5_000_000  # borrowers times features


def plaintext_figures(
    folder: Path,
    data: str,
    test_rows: npt.NDArray[np.uint32],
    bins: Sequence[int],
    strengths: list[float],
) -> dict[str, Any]:
    """Figures of all three references; None for one that would take too long.

    Args:
        folder, data: where the parties' tables are.
        test_rows: the session's test borrowers, as rows of the label party's table.
        bins: most bins a feature of each party's.
        strengths: smoothness and ridge that the session chose.
    """
    label, columns = pooled(folder, data)
    fit = np.ones(len(label), dtype=np.bool_)
    fit[test_rows] = False
    figures = _same_model(label, columns, fit, bins, strengths)
    flat = [column for of_party in columns for column in of_party]
    if len(label) * len(flat) > LARGEST_JUDGED:
        return figures | dict.fromkeys(("auc_plain", "plain_seconds", "logistic_seconds"))
    each = [most for most, of in zip(bins, columns, strict=True) for _ in of]
    design = one_hot_design(flat, fit, each)
    started = time.perf_counter()
    model = fit_plain(design, label, fit, smoothness=strengths[0], ridge=strengths[1])
    plain_seconds = time.perf_counter() - started
    return figures | {
        "auc_plain": float(auc(label[~fit], model.test_scores)),
        "plain_seconds": round(plain_seconds, 4),
        "logistic_seconds": round(_logistic_seconds(design, label, fit), 4),
    }


def _same_model(
    label: npt.NDArray[np.uint8],
    columns: list[list[FeatureColumn]],
    fit: npt.NDArray[np.bool_],
    bins: Sequence[int],
    strengths: list[float],
) -> dict[str, Any]:
    """All parties' bins as one block, fitted to convergence at the strengths chosen."""
    parts = np.where(fit, TRAINING, TEST).astype(np.uint8)
    binned = [BinnedRows.of(c, parts, most) for c, most in zip(columns, bins, strict=True)]
    terms = [INTERCEPT, *(term for one in binned for term in one.terms())]
    block = Block(terms, _together([one.fit for one in binned]))
    target = label[fit].astype(np.float64)
    started = time.perf_counter()
    weights = block.fit(
        block.sums(target),
        0.0,
        1.0,
        block.penalty(strengths[0], strengths[1]),
        np.zeros(block.size),
        STEPS,
    )
    seconds = time.perf_counter() - started
    scores = block.scores(weights, _together([one.test for one in binned]))
    return {
        "auc_same_model": float(auc(label[~fit], scores)),
        "same_model_seconds": round(seconds, 4),
    }


def _together(codes: Sequence[Codes]) -> Codes:
    """All parties' bins under each other, an intercept first; the narrowest type that holds all."""
    widest = max((one.dtype for one in codes), key=lambda dtype: dtype.itemsize)
    every: Codes = np.vstack([one.astype(widest) for one in codes])
    return with_intercept(every)


def _logistic_seconds(
    design: Design, label: npt.NDArray[np.uint8], fit: npt.NDArray[np.bool_]
) -> float:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    inside = design.matrix[np.flatnonzero(fit)][:, 1:]
    with threadpool_limits(1):
        started = time.perf_counter()
        LogisticRegression(max_iter=200).fit(inside, label[fit])
        return time.perf_counter() - started

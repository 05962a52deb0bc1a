"""What the benchmark of boosted models compares with: the same borrowers, pooled in plaintext.

Two references. The same trees by the same code, without parties, messages or cryptography: what
privacy and distribution cost. XGBoost's histogram method, which shares no code: whether the result
is right, and the speed that everybody knows. XGBoost has no floor on a child's borrowers; its least
sum of hessians stands for it, at the mean hessian of the first tree.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.boosting.alone import fit_alone
from federation.boosting.feature_party import draw_features
from federation.boosting.label_party import Borrowers
from federation.boosting.local_bins import LocalBins
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.boosting.trees import Forest
from federation.metrics import auc
from federation.schema import FeatureColumn, FeatureKind
from federation.vertical.boosted_bins import layout_of
from federation.vertical.borrowers import BinnedRows
from federation.vertical.plan import TEST, TRAINING, VALIDATION, SplitPlan
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY, load, pooled

PARTIES = (LABEL_PARTY, FEATURE_PARTY)
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """All parties' rows side by side, in the label party's order.

    Attributes:
        label: 1 for default (n,).
        columns: of each party.
        parts: training, validation or test (n,), as in the session.
    """

    label: npt.NDArray[np.uint8]
    columns: list[list[FeatureColumn]]
    parts: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, folder: Path, data: str, split: SplitPlan) -> Pooled:
        """Join both parties' tables and cut them as the label party does."""
        label, columns = pooled(folder, data)
        return cls(label, columns, split.parts(label, load(folder, LABEL_PARTY, data).split))

    @property
    def test_rows(self) -> npt.NDArray[np.int64]:
        """Rows of the test borrowers."""
        return np.flatnonzero(self.parts == TEST)

    @property
    def test_labels(self) -> npt.NDArray[np.uint8]:
        """Their labels."""
        labels: npt.NDArray[np.uint8] = self.label[self.parts == TEST]
        return labels


def same_model(pool: Pooled, settings: BoostedSettings) -> dict[str, Any]:
    """Figures of the same trees from plaintext sums over the same bins, columns sampled alike.

    None where trees are grown at their owners: that is another model, without such a reference.
    """
    if settings.disclosure is Disclosure.OWNER:
        return {"auc_same_model": None, "same_model_seconds_per_tree": None}
    local = {}
    for party, columns in zip(PARTIES, pool.columns, strict=True):
        binned = BinnedRows.of(columns, pool.parts, settings.bins)
        layout = layout_of(binned)
        sampled = party == FEATURE_PARTY and settings.disclosure is Disclosure.BINS
        draw = partial(draw_features, layout, settings, party) if sampled else None
        local[party] = LocalBins(layout, binned.fit, binned.test, draw)
    in_fit = pool.parts != TEST
    borrowers = Borrowers(
        pool.label[in_fit].astype(np.float64),
        pool.parts[in_fit] == VALIDATION,
        np.arange(int(in_fit.sum())),
    )
    started = time.perf_counter()
    fit = fit_alone(borrowers, local, settings)
    seconds = time.perf_counter() - started
    forest = Forest(fit.trees, {party: len(own) for party, own in fit.splits.items()})
    bits = {party: local[party].test_bits(own) for party, own in fit.splits.items()}
    return {
        "auc_same_model": float(auc(pool.test_labels, fit.intercept + forest.scores(bits))),
        "same_model_seconds_per_tree": round(seconds / len(fit.rounds), 5),
    }


def xgboost_model(pool: Pooled, settings: BoostedSettings) -> dict[str, Any]:
    """Figures of XGBoost's histogram method under the nearest settings that it has, one thread."""
    import xgboost

    columns = [column for of_party in pool.columns for column in of_party]
    kinds = ["c" if c.spec.kind is FeatureKind.CATEGORICAL else "q" for c in columns]
    matrix = _matrix(columns)
    training = pool.parts != TEST
    if settings.early_stopping:
        training = pool.parts == TRAINING

    def of(rows: npt.NDArray[np.bool_], like: Any = None) -> Any:
        return xgboost.QuantileDMatrix(
            matrix[rows],
            pool.label[rows],
            feature_types=kinds,
            enable_categorical=True,
            max_bin=settings.bins,
            nthread=1,
            ref=like,
        )

    known = of(training)
    share = float(pool.label[training].mean())
    floor = settings.node_floor(int(training.sum()))
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": settings.bins,
        "max_depth": settings.depth,
        "eta": settings.rate,
        "lambda": settings.l2,
        "gamma": settings.min_split_gain,
        "min_child_weight": max(settings.min_child_weight, floor * share * (1 - share)),
        "colsample_bytree": settings.column_sample,
        "subsample": settings.row_sample,
        "base_score": share,
        "seed": settings.seed,
        "nthread": 1,
    }
    stopping: dict[str, Any] = {}
    if settings.early_stopping:
        stopping = {
            "evals": [(of(pool.parts == VALIDATION, known), "validation")],
            "early_stopping_rounds": settings.early_stopping,
            "verbose_eval": False,
        }
    started = time.perf_counter()
    model = xgboost.train(parameters, known, settings.trees, **stopping)
    seconds = time.perf_counter() - started
    kept = model.best_iteration + 1 if settings.early_stopping else settings.trees
    scores: Scores = model.predict(of(pool.parts == TEST, known), iteration_range=(0, kept))
    return {
        "auc_plain": float(auc(pool.test_labels, scores.astype(np.float64))),
        "xgboost_seconds_per_tree": round(seconds / model.num_boosted_rounds(), 5),
        "xgboost_trees": kept,
    }


def _matrix(columns: Sequence[FeatureColumn]) -> npt.NDArray[np.float32]:
    """All features as XGBoost takes them (n, features): NaN is missing, categories are numbered."""
    matrix = np.empty((len(columns[0].present), len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        matrix[:, place] = np.nan
        known = column.present.copy()
        values = column.values
        if column.spec.kind is FeatureKind.CATEGORICAL:
            known &= values != None  # noqa: E711 - elementwise
            values = values.copy()
            values[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
        matrix[known, place] = values[known].astype(np.float32)
    return matrix

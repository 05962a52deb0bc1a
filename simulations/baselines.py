"""What familiar models reach on pooled plaintext, and on the label party's columns alone.

For comparison only: pooling is what the federation avoids. Every model is fitted on the training
rows with one thread, on the same rows as the federated model.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.schema import FeatureColumn, FeatureKind

Matrix = npt.NDArray[np.float64]
# Categories beyond the most frequent ones count as one.
_CATEGORIES_KEPT = 30
_LOGISTIC_BINS = 10


class Columns(StrEnum):
    """Which columns a baseline was fitted on."""

    POOLED = "pooled"  # all parties' columns, as if they had been brought together
    LABEL_PARTY_ALONE = "label_party_alone"


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline's scores.

    Attributes:
        name: the model, such as "gradient boosting (XGBoost)".
        columns: the columns it was fitted on.
        test_scores: probability of default, float64, one a test row in the order given.
        seconds: time to fit and score on one thread, with the preparation where it is the first
            model that needs it.
    """

    name: str
    columns: Columns
    test_scores: Matrix
    seconds: float


@dataclass(frozen=True)
class _Prepared:
    """Feature matrices of the training and the test rows, and the training labels."""

    train: Matrix
    test: Matrix
    train_label: npt.NDArray[np.uint8]
    seed: int


def fit_baselines(
    label_party: Sequence[FeatureColumn],
    partners: Sequence[FeatureColumn],
    label: npt.NDArray[np.uint8],
    *,
    train_rows: npt.NDArray[np.integer[Any]],
    test_rows: npt.NDArray[np.integer[Any]],
    seed: int = 0,
) -> list[Baseline]:
    """Fit every baseline on all columns, then on the label party's alone.

    Args:
        label_party: the label party's feature columns, aligned; may be empty, and then only
            pooled baselines are fitted.
        partners: all partners' feature columns, aligned to the same rows.
        label: 1 for default, 0 for repaid, one a row; both classes among the training rows.
        train_rows, test_rows: row positions.
        seed: seed of the models that draw at random.

    Returns:
        Five baselines on the pooled columns, then the same five on the label party's alone:
        logistic regression (standardised), logistic regression on quantile bins, random forest,
        gradient boosting of scikit-learn, and of XGBoost (200 trees of depth 4, rate 0.05).
    """
    from threadpoolctl import threadpool_limits

    found: list[Baseline] = []
    # scikit-learn's boosting has no n_jobs: it takes as many threads as OpenMP offers.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lbfgs failed to converge.*")
        warnings.filterwarnings("ignore", message="Bins whose width are too small")
        for which, columns in (
            (Columns.POOLED, [*label_party, *partners]),
            (Columns.LABEL_PARTY_ALONE, list(label_party)),
        ):
            if not columns:
                continue
            prepared: dict[_Prepare, _Prepared] = {}
            for name, prepare, fit in _MODELS:
                start = time.perf_counter()
                if prepare not in prepared:
                    matrix = prepare(columns, train_rows)
                    prepared[prepare] = _Prepared(
                        matrix[train_rows], matrix[test_rows], label[train_rows], seed
                    )
                scores = fit(prepared[prepare])
                found.append(Baseline(name, which, scores, time.perf_counter() - start))
    return found


def pooled_mlp(
    columns: Sequence[FeatureColumn],
    label: npt.NDArray[np.uint8],
    *,
    train_rows: npt.NDArray[np.integer[Any]],
    test_rows: npt.NDArray[np.integer[Any]],
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
) -> list[Baseline]:
    """Fit scikit-learn's MLP on all rows, as if all banks' had been brought together.

    It has two hidden layers (64, 32) and a ridge, and takes 15 epochs. One network varies with its
    seed, so tables show the mean of the seeds' metrics (not the metric of the mean score, which
    would be an ensemble's).

    Args:
        columns: the feature columns of all banks' rows.
        label: 1 for default, 0 for repaid, one a row; both classes among the training rows.
        train_rows: row positions; a single bank's give what that bank reaches alone.
        test_rows: row positions.
        seeds: of the networks.

    Returns:
        One baseline a seed, all named "MLP".
    """
    from threadpoolctl import threadpool_limits

    found: list[Baseline] = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Maximum iterations.*")
        start = time.perf_counter()
        matrix = _network_matrix(columns, train_rows)
        for seed in seeds:
            data = _Prepared(matrix[train_rows], matrix[test_rows], label[train_rows], seed)
            scores = _perceptron(data)
            found.append(Baseline("MLP", Columns.POOLED, scores, time.perf_counter() - start))
            start = time.perf_counter()
    return found


def _tree_matrix(
    columns: Sequence[FeatureColumn], train_rows: npt.NDArray[np.integer[Any]]
) -> Matrix:
    """Return one column a feature: categories as ranks by their share of rows; NaN is missing."""
    matrix = np.column_stack(
        [
            _numbers(column)
            if column.spec.kind is FeatureKind.NUMERIC
            else _category_ranks(column, train_rows)
            for column in columns
        ]
    )
    # A column without any training value says nothing, and scikit-learn's boosting refuses it.
    matrix[:, np.isnan(matrix[train_rows]).all(axis=0)] = 0.0
    return matrix


def _standardised_matrix(
    columns: Sequence[FeatureColumn], train_rows: npt.NDArray[np.integer[Any]]
) -> Matrix:
    """Return standardised numbers with a flag for missing, and one-hot categories."""
    blocks: list[Matrix] = []
    for column in columns:
        if column.spec.kind is FeatureKind.CATEGORICAL:
            blocks.append(_one_hot(_category_ranks(column, train_rows), train_rows))
            continue
        values = _numbers(column)
        known = values[train_rows][~np.isnan(values[train_rows])]
        centre, spread = (known.mean(), known.std()) if known.size else (0.0, 1.0)
        missing = np.isnan(values)
        blocks.append((np.where(missing, centre, values)[:, None] - centre) / (spread or 1.0))
        if missing.any():
            blocks.append(missing[:, None].astype(np.float64))
    return np.hstack(blocks)


def _binned_matrix(
    columns: Sequence[FeatureColumn], train_rows: npt.NDArray[np.integer[Any]]
) -> Matrix:
    """Return one-hot quantile bins, with a bin for missing, and one-hot categories."""
    blocks: list[Matrix] = []
    for column in columns:
        if column.spec.kind is FeatureKind.CATEGORICAL:
            bins = _category_ranks(column, train_rows)
        else:
            values = _numbers(column)
            known = values[train_rows][~np.isnan(values[train_rows])]
            levels = np.linspace(0, 1, _LOGISTIC_BINS + 1)[1:-1]
            edges = np.unique(np.quantile(known, levels)) if known.size else np.empty(0)
            bins = np.digitize(values, edges).astype(np.float64)
            bins[np.isnan(values)] = np.nan
        blocks.append(_one_hot(bins, train_rows))
    return np.hstack(blocks)


def _network_matrix(
    columns: Sequence[FeatureColumn], train_rows: npt.NDArray[np.integer[Any]]
) -> Matrix:
    """Return the standardised matrix, and every number's signed logarithm standardised too.

    Amounts of money are so skewed that a network sees little of them on one scale alone.
    """
    logarithms = [
        FeatureColumn(
            column.spec,
            np.sign(column.values) * np.log1p(np.abs(column.values.astype(np.float64))),
            column.present,
        )
        for column in columns
        if column.spec.kind is FeatureKind.NUMERIC
    ]
    blocks = [_standardised_matrix(columns, train_rows)]
    if logarithms:
        blocks.append(_standardised_matrix(logarithms, train_rows))
    return np.hstack(blocks)


def _numbers(column: FeatureColumn) -> Matrix:
    """Return a numeric column's values, NaN also where the borrower is absent."""
    return np.where(column.present, column.values.astype(np.float64), np.nan)


def _category_ranks(column: FeatureColumn, train_rows: npt.NDArray[np.integer[Any]]) -> Matrix:
    """Return 0 for the most frequent training category, 1 for the next; NaN is missing."""
    known = (column.values != None) & column.present  # noqa: E711 - elementwise
    in_train = np.zeros(len(known), dtype=np.bool_)
    in_train[train_rows] = True
    names, counts = np.unique(column.values[known & in_train].astype(str), return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")][:_CATEGORIES_KEPT].tolist()
    rank = {name: float(index) for index, name in enumerate(frequent)}
    others = float(len(frequent))
    return np.array(
        [
            rank.get(str(value), others) if is_known else np.nan
            for value, is_known in zip(column.values.tolist(), known.tolist(), strict=True)
        ]
    )


def _one_hot(bins: Matrix, train_rows: npt.NDArray[np.integer[Any]]) -> Matrix:
    """Return one column a bin that occurs among the training rows; NaN is a bin of its own."""
    filled = np.where(np.isnan(bins), -1.0, bins)
    hot: Matrix = np.equal.outer(filled, np.unique(filled[train_rows])).astype(np.float64)
    return hot


def _logistic(data: _Prepared) -> Matrix:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=200)
    return _scores(model.fit(data.train, data.train_label), data)


def _random_forest(data: _Prepared) -> Matrix:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=50, max_depth=9, min_samples_leaf=20, random_state=data.seed, n_jobs=1
    )
    return _scores(model.fit(data.train, data.train_label), data)


def _histogram_boosting(data: _Prepared) -> Matrix:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=100, max_depth=4, learning_rate=0.08, random_state=data.seed
    )
    return _scores(model.fit(data.train, data.train_label), data)


def _xgboost(data: _Prepared) -> Matrix:
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=200,
        max_depth=4,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.8,
        random_state=data.seed,
        n_jobs=1,
    )
    return _scores(model.fit(data.train, data.train_label), data)


def _perceptron(data: _Prepared) -> Matrix:
    from sklearn.neural_network import MLPClassifier

    # A fixed number of epochs: scikit-learn stops early by accuracy, which says little of a rare
    # class, and on a small bank's rows stopped several hundredths of AUC too early.
    model = MLPClassifier(
        (64, 32),
        alpha=1.0,
        batch_size=min(256, len(data.train)),
        max_iter=15,
        random_state=data.seed,
    )
    return _scores(model.fit(data.train, data.train_label), data)


def _scores(model: Any, data: _Prepared) -> Matrix:
    """Return a fitted model's probability of default for the test rows."""
    return np.asarray(model.predict_proba(data.test)[:, 1], dtype=np.float64)


_Prepare = Callable[[Sequence[FeatureColumn], npt.NDArray[np.integer[Any]]], Matrix]
_MODELS: tuple[tuple[str, _Prepare, Callable[[_Prepared], Matrix]], ...] = (
    ("logistic regression", _standardised_matrix, _logistic),
    ("logistic regression on 10 bins", _binned_matrix, _logistic),
    ("random forest", _tree_matrix, _random_forest),
    ("gradient boosting (scikit-learn)", _tree_matrix, _histogram_boosting),
    ("gradient boosting (XGBoost)", _tree_matrix, _xgboost),
)

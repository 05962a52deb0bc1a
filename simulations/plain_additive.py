"""The additive model once more, on pooled plaintext: what the federation is compared with.

Written for itself from the model's definition (docs/protocol.md, 'The model'), sharing no code with
the protocol: quantile bins with a floor, missing and absent bins, second-difference penalty and
ridge, and a full Newton iteration over all parties' bins together on a sparse design matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

from federation.schema import FeatureColumn, FeatureKind

Vector = npt.NDArray[np.float64]


def row_floor(borrowers: int) -> int:
    """Fewest borrowers in a bin: 64, 0.2%, and 512 bits of entropy (10 or 1% below 4,096)."""
    if borrowers < 4096:
        return max(10, borrowers // 100)
    size = max(64, math.ceil(borrowers / 500))
    while _log2_binomial(borrowers, size) < 512:
        size += 1
    return size


def _log2_binomial(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


@dataclass(frozen=True)
class PlainModel:
    """A fitted model's log-odds of the test borrowers, and how long fitting took to converge."""

    test_scores: Vector
    iterations: int


def _numeric_cuts(values: Vector, bins: int, floor: int) -> list[float]:
    ordered = np.sort(values)
    cuts = sorted({float(ordered[(k * len(ordered)) // bins]) for k in range(1, bins)})
    sizes = np.diff([0, *np.searchsorted(ordered, cuts, side="right"), len(ordered)]).tolist()
    while len(sizes) > 1 and min(sizes) < floor:
        at = sizes.index(min(sizes))
        leftwards = at == len(sizes) - 1 or (at > 0 and sizes[at - 1] <= sizes[at + 1])
        join = at - 1 if leftwards else at
        sizes[join] += sizes.pop(join + 1)
        cuts.pop(join)
    return cuts


def _one_feature(
    column: FeatureColumn, fit: npt.NDArray[np.bool_], bins: int, floor: int
) -> tuple[npt.NDArray[np.int64], int, int]:
    """Codes of everybody, number of bins, and how many of the first are ordered."""
    known = column.present & fit
    if column.spec.kind is FeatureKind.NUMERIC:
        empty = np.isnan(column.values.astype(float))
        cuts = _numeric_cuts(column.values[known & ~empty].astype(float), bins, floor)
        codes = (
            np.digitize(column.values.astype(float), cuts, right=True)
            if cuts
            else np.zeros(len(fit), dtype=np.int64)
        )
        ordered = used = len(cuts) + 1
    else:
        empty = np.array([value is None for value in column.values])
        names, counts = np.unique(column.values[known & ~empty].astype(str), return_counts=True)
        frequent = [
            name
            for name, count in sorted(zip(names, counts, strict=True), key=lambda p: (-p[1], p[0]))
            if count >= floor
        ][:bins]
        left = int(counts.sum()) - sum(int(counts[names == name][0]) for name in frequent)
        if frequent and 0 < left < floor and len(frequent) > 2:
            frequent.pop()
            left = floor
        place = {name: index for index, name in enumerate(frequent)}
        codes = np.array([place.get(str(value), -2) for value in column.values])
        ordered, used = 0, len(frequent)
        if left >= floor:
            codes[codes == -2] = used
            used += 1
    codes = codes.astype(np.int64)
    codes[empty] = -1
    codes[~column.present] = -3
    for marker, size in ((-1, (known & empty).sum()), (-3, (fit & ~column.present).sum())):
        if size >= floor:
            codes[codes == marker] = used
            used += 1
    sizes = np.bincount(codes[fit & (codes >= 0)], minlength=max(used, 1))
    if sizes.min() < floor:
        return np.zeros(len(fit), dtype=np.int64), 1, 0
    codes[codes < 0] = int(sizes.argmax())
    return codes, used, ordered


@dataclass(frozen=True)
class Design:
    """One-hot bins of all parties together: (borrowers, 1 + bins), an intercept first."""

    matrix: scipy.sparse.csr_array
    starts: npt.NDArray[np.int64]
    ordered: tuple[int, ...]


def one_hot_design(
    columns: Sequence[FeatureColumn], fit: npt.NDArray[np.bool_], bins: int | Sequence[int]
) -> Design:
    """Bin every feature on the rows of `fit` and set the bins side by side.

    Args:
        columns: all parties' features.
        fit: which borrowers bins are fitted on.
        bins: most bins of a feature, one number for all or one each.
    """
    each = [bins] * len(columns) if isinstance(bins, int) else bins
    floor = row_floor(int(fit.sum()))
    parts = [
        _one_feature(column, fit, most, floor) for column, most in zip(columns, each, strict=True)
    ]
    parts = [part for part in parts if part[1] > 1]
    starts = np.cumsum([1] + [used for _, used, _ in parts])
    indices = np.column_stack(
        [np.zeros(len(fit), dtype=np.int64)]
        + [codes + start for (codes, _, _), start in zip(parts, starts, strict=False)]
    )
    width = indices.shape[1]
    matrix = scipy.sparse.csr_array(
        (np.ones(indices.size), indices.ravel(), np.arange(0, indices.size + 1, width)),
        shape=(len(fit), int(starts[-1])),
    )
    return Design(matrix, starts, tuple(ordered for _, _, ordered in parts))


def _penalty(design: Design, smoothness: float, ridge: float) -> Vector:
    size = int(design.starts[-1])
    penalty = ridge * np.eye(size)
    penalty[0, 0] = 0.0
    stencil = np.array([1.0, -2.0, 1.0])
    for start, ordered in zip(design.starts, design.ordered, strict=False):
        for first in range(start, start + ordered - 2):
            penalty[first : first + 3, first : first + 3] += (
                smoothness * ordered**3 * np.outer(stencil, stencil)
            )
    return penalty


def fit_plain(
    design: Design,
    label: npt.NDArray[np.uint8],
    fit: npt.NDArray[np.bool_],
    *,
    smoothness: float,
    ridge: float,
) -> PlainModel:
    """Fit on the rows of `fit` to convergence, score the others.

    Args:
        design: of all parties' features.
        label: 0 or 1, one a borrower.
        fit: which borrowers to fit on.
        smoothness, ridge: as the federated model's settings.
    """
    penalty = _penalty(design, smoothness, ridge)
    inside, target = design.matrix[np.flatnonzero(fit)], label[fit].astype(float)
    weights = np.zeros(inside.shape[1])
    weights[0] = math.log(target.mean() / (1 - target.mean()))
    iterations = 0
    while iterations < 30:
        iterations += 1
        chance = 1 / (1 + np.exp(-(inside @ weights)))
        gradient = inside.T @ (target - chance) - penalty @ weights
        scaled = scipy.sparse.diags_array(chance * (1 - chance)) @ inside
        change = scipy.linalg.solve(
            (inside.T @ scaled).toarray() + penalty, gradient, assume_a="pos"
        )
        weights += change
        if np.abs(inside @ change).max() < 1e-6:
            break
    return PlainModel(design.matrix[np.flatnonzero(~fit)] @ weights, iterations)

"""One party's block of an additive logistic model: its bins, its penalty and its Newton steps.

The block's weights w, one a bin, are held by their owner. Whoever fits a block minimises

    F(w) = Σ t·log(1 + exp(offset + X·w)) - s·w + ½ wᵀP w

with X the one-hot bins, s = Xᵀ(t·y) the label sums over each bin, t the borrowers' weights and P
the penalty. The labels enter through s alone, so the same code fits the label party's own block
(offset: the partners' scores) and a partner's (see `surrogate_sums`), from exact or noisy sums.
Sources: generalized additive models (Hastie & Tibshirani 1990); second-difference penalties over
ordered bins (Eilers & Marx 1996); damped Newton (Boyd & Vandenberghe 2004, section 9.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.special import expit

from federation.linear_maps.one_hot import OneHotMatrix

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint16]
# The curvature XᵀHX is taken from this many borrowers at most, scaled up: it only shapes the step,
# the gradient is always exact, so the fixed point does not depend on it.
CURVATURE_SAMPLE = 20_000


@dataclass(frozen=True)
class Term:
    """One additive term of a block: a partition of the borrowers into bins.

    Attributes:
        name: what the term is of, for its owner.
        bins: how many bins.
        penalty: (bins, bins) smoothness penalty, positive semi-definite, before its strength.
        shrunk: whether the ridge applies (not to an intercept).
    """

    name: str
    bins: int
    penalty: Vector
    shrunk: bool = True


INTERCEPT = Term("intercept", 1, np.zeros((1, 1)), shrunk=False)


def second_difference_penalty(bins: int, ordered: int) -> Vector:
    """Penalty on the curvature of the first `ordered` bins' weights (bins, bins).

    Scaled by ordered³: for a fixed function a sum of squared second differences falls with the cube
    of the number of bins, so that one strength means about the same smoothness for few and many.
    """
    penalty = np.zeros((bins, bins))
    if ordered > 2:
        differences = np.diff(np.eye(ordered), 2, axis=0)
        penalty[:ordered, :ordered] = differences.T @ differences * float(ordered) ** 3
    return penalty


class Block:
    """One party's terms over the borrowers of a fit.

    Args:
        terms: the terms, in order.
        codes: (terms, borrowers), each the borrower's bin in that term.
        places: numbers that order the borrowers the same in every run (their rows in the party's
            own table), for a sample that is the same in every run; None: as they come.
    """

    def __init__(
        self, terms: Sequence[Term], codes: Codes, places: npt.NDArray[np.uint32] | None = None
    ) -> None:
        """Count the borrowers of every bin and draw the curvature's sample."""
        self.terms = tuple(terms)
        self.codes = codes
        self.offsets = np.concatenate([[0], np.cumsum([term.bins for term in terms])]).astype(int)
        self.size = int(self.offsets[-1])
        self.borrowers = int(codes.shape[1])
        self.counts = self.sums(np.ones(self.borrowers))
        drawn = np.random.default_rng(0).permutation(self.borrowers)[:CURVATURE_SAMPLE]
        self._drawn = drawn if places is None else np.argsort(places, kind="stable")[drawn]
        self._sample = codes[:, self._drawn].astype(np.intp)

    def sums(self, vector: Vector) -> Vector:
        """Xᵀv (size,) of a vector over the borrowers."""
        totals = [
            np.bincount(codes, weights=vector, minlength=term.bins)
            for codes, term in zip(self.codes, self.terms, strict=True)
        ]
        return np.concatenate([np.zeros(0), *totals])  # a party may have no term at all

    def scores(self, weights: Vector, codes: Codes | None = None) -> Vector:
        """X·w: the partial score of every borrower (of this block's, or of `codes`)."""
        codes = self.codes if codes is None else codes
        total = np.zeros(codes.shape[1])
        for index, row in enumerate(codes):
            total += weights[self.offsets[index] : self.offsets[index + 1]][row]
        return total

    def penalty(self, smoothness: float, ridge: float, stretch: Vector | None = None) -> Vector:
        """P (size, size): smoothness penalties and ridge at these strengths.

        `stretch` (size,) multiplies rows and columns: bins with noisier sums are held tighter.
        """
        smooth = linalg.block_diag(*[term.penalty for term in self.terms])
        shrunk = np.repeat([term.shrunk for term in self.terms], [t.bins for t in self.terms])
        total: Vector = smoothness * smooth + ridge * np.diag(shrunk.astype(np.float64))
        return total if stretch is None else total * np.outer(stretch, stretch)

    def curvature(self, borrower_curvature: Vector) -> Vector:
        """XᵀHX (size, size), H diagonal (borrowers,), from a sample of the borrowers."""
        sample = self._sample
        weights = borrower_curvature[self._drawn]
        weights = weights * (borrower_curvature.sum() / max(weights.sum(), 1e-300))
        gram = np.zeros((self.size, self.size))
        for left, left_term in enumerate(self.terms):
            rows = slice(self.offsets[left], self.offsets[left + 1])
            for right in range(left, len(self.terms)):
                columns = slice(self.offsets[right], self.offsets[right + 1])
                bins = self.terms[right].bins
                pairs = sample[left] * bins + sample[right]
                counts = np.bincount(pairs, weights=weights, minlength=left_term.bins * bins)
                gram[rows, columns] = counts.reshape(left_term.bins, bins)
        lower = np.tril_indices(self.size, -1)
        gram[lower] = gram.T[lower]
        return gram

    def fit(
        self,
        label_sums: Vector,
        offset: Vector | float,
        borrower_weights: Vector | float,
        penalty: Vector,
        start: Vector,
        steps: int,
    ) -> Vector:
        """Damped Newton steps on F from `start`; returns w (size,).

        Args:
            label_sums: s (size,).
            offset: scores of everybody else, one a borrower or one for all.
            borrower_weights: t, likewise.
            penalty: P.
            start: weights to start from.
            steps: Newton steps at most; fewer once the step is negligible.
        """
        weights, scores = start, offset + self.scores(start)
        for _ in range(steps):
            probability = expit(scores)
            gradient = label_sums - self.sums(borrower_weights * probability) - penalty @ weights
            bend = borrower_weights * probability * (1 - probability)
            system = self.curvature(np.broadcast_to(bend, (self.borrowers,))) + penalty
            # A hair of ridge keeps bins that the sample missed, and the intercept, solvable.
            system[np.diag_indices(self.size)] += 1e-6 * self.borrowers / self.size
            factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
            direction: Vector = linalg.cho_solve(factor, gradient, check_finite=False)
            moved = self.scores(direction)
            along = float(direction @ penalty @ direction)
            step = line_search(
                slope=float(-label_sums @ direction + weights @ penalty @ direction)
                + float(np.sum(borrower_weights * probability * moved)),
                curvature=along,
                scores=scores,
                direction=moved,
                borrower_weights=borrower_weights,
            )
            weights, scores = weights + step * direction, scores + step * moved
            if step * float(np.abs(moved).max(initial=0.0)) < 1e-5:
                break
        return weights

    def one_hot(self) -> tuple[OneHotMatrix, Codes]:
        """D: the bins as rows of a private linear map, each term's fullest bin left out.

        Returns:
            The matrix, and for each term the bin that was left out (terms,).
        """
        omitted = np.array(
            [
                int(np.argmax(self.counts[self.offsets[i] : self.offsets[i + 1]]))
                for i in range(len(self.terms))
            ],
            dtype=np.uint16,
        )
        narrow = all(term.bins <= 256 for term in self.terms)
        rows = np.empty(self.codes.shape, dtype=np.uint8 if narrow else np.uint16)
        for index, term in enumerate(self.terms):
            place = np.arange(term.bins) - (np.arange(term.bins) > omitted[index])
            place[omitted[index]] = term.bins - 1
            rows[index] = place[self.codes[index]]
        return OneHotMatrix(rows, tuple(term.bins - 1 for term in self.terms)), omitted

    def complete(self, sent: Vector, total: float, omitted: Codes) -> Vector:
        """All sums (size,) from those of the bins that were sent and the sum over everybody."""
        full = np.empty(self.size)
        first = 0
        for index, term in enumerate(self.terms):
            part = sent[first : first + term.bins - 1]
            first += term.bins - 1
            low, high = self.offsets[index], self.offsets[index + 1]
            full[low:high] = np.insert(part, int(omitted[index]), total - part.sum())
        return full


def line_search(
    slope: float,
    curvature: float,
    scores: Vector,
    direction: Vector,
    borrower_weights: Vector | float,
    longest: float = 2.0,
) -> float:
    """The α in [0, longest] that minimises F along a direction; it needs no label.

    Args:
        slope: dF/dα at α = 0.
        curvature: dᵀPd of the penalty.
        scores: current scores of all borrowers.
        direction: their change for α = 1.
        borrower_weights: t.
    """
    now = float(np.sum(borrower_weights * expit(scores) * direction))

    def derivative(alpha: float) -> float:
        then = float(np.sum(borrower_weights * expit(scores + alpha * direction) * direction))
        return slope + alpha * curvature + then - now

    if derivative(longest) <= 0:
        return longest
    # F' is increasing (F is convex), positive at `longest`: a safeguarded secant finds its root.
    low, high = 0.0, longest
    low_value, high_value = derivative(low), derivative(high)
    if low_value >= 0:
        return 0.0
    for _ in range(30):
        alpha = low - low_value * (high - low) / (high_value - low_value)
        alpha = min(max(alpha, low + 0.05 * (high - low)), high - 0.05 * (high - low))
        value = derivative(alpha)
        if value < 0:
            low, low_value = alpha, value
        else:
            high, high_value = alpha, value
        if high - low < 1e-3:
            break
    return (low + high) / 2


def loss_change(
    slope: float,
    curvature: float,
    scores: Vector,
    direction: Vector,
    borrower_weights: Vector | float,
    step: float,
) -> float:
    """F after a step along a direction minus F before; it needs no label either.

    Args: as for `line_search`; `step` is α.
    """
    moved = step * direction
    bent = np.logaddexp(0.0, scores + moved) - np.logaddexp(0.0, scores) - expit(scores) * moved
    return step * slope + step**2 * curvature / 2 + float(np.sum(borrower_weights * bent))


def surrogate_offset(scores: Vector, base_rate: float) -> float:
    """The intercept at which a party's own scores alone give this mean probability."""
    offset = float(np.log(base_rate / (1 - base_rate)) - scores.mean())
    for _ in range(30):
        probability = expit(offset + scores)
        change = (float(probability.mean()) - base_rate) / max(
            float((probability * (1 - probability)).mean()), 1e-6
        )
        offset -= min(max(change, -2.0), 2.0)
        if abs(change) < 1e-9:
            break
    return offset

"""One party's block of an additive logistic model: its bins, its penalty and its Newton steps.

The block's weights w, one a bin, are held by their owner. Whoever fits a block minimises

    F(w) = Σ t·log(1 + exp(offset + X·w)) - s·w + ½ wᵀP w

with X the one-hot bins, s = Xᵀ(t·y) the label sums over each bin, t the borrowers' weights and P
the penalty. The labels enter through s alone, so the same code fits the label party's own block
(offset: the partners' scores) and a partner's (see `feature_party`), from exact or noisy sums.
Source: damped Newton (Boyd & Vandenberghe 2004, section 9.5), its systems solved inexactly by
conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federation.additive.logistic import sigmoid
from federation.additive.step_length import line_search
from federation.additive.terms import Penalty, Term
from federation.linear_maps.joined_codes import JoinedCodes
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.sent_bins import without_fullest

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
# Products with the curvature XᵀHX are taken over this many borrowers at most (more for many bins),
# scaled up: the curvature only shapes the step, the gradient is always exact, so the fixed point
# does not depend on it.
CURVATURE_SAMPLE = 1 << 17
BORROWERS_A_BIN = 16
# A Newton direction is solved for until its residual has fallen to this share of the gradient.
FORCING = 0.02
MOST_PRODUCTS = 60
# A step of length 1 is taken as it is where the slope there is this small a share of the first.
FLAT = 0.1


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
        bins = [term.bins for term in terms]
        self.offsets = np.concatenate([[0], np.cumsum(bins)]).astype(np.int64)
        self.size = int(self.offsets[-1])
        self.borrowers = int(codes.shape[1])
        self._joined = JoinedCodes(codes, bins)
        self.counts = self.sums(np.ones(self.borrowers))
        self._drawn: slice | npt.NDArray[np.int64] = slice(None)
        self._sample = self._joined
        most = max(CURVATURE_SAMPLE, BORROWERS_A_BIN * self.size)
        if most < self.borrowers:
            drawn = np.random.default_rng(0).permutation(self.borrowers)[:most]
            drawn = drawn if places is None else np.argsort(places, kind="stable")[drawn]
            self._drawn = np.sort(drawn)
            self._sample = self._joined.of_some(np.sort(drawn))

    def sums(self, vector: Vector) -> Vector:
        """Xᵀv (size,) of a vector over the borrowers."""
        return self._joined.sums(vector)

    def scores(self, weights: Vector, codes: Codes | None = None) -> Vector:
        """X·w: the partial score of every borrower (of this block's, or of `codes`)."""
        if codes is None:
            return self._joined.scores(weights)
        return JoinedCodes(codes, [term.bins for term in self.terms]).scores(weights)

    def penalty(self, smoothness: float, ridge: float, stretch: Vector | None = None) -> Penalty:
        """P: smoothness penalties and ridge at these strengths.

        `stretch` (size,) multiplies rows and columns: bins with noisier sums are held tighter.
        """
        matrices = []
        for index, term in enumerate(self.terms):
            matrix = term.strength * smoothness * term.penalty
            if term.shrunk:
                matrix = matrix + term.strength * ridge * np.eye(term.bins)
            if stretch is not None:
                tighter = stretch[self.offsets[index] : self.offsets[index + 1]]
                matrix = matrix * np.outer(tighter, tighter)
            matrices.append(matrix)
        return Penalty(tuple(matrices), self.offsets)

    def direction(self, gradient: Vector, bend: Vector, penalty: Penalty) -> Vector:
        """The Newton direction (XᵀHX + P)⁻¹·gradient, H = diag(bend), nearly.

        By conjugate gradients, preconditioned by the curvature within each term (Hestenes, Stiefel
        1952; Dembo, Eisenstat, Steihaug 1982 for how near): neither XᵀHX nor a factor of it is
        made, which for thousands of bins would be gigabytes.
        """
        drawn = bend[self._drawn]
        drawn = drawn * (float(bend.sum()) / max(float(drawn.sum()), 1e-300))
        # A hair of ridge keeps empty bins, and the intercept, solvable.
        hair = 1e-6 * self.borrowers / max(self.size, 1)
        within = self._sample.sums(drawn) + hair
        inverses: list[Vector] = [
            np.linalg.inv(matrix + np.diag(own)).astype(np.float64, copy=False)
            for matrix, own in zip(
                penalty.matrices, np.split(within, self.offsets[1:-1]), strict=False
            )
        ]
        precondition = Penalty(tuple(inverses), self.offsets).times

        def curved(vector: Vector) -> Vector:
            bent = self._sample.sums(drawn * self._sample.scores(vector))
            product: Vector = bent + penalty.times(vector) + hair * vector
            return product

        solution, residual = np.zeros(self.size), gradient
        searched = conditioned = precondition(gradient)
        squared = first = float(gradient @ conditioned)
        for _ in range(MOST_PRODUCTS):
            if squared <= FORCING**2 * first or squared <= 0:
                break
            product = curved(searched)
            length = squared / float(searched @ product)
            solution = solution + length * searched
            residual = residual - length * product
            conditioned = precondition(residual)
            before, squared = squared, float(residual @ conditioned)
            searched = conditioned + (squared / before) * searched
        return solution

    def fit(
        self,
        label_sums: Vector,
        offset: Vector | float,
        borrower_weights: Vector | float,
        penalty: Penalty,
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
            probability = sigmoid(scores)
            expected = borrower_weights * probability
            gradient = label_sums - self.sums(expected) - penalty.times(weights)
            direction = self.direction(gradient, expected * (1 - probability), penalty)
            moved = self.scores(direction)
            step = line_search(
                slope=-float(gradient @ direction),
                curvature=penalty.along(direction),
                scores=scores,
                direction=moved,
                borrower_weights=borrower_weights,
                flat=FLAT,
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
        matrix, omitted = without_fullest(self.codes, [term.bins for term in self.terms])
        return matrix, np.array(omitted, dtype=np.uint16)

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

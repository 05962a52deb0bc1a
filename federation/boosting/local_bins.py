"""Bins that lie at the label party: its own, or a partner's that were sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout
from federation.boosting.gradients import TreeGradients, split_pairs
from federation.boosting.growth import OpenNode, Sums, TreeGrowth
from federation.boosting.model_part import Split, split_bits
from federation.boosting.split_book import SplitBook
from federation.linear_maps.joined_codes import JoinedCodes

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Bits = npt.NDArray[np.bool_]


class LocalBins:
    """One party's bins of the borrowers of the fit and of the test.

    Args:
        layout: bins of its features.
        fit: codes (features, borrowers of the fit).
        test: codes (features, test borrowers).
        draw: gives the features that take part in a tree of this number; None: all of them.
    """

    def __init__(
        self,
        layout: BinLayout,
        fit: Codes,
        test: Codes,
        draw: Callable[[int], Sequence[int]] | None = None,
    ) -> None:
        """Join the codes of the fit, to sum over several features at once."""
        self.layout = layout
        self._draw = draw
        self.features: tuple[int, ...] = tuple(range(len(layout.features)))
        self._fit, self._test = fit, test
        self._bins = [feature.bins for feature in layout.features]
        self._joined = JoinedCodes(fit, self._bins)

    @property
    def borrowers(self) -> int:
        """n, of the fit."""
        return int(self._fit.shape[1])

    def codes_of(self, features: Sequence[int]) -> Codes:
        """Codes of some features (features, borrowers of the fit)."""
        codes: Codes = self._fit[list(features)]
        return codes

    def begin_tree(self, number: int) -> None:
        """Draw the features that take part."""
        if self._draw is not None:
            self.features = tuple(self._draw(number))

    def sums(self, nodes: Sequence[OpenNode], gradients: TreeGradients) -> list[Sums]:
        """Whole gradients and hessians over the bins of the tree's features, node by node."""
        found, cells = [], self.layout.cells_of(self.features)
        for node in nodes:
            some = self._joined.of_some(node.members)
            if gradients.pairs is None:
                gradient = gradients.whole_gradient[node.members].astype(np.float64)
                hessian = gradients.whole_hessian[node.members].astype(np.float64)
                found.append((some.sums(gradient)[cells], some.sums(hessian)[cells]))
            else:
                found.append(split_pairs(some.sums(gradients.pairs[node.members])[cells]))
        return found

    def bits(self, splits: Sequence[Split]) -> Bits:
        """Who goes left, of the borrowers of the fit (splits, n)."""
        return self._bits(splits, self._fit)

    def test_bits(self, splits: Sequence[Split]) -> Bits:
        """Who goes left, of the test borrowers."""
        return self._bits(splits, self._test)

    def split(self, growth: TreeGrowth, book: SplitBook, features: Sequence[int]) -> None:
        """Take a level of a tree down by its best splits, all of these features."""
        chosen = growth.choose()
        splits = [Split(features[one.split.feature], one.split.left) for one in chosen]
        new = book.missing(splits)
        book.add(new, self.bits(new))
        numbers = [book.number(split) for split in splits]
        growth.split(chosen, numbers, [book.bits(number) for number in numbers])

    def _bits(self, splits: Sequence[Split], codes: Codes) -> Bits:
        used = {split.feature: codes[split.feature] for split in splits}
        return split_bits(splits, used, self._bins, int(codes.shape[1]))

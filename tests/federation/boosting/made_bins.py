"""Small populations as bins, for tests of boosting on plaintext."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.boosting.alone import fit_alone
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.label_party import BoostedFit, Borrowers
from federation.boosting.local_bins import LocalBins
from federation.boosting.settings import BoostedSettings
from federation.boosting.trees import Forest

Vector = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
# Of the bank: ordered; ordered with a missing bin; categorical. Of the platform: ordered with two
# special bins; two ordered bins; one ordered bin beside a missing one.
LAYOUTS = {
    "bank": BinLayout((FeatureBins(7, 7), FeatureBins(6, 5), FeatureBins(4, 0))),
    "platform": BinLayout((FeatureBins(9, 7), FeatureBins(2, 2), FeatureBins(2, 1))),
}


@dataclass(frozen=True)
class Made:
    """Borrowers and their bins, those of the fit and of the test."""

    borrowers: Borrowers
    local: Mapping[str, LocalBins]
    codes: Mapping[str, npt.NDArray[np.uint8]]
    test_labels: Vector

    def fit(self, settings: BoostedSettings) -> BoostedFit:
        """Trees of these bins."""
        return fit_alone(self.borrowers, self.local, settings)

    def forest(self, fit: BoostedFit) -> Forest:
        """The trees, ready to score."""
        return Forest(fit.trees, {party: len(splits) for party, splits in fit.splits.items()})

    def bits(self, fit: BoostedFit, parties: Sequence[str] | None = None) -> dict[str, Bits]:
        """Bits of the borrowers of the fit."""
        names = self.local if parties is None else parties
        return {party: self.local[party].bits(fit.splits[party]) for party in names}

    def shuffled(self, seed: int) -> Made:
        """The same borrowers of the fit in another order, their places kept."""
        order = np.random.default_rng(seed).permutation(len(self.borrowers.labels))
        one = self.borrowers
        moved = Borrowers(one.labels[order], one.validation[order], one.places[order])
        codes = {party: own[:, order] for party, own in self.codes.items()}
        local = {
            party: LocalBins(bins.layout, codes[party], codes[party])
            for party, bins in self.local.items()
        }
        return Made(moved, local, codes, self.test_labels)


def made(
    count: int = 1200,
    seed: int = 3,
    layouts: Mapping[str, BinLayout] = LAYOUTS,
    held_out: float = 0.2,
) -> Made:
    """Borrowers whose default depends on the bins of all parties."""
    generator = np.random.default_rng(seed)
    odds = np.full(count, -1.8)
    codes: dict[str, npt.NDArray[np.uint8]] = {}
    for party, layout in layouts.items():
        own = []
        for feature in layout.features:
            code = generator.integers(0, feature.bins, count).astype(np.uint8)
            odds += generator.normal(scale=0.7, size=feature.bins)[code]
            own.append(code)
        codes[party] = np.stack(own) if own else np.zeros((0, count), np.uint8)
        if len(own) > 1:
            odds += 0.8 * ((own[0] > 3) ^ (own[1] > 0))
    labels = (generator.random(count) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    borrowers = Borrowers(labels, generator.random(count) < held_out, np.arange(count))
    local = {party: LocalBins(layouts[party], own, own) for party, own in codes.items()}
    return Made(borrowers, local, codes, labels)

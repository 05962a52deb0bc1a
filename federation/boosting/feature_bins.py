"""What boosting knows of a feature: how many bins, and which of them stand in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

# Special bins of an ordered feature: 'missing' and 'absent'. Each goes left or right by itself.
MOST_SPECIAL = 2


@dataclass(frozen=True)
class FeatureBins:
    """The bins of one feature, without what they hold.

    Attributes:
        bins: how many.
        ordered: the first so many stand in an order; 0 for a categorical feature.
    """

    bins: int
    ordered: int

    def __post_init__(self) -> None:
        """Refuse what no binning makes."""
        special = self.bins - self.ordered
        if self.bins < 2 or not 0 <= self.ordered <= self.bins:
            raise ValueError(f"{self.bins} bins of which {self.ordered} are ordered")
        if self.ordered and special > MOST_SPECIAL:
            raise ValueError(f"{special} special bins beside ordered ones, {MOST_SPECIAL} at most")


@dataclass(frozen=True)
class BinLayout:
    """Where each feature's bins lie among all cells of a histogram.

    Attributes:
        features: in order.
    """

    features: tuple[FeatureBins, ...]

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """First cell of every feature, and the number of all cells."""
        return np.concatenate([[0], np.cumsum([f.bins for f in self.features])]).astype(np.int64)

    @property
    def cells(self) -> int:
        """Bins of all features."""
        return int(self.offsets[-1])

    def of_some(self, features: Sequence[int]) -> BinLayout:
        """The layout of these features only."""
        return BinLayout(tuple(self.features[feature] for feature in features))

    def cells_of(self, features: Sequence[int]) -> npt.NDArray[np.int64]:
        """The cells of these features, one after the other."""
        ranges = [np.arange(self.offsets[f], self.offsets[f + 1]) for f in features]
        return np.concatenate([np.zeros(0, np.int64), *ranges])

"""A bank's rows in a horizontal run, cut into training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from federation.schema import FeatureColumn

TRAINING, VALIDATION, TEST = 0, 1, 2
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BankRows:
    """One bank's table.

    Attributes:
        columns: by name; n values each.
        labels: 1 for default, 0 for repaid (n,).
        parts: 0 training, 1 validation, 2 test (n,).
        notes: what a person should know of how they were read.
    """

    columns: Mapping[str, FeatureColumn]
    labels: Labels
    parts: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    def part(self, part: int) -> tuple[dict[str, FeatureColumn], Labels]:
        """The columns and labels of one part."""
        inside = self.parts == part
        columns = {
            name: replace(column, values=column.values[inside], present=column.present[inside])
            for name, column in self.columns.items()
        }
        return columns, self.labels[inside]

    def without_validation(self) -> BankRows:
        """The same rows, all of them to train on but the test rows."""
        parts = np.where(self.parts == VALIDATION, TRAINING, self.parts).astype(np.uint8)
        return replace(self, parts=parts)

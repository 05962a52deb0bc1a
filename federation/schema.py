"""What a feature is: its kind, unit, missing codes and range, and a column of its values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class FeatureKind(StrEnum):
    """How a feature's values are binned."""

    NUMERIC = "numeric"  # ordered; quantile bins
    CATEGORICAL = "categorical"  # unordered; a bin per frequent category, rare ones together


@dataclass(frozen=True)
class FeatureSpec:
    """One feature as its owner's manifest declares it.

    Attributes:
        name: the column's name at its owner; it never leaves the owner.
        kind: numeric (ordered) or categorical.
        unit: unit of the values ("NTD", "months", "1" for a pure number).
        missing_codes: values that mean 'missing' (compared as numbers for numeric features,
            as stripped text for categorical ones).
        minimum, maximum: allowed range of a numeric value that is not missing, or None.
        label: what the owner lets reports call the feature; None keeps it nameless outside.
        categories: the public vocabulary of a categorical feature, for models that all banks
            train together; a value that is not in it counts as 'other'. Empty: none is declared.
    """

    name: str
    kind: FeatureKind
    unit: str = "1"
    missing_codes: tuple[str | float, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    label: str | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureColumn:
    """A feature's values at its owner, one a borrower.

    `values` is float64 with NaN for missing (numeric), or an object array of str with None for
    missing (categorical). `present` is False where the owner does not know the borrower at all
    ('label-left' alignment); such rows fall into the 'absent' bin and their value is ignored.
    """

    spec: FeatureSpec
    values: npt.NDArray[Any]
    present: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that values and presence agree in length."""
        if self.values.shape != self.present.shape or self.values.ndim != 1:
            raise ValueError(
                f"feature '{self.spec.name}': {self.values.shape} values, "
                f"{self.present.shape} presence flags; both must be one number a borrower"
            )

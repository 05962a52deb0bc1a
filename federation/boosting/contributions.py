"""What each feature added to a boosted score: the own ones by name, a partner's by its splits.

The label party walks the trees, so only it can say what a split did to a borrower's score; what a
partner's split asks, only the partner can say. So the label party has its own features' shares by
name and one total a partner, and the shares by split number that it may send to a partner for
reasons in the partner's words.

Source: the changes of the expected score along a borrower's path (Saabas 2014, `treeinterpreter`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.boosting.model_part import BoostedPart, Split

Vector = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PathContributions:
    """Log-odds of some borrowers, taken apart; base, features and partners sum to the score.

    Attributes:
        base: what every borrower has before any split: the intercept and the roots' values.
        features: of the own features that some split asks about, by name (n,).
        partners: of all splits of each partner (n,).
        partner_splits: of each split of each partner, by its number (splits, n).
    """

    base: float
    features: Mapping[str, Vector]
    partners: Mapping[str, Vector]
    partner_splits: Mapping[str, Vector]

    @property
    def scores(self) -> Vector:
        """Log-odds (n,)."""
        shares = [*self.features.values(), *self.partners.values()]
        total: Vector = self.base + np.sum(shares, axis=0)
        return total


def path_contributions(part: BoostedPart, bits: Mapping[str, Bits]) -> PathContributions:
    """Take the scores of some borrowers apart.

    Args:
        part: the label party's.
        bits: of each party (splits, n), the own ones among them. A partner that is missing is
            averaged over, as in `Forest.scores`: its share says then what not knowing it moved.

    Raises:
        ValueError: the own bits are missing.
    """
    if part.party not in bits:
        raise ValueError(f"the bits of {part.party} itself are needed")
    forest = part.forest()
    by_split = forest.contributions(bits)
    theirs = {party: by_split[party] for party in part.partners}
    return PathContributions(
        part.intercept + forest.base,
        feature_contributions(part, by_split[part.party]),
        {party: rows.sum(axis=0) for party, rows in theirs.items()},
        theirs,
    )


def feature_contributions(part: BoostedPart, by_split: Vector) -> dict[str, Vector]:
    """Shares of a party's splits (splits, n) as shares of its features (n,), by name.

    For the owner of the splits: at a partner, its own part translates what the label party says of
    its splits' numbers.

    Raises:
        ValueError: they are of another number of splits.
    """
    if len(by_split) != len(part.splits):
        raise ValueError(f"shares of {len(by_split)} splits; {part.party} has {len(part.splits)}")
    return {
        part.binnings[feature].feature: by_split[rows].sum(axis=0)
        for feature, rows in _rows(part.splits).items()
    }


def _rows(splits: Sequence[Split]) -> dict[int, list[int]]:
    """Each feature's splits, features in their own order."""
    rows: dict[int, list[int]] = {}
    for place, split in enumerate(splits):
        rows.setdefault(split.feature, []).append(place)
    return dict(sorted(rows.items()))

"""How much each split of a boosted model moves scores, from what the trees hold: no row is needed.

A split that sends a borrower from a node to its child moves the expected log-odds by the difference
of their values (Saabas 2014). Its importance is the mean absolute move over the borrowers that
trained its tree, who are counted by the nodes' covers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.boosting.model_part import BoostedPart

Vector = npt.NDArray[np.float64]
MEASURE = (
    "mean absolute change of the log-odds by the feature's splits, over the borrowers that trained "
    "each tree"
)


def split_importances(part: BoostedPart) -> dict[str, Vector]:
    """Importance of every party's splits (splits,), in the order of their numbers.

    Args:
        part: the label party's, with the trees.
    """
    found = {party: np.zeros(count) for party, count in part.counts.items()}
    for tree in part.trees:
        nodes = tree.nodes
        for node in nodes:
            if node.is_leaf:
                continue
            for child in (nodes[node.left], nodes[node.right]):
                moved = child.cover * abs(child.value - node.value)
                found[node.party][node.split] += moved / max(nodes[0].cover, 1e-300)
    return found


def feature_importances(part: BoostedPart, of_splits: Vector) -> list[tuple[str, float]]:
    """Importance of a part's own features under their public labels, the most important first.

    Features without a split are left out; one without a public label goes by its own name.

    Args:
        part: the owner's, of any party.
        of_splits: of its splits, as `split_importances` of the label party's part gives them.
    """
    total: dict[int, float] = {}
    for split, importance in zip(part.splits, of_splits.tolist(), strict=True):
        total[split.feature] = total.get(split.feature, 0.0) + importance
    named = [
        (part.labels[feature] or part.binnings[feature].feature, importance)
        for feature, importance in total.items()
    ]
    return sorted(named, key=lambda pair: -pair[1])

"""A boosted model as XGBoost's JSON, for whoever serves or studies it there.

XGBoost asks features for their values, as 32-bit floats: values that are told from an edge by no
more than such a float's last place go left with it. It has one 'missing' (NaN) where a binning may
tell 'missing' from 'absent'. What it can't say is refused, and so are trees with partners' splits,
whose edges only partners know. `xgboost_import` reads the format.

Source: XGBoost's documentation, 'Introduction to Model IO' and the JSON schema there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.additive.logistic import sigmoid
from federation.binning import Binning
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.trees import Node, Tree
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind

Matrix = npt.NDArray[np.float64]
VERSION = [3, 0, 0]
NO_PARENT = 2**31 - 1
LARGEST = float(np.finfo(np.float32).max)  # every value that XGBoost takes is below it
# The base score is stored as a probability; between these 32 bits hold its log-odds well.
LEAST_BASE, MOST_BASE = 1e-6, 0.5


def to_xgboost(part: BoostedPart) -> str:
    """The label party's trees as a model that `xgboost.Booster` loads.

    Args:
        part: the label party's, whose trees ask splits of its own features only. Its features, in
            order, are the columns that `xgboost_columns` makes.

    Raises:
        InputError: a tree asks a partner's split, or a split can't be said in XGBoost's terms.
    """
    asked = {node.party for tree in part.trees for node in tree.nodes if not node.is_leaf}
    if others := sorted(asked - {part.party}):
        raise InputError(
            f"training '{part.training}': its trees ask splits of {', '.join(others)}, whose bins "
            f"{part.party} does not know; only trees over one party's own features can be exported"
        )
    if not part.trees:
        raise InputError(f"training '{part.training}': {part.party} holds no trees to export")
    splits = [_split(split, part.binnings[split.feature]) for split in part.splits]
    base = float(sigmoid(np.array([part.intercept]))[0])
    stored = np.float32(min(max(base, LEAST_BASE), MOST_BASE))
    # what 32 bits lose of the intercept goes into the leaves of the first tree
    rest = part.intercept - float(np.log(np.float64(stored) / (1.0 - np.float64(stored))))
    count = len(part.trees)
    model = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
        "iteration_indptr": list(range(count + 1)),
        "tree_info": [0] * count,
        "trees": [
            _tree(tree, number, part, splits, rest if number == 0 else 0.0)
            for number, tree in enumerate(part.trees)
        ],
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
    }
    learner = {
        "attributes": {},
        "feature_names": [binning.feature for binning in part.binnings],
        "feature_types": [
            "float" if binning.kind is FeatureKind.NUMERIC else "c" for binning in part.binnings
        ],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": repr(float(stored)),
            "boost_from_average": "1",
            "num_class": "0",
            "num_feature": str(len(part.binnings)),
            "num_target": "1",
        },
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return json.dumps({"learner": learner, "version": VERSION}, allow_nan=False)


def xgboost_columns(part: BoostedPart, columns: Sequence[FeatureColumn]) -> Matrix:
    """The values that an exported model takes (borrowers, features of the part).

    Numbers as they are, categories as the places of their bins, and NaN for missing or absent.

    Raises:
        InputError: a feature is not among the columns.
    """
    by_name = {column.spec.name: column for column in columns}
    found = []
    for binning in part.binnings:
        column = by_name.get(binning.feature)
        if column is None:
            raise InputError(f"the exported model needs the feature '{binning.feature}'")
        if binning.kind is FeatureKind.NUMERIC:
            found.append(np.where(column.present, column.values.astype(np.float64), np.nan))
            continue
        known = np.array([value is not None for value in column.values], dtype=np.bool_)
        codes = binning.assign(column).astype(np.float64)
        found.append(np.where(column.present & known, codes, np.nan))
    return np.stack(found, axis=1)


@dataclass(frozen=True)
class _XgboostSplit:
    """One split in XGBoost's terms; a category in `right` goes right, a value below `below` left.

    Attributes:
        feature: its column.
        below: the threshold of a numeric feature; None where categorical.
        right: categories, by the places of their bins.
        missing_left: where NaN goes.
    """

    feature: int
    below: float | None
    right: tuple[int, ...]
    missing_left: bool


def _split(split: Split, binning: Binning) -> _XgboostSplit:
    left = set(split.left)
    missing_left = binning.missing in left
    values = binning.ordered_bins or max(len(binning.categories), 1)
    # absent borrowers' own bin is the last; without one they are in the fullest, and nobody was
    own_absent = values <= binning.absent == binning.bins - 1
    if own_absent and (binning.absent in left) != missing_left:
        raise InputError(
            f"a split of '{binning.feature}' sends absent borrowers another way than missing "
            "values; XGBoost has one way for both, so it can't be exported"
        )
    if binning.kind is not FeatureKind.NUMERIC:
        # XGBoost wants some category to the right, if need be one that no value has
        places = {*range(len(binning.categories)), binning.other} - left or {binning.bins}
        return _XgboostSplit(split.feature, None, tuple(sorted(places)), missing_left)
    cut = sum(place in left for place in range(binning.ordered_bins))
    if not left.issuperset(range(cut)):
        raise InputError(
            f"a split of '{binning.feature}' sends bins {list(split.left)[:20]} left, which is no "
            "cut of an ordered feature; XGBoost has no such split, so it can't be exported"
        )
    return _XgboostSplit(split.feature, _threshold(binning, cut), (), missing_left)


def _threshold(binning: Binning, cut: int) -> float:
    """Values below it are in the first `cut` bins; as a 32-bit float, which XGBoost compares."""
    if cut == 0:
        return float(np.nextafter(np.float32(-LARGEST), np.float32(0)))
    if cut == binning.ordered_bins:
        return LARGEST
    # a bin holds its upper edge: everything up to the edge's 32-bit float goes left
    with np.errstate(over="ignore"):
        edge = np.float32(binning.edges[cut - 1])
    return float(np.clip(np.nextafter(edge, np.float32(np.inf)), -LARGEST, LARGEST))


def _tree(
    tree: Tree, number: int, part: BoostedPart, splits: Sequence[_XgboostSplit], added: float
) -> dict[str, Any]:
    nodes = tree.nodes
    count = len(nodes)
    parents = [NO_PARENT] * count
    categories: dict[str, list[int]] = {
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
    }
    for place, node in enumerate(nodes):
        if node.is_leaf:
            continue
        parents[node.left] = parents[node.right] = place
        split = splits[node.split]
        if split.below is None:
            categories["categories_nodes"].append(place)
            categories["categories_segments"].append(len(categories["categories"]))
            categories["categories_sizes"].append(len(split.right))
            categories["categories"] += split.right
    asked = [_asked(node, splits, added) for node in nodes]
    return {
        **{name: [one[name] for one in asked] for name in asked[0]},
        **categories,
        "id": number,
        "base_weights": [float(node.value) for node in nodes],
        "left_children": [node.left for node in nodes],
        "right_children": [node.right for node in nodes],
        "parents": parents,
        "loss_changes": [0.0] * count,
        "sum_hessian": [float(node.cover) for node in nodes],
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(len(part.binnings)),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }


def _asked(node: Node, splits: Sequence[_XgboostSplit], added: float) -> Mapping[str, Any]:
    if node.is_leaf:
        return {
            "default_left": 0,
            "split_conditions": float(node.value + added),
            "split_indices": 0,
            "split_type": 0,
        }
    split = splits[node.split]
    return {
        "default_left": int(split.missing_left),
        "split_conditions": 0.0 if split.below is None else split.below,
        "split_indices": split.feature,
        "split_type": int(split.below is None),
    }

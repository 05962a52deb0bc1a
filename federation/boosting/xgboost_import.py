"""XGBoost's JSON model over one party's numeric features, as a boosted model's part.

Every threshold that a tree uses becomes an edge, so that the part sends each value where XGBoost
sends it: XGBoost compares 32-bit floats, and an edge lies where rounding to 32 bits turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from federation.binning import Binning
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.trees import Node, Tree
from federation.boosting.xgboost_json import LARGEST
from federation.errors import InputError
from federation.schema import FeatureKind

MOST_EDGES = 60_000  # places of bins are 16-bit words
_LISTS = (
    "base_weights",
    "default_left",
    "left_children",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
)


def from_xgboost(
    content: Mapping[str, Any],
    party: str,
    session: str,
    training: str,
    where: str,
    names: Sequence[str] | None = None,
) -> BoostedPart:
    """A part that scores as XGBoost's model does, all of its trees included.

    Inner nodes get the mean of their children's values by hessian, as XGBoost's own approximate
    contributions have it; covers are sums of hessians.

    Args:
        content: the parsed JSON of a saved booster.
        party, session, training: of the part.
        where: names the file in errors.
        names: the features' names at the party, a column each; None takes the model's own.

    Raises:
        InputError: names `where` and what is damaged, or what a part can't hold: another booster or
            objective than binary:logistic by gbtree, several classes, categorical splits.
    """
    try:
        learner = content["learner"]
        intercept = _intercept(learner, where)
        named = list(names) if names is not None else list(learner.get("feature_names", []))
        trees = [_Read(tree, where, n) for n, tree in enumerate(_model(learner, where)["trees"])]
        return _part(trees, intercept, named, (party, session, training), where)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError) as error:
        raise InputError(
            f"{where}: not a model in XGBoost's JSON, or a damaged one ({error!r})"
        ) from error


def _model(learner: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise InputError(
            f"{where}: its booster is {booster['name']!r}; only 'gbtree' can be imported"
        )
    model: Mapping[str, Any] = booster["model"]
    return model


def _intercept(learner: Mapping[str, Any], where: str) -> float:
    objective = learner["objective"]["name"]
    if objective != "binary:logistic":
        raise InputError(
            f"{where}: its objective is {objective!r}; only 'binary:logistic' can be imported"
        )
    sizes = learner["learner_model_param"]
    if int(sizes.get("num_class", 0)) > 1 or int(sizes.get("num_target", 1)) > 1:
        raise InputError(f"{where}: it predicts several classes or targets; one score is right")
    # a number, since version 3.1 a list of one
    base = float(str(sizes["base_score"]).strip("[]"))
    if not 0 < base < 1:
        raise ValueError(f"base_score {base}")
    return float(np.log(base / (1 - base)))


class _Read:
    """One tree of the file, by node: lists of equal lengths, checked as far as they are used."""

    def __init__(self, tree: Mapping[str, Any], where: str, number: int) -> None:
        self.where = f"{where}: tree {number}"
        lists = {name: list(tree[name]) for name in _LISTS}
        if len({len(values) for values in lists.values()}) != 1:
            raise InputError(f"{self.where}: its lists are not one entry a node")
        if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise InputError(f"{self.where}: its leaves hold several values; one is right")
        self.left, self.right = lists["left_children"], lists["right_children"]
        self.feature = lists["split_indices"]
        self.condition = [float(value) for value in lists["split_conditions"]]
        self.hessian = [float(value) for value in lists["sum_hessian"]]
        self.missing_left = [bool(value) for value in lists["default_left"]]
        # pruned nodes stay in the lists: only what the root leads to counts, parents first
        self.order = [0]
        for place in self.order:
            if self.left[place] < 0:
                continue
            if lists["split_type"][place]:
                raise InputError(
                    f"{self.where}: node {place} splits a categorical feature; only numeric "
                    "features can be imported"
                )
            for child in (self.left[place], self.right[place]):
                if not 0 < child < len(self.left) or len(self.order) >= len(self.left):
                    raise InputError(f"{self.where}: node {place} has no child {child}")
                self.order.append(child)

    @property
    def inner(self) -> list[int]:
        """Nodes that split."""
        return [place for place in self.order if self.left[place] >= 0]


def _edge(threshold: float) -> float:
    """The largest 64-bit value that is below a threshold once it is a 32-bit float."""
    if not abs(threshold) <= LARGEST:
        raise ValueError(f"threshold {threshold}")
    above = np.float32(threshold)
    below = np.nextafter(above, np.float32(-np.inf))
    middle = (float(above) + float(below)) / 2
    # halfway, rounding goes to the even one of the two
    if np.float32(middle) < above:
        return middle
    return float(np.nextafter(middle, -np.inf))


def _part(
    trees: Sequence[_Read],
    intercept: float,
    names: Sequence[str],
    ids: tuple[str, str, str],
    where: str,
) -> BoostedPart:
    edges: dict[int, set[float]] = {}
    for tree in trees:
        for place in tree.inner:
            feature = int(tree.feature[place])
            if not 0 <= feature < len(names):
                raise InputError(
                    f"{tree.where}: node {place} asks feature {feature}, and {len(names)} have "
                    "names; name every column"
                )
            edges.setdefault(feature, set()).add(_edge(tree.condition[place]))
    if crowded := [names[f] for f, values in edges.items() if len(values) > MOST_EDGES]:
        raise InputError(f"{where}: over {MOST_EDGES:,} thresholds of '{crowded[0]}' are too many")
    used = {feature: place for place, feature in enumerate(sorted(edges))}
    binnings = tuple(_binning(names[feature], edges[feature]) for feature in used)
    cuts = [{edge: at for at, edge in enumerate(binning.edges)} for binning in binnings]
    splits: dict[Split, int] = {}
    grown = []
    for tree in trees:
        asked: dict[int, int] = {}
        for place in tree.inner:
            feature = used[int(tree.feature[place])]
            missing = (binnings[feature].missing,) if tree.missing_left[place] else ()
            cut = cuts[feature][_edge(tree.condition[place])]
            split = Split(feature, tuple(chain(range(cut + 1), missing)))
            asked[place] = splits.setdefault(split, len(splits))
        grown.append(_tree(tree, asked, ids[0]))
        grown[-1].check({ids[0]: len(splits)}, tree.where)
    party, session, training = ids
    return BoostedPart(
        party=party,
        session=session,
        training=training,
        binnings=binnings,
        labels=(None,) * len(binnings),
        splits=tuple(splits),
        intercept=intercept,
        trees=tuple(grown),
    )


def _binning(name: str, edges: set[float]) -> Binning:
    """Every interval a bin, and one for missing values; nobody is absent at the own party."""
    ordered = len(edges) + 1
    return Binning(
        feature=str(name),
        kind=FeatureKind.NUMERIC,
        edges=tuple(sorted(edges)),
        categories=(),
        other=0,
        missing=ordered,
        absent=ordered,
        bins=ordered + 1,
    )


def _tree(tree: _Read, asked: Mapping[int, int], party: str) -> Tree:
    """Nodes in a new order without the pruned ones, inner values from the leaves up."""
    places = {old: new for new, old in enumerate(tree.order)}
    nodes: list[Node] = []
    for old in reversed(tree.order):
        cover = tree.hessian[old]
        if old not in asked:
            nodes.append(Node(tree.condition[old], cover))
            continue
        # nodes were made from the last on: a child's place counts from there
        children = places[tree.left[old]], places[tree.right[old]]
        left, right = (nodes[len(tree.order) - 1 - child] for child in children)
        weight = left.cover + right.cover
        share = left.cover / weight if weight > 0 else 0.5
        value = share * left.value + (1 - share) * right.value
        nodes.append(Node(value, cover, party, asked[old], *children))
    return Tree(tuple(reversed(nodes)))

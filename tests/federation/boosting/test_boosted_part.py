"""A boosted model's part: its bits, its file, and damage that is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.binning import fit_binning
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.trees import Node, Tree
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

COUNT = 600


def table() -> list[FeatureColumn]:
    """A numeric column with missing values and a categorical one, some borrowers absent."""
    generator = np.random.default_rng(1)
    amounts = generator.lognormal(size=COUNT)
    amounts[::7] = np.nan
    regions = np.array([f"région {int(v)}" for v in generator.geometric(0.4, COUNT)], dtype=object)
    regions[::11] = None
    present = generator.random(COUNT) > 0.2
    return [
        FeatureColumn(FeatureSpec("amount", FeatureKind.NUMERIC), amounts, present),
        FeatureColumn(FeatureSpec("region", FeatureKind.CATEGORICAL), regions, present),
    ]


def label_part() -> BoostedPart:
    """A label party's part over that table, with one partner."""
    everybody = np.ones(COUNT, np.bool_)
    return BoostedPart(
        party="bank",
        session="s1",
        training="boosted",
        binnings=tuple(fit_binning(column, everybody, 6, 20) for column in table()),
        labels=("Order volume", None),
        splits=(Split(0, (0, 1, 6)), Split(1, (1, 2))),
        intercept=-1.25,
        trees=(
            Tree(
                (
                    Node(0.1, 600.0, "bank", 0, 1, 2),
                    Node(-0.4, 250.0, "platform", 2, 3, 4),
                    Node(0.3, 350.0),
                    Node(-0.9, 100.0),
                    Node(0.2, 150.0),
                )
            ),
            Tree((Node(0.0, 600.0, "bank", 1, 1, 2), Node(0.1, 200.0), Node(-0.1, 400.0))),
        ),
        split_counts={"platform": 3},
    )


PART = label_part()
CONTENT: dict[str, Any] = json.loads(PART.to_json())


def test_bits_say_who_is_in_the_bins_that_go_left() -> None:
    """Missing, absent and unseen values go where the binning sends them."""
    bits = PART.bits(table())
    for split, row in zip(PART.splits, bits, strict=True):
        codes = PART.binnings[split.feature].assign(table()[split.feature])
        np.testing.assert_array_equal(row, np.isin(codes, split.left))
        assert 0.05 < row.mean() < 0.95
    unseen = FeatureColumn(
        FeatureSpec("region", FeatureKind.CATEGORICAL), np.array(["Mars"], object), np.ones(1, bool)
    )
    amount = FeatureColumn(
        FeatureSpec("amount", FeatureKind.NUMERIC), np.zeros(1), np.ones(1, bool)
    )
    other = PART.binnings[1].other
    assert PART.bits([unseen, amount])[1, 0] == (other in PART.splits[1].left)


def test_a_feature_that_is_not_there_is_named() -> None:
    """With those that are; a feature that no split asks may be missing."""
    with pytest.raises(InputError, match="of bank needs the feature 'region', .*; it has: amount"):
        PART.bits(table()[:1])
    replace(PART, splits=PART.splits[:1]).bits(table()[:1])


def test_a_part_survives_its_file() -> None:
    """The same part, the same digest; a partner's too."""
    assert BoostedPart.from_json(CONTENT, "f") == PART
    assert BoostedPart.from_json(CONTENT, "f").digest == PART.digest
    theirs = replace(PART, party="platform", intercept=0.0, trees=(), split_counts={})
    assert BoostedPart.from_json(json.loads(theirs.to_json()), "f") == theirs
    assert PART.counts == {"bank": 2, "platform": 3}
    assert PART.partners == ("platform",)


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """The stored part with one value changed."""
    content = json.loads(PART.to_json())
    at: Any = content
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return dict(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "not a boosted model part"),
        ({}, "not a boosted model part"),
        (changed("format", to="x"), "not a boosted model part"),
        (changed("labels", to=[None]), "binnings and labels must be one a feature"),
        (changed("labels", to=[None, 5]), "a label must be a text or null"),
        (changed("intercept", to=float("inf")), "the intercept a finite number"),
        (changed("split_counts", to={"bank": 9}), "of other parties than bank"),
        (changed("split_counts", to={"platform": -1}), "split_counts must be from 0 up"),
        (changed("splits", 0, "feature", to=2), "split 0 is of feature 2, unknown"),
        (changed("splits", 0, "feature", to=0.5), "damaged .*0.5 is not a whole number"),
        (changed("splits", 0, "left", to=[]), r"split 0 sends bins \[\] of 8 left"),
        (changed("splits", 0, "left", to=[1, 0]), r"split 0 sends bins \[1, 0\] of 8 left"),
        (changed("splits", 0, "left", to=list(range(8))), "split 0 sends bins"),
        (changed("splits", 0, "left", to=[8]), r"split 0 sends bins \[8\] of 8 left"),
        (changed("binnings", 0, "missing", to=99), "feature 'amount' has values in bins beyond"),
        (changed("binnings", 0, "edges", 1, to=-5), "'amount' has edges that are not finite and"),
        (changed("binnings", 0, "edges", 1, to=float("nan")), "'amount' has edges that are not"),
        (changed("trees", 0, "nodes", 0, "split", to=7), "tree 0: node 0 asks split 7 of 'bank'"),
        (changed("trees", 1, "nodes", 0, "left", to=0), "tree 1: node 0 has no child 0 after it"),
        (changed("trees", 1, "nodes", to=None), "the model part is damaged"),
        (changed("trees", 1, "nodes", 2, "value", to="x"), "the model part is damaged"),
    ],
)
def test_damage_is_named(content: Any, sentence: str) -> None:
    """In one sentence that names the file."""
    with pytest.raises(InputError, match=rf"^model\.json: .*{sentence}"):
        BoostedPart.from_json(content, "model.json")


def paths(value: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in the stored part."""
    found = [before] if before else []
    if isinstance(value, dict):
        found += [path for key, inner in value.items() for path in paths(inner, (*before, key))]
    if isinstance(value, list):
        found += [path for at, inner in enumerate(value) for path in paths(inner, (*before, at))]
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(paths(CONTENT)), JSON)
def test_any_other_value_is_refused_or_makes_a_part_that_works(
    path: tuple[str | int, ...], value: object
) -> None:
    """A part that is taken survives its file once more, gives bits and has a forest."""
    try:
        part = BoostedPart.from_json(changed(*path, to=value), "model.json")
    except InputError:
        return
    assert BoostedPart.from_json(json.loads(part.to_json()), "f") == part
    part.forest()
    if path[0] != "binnings":
        assert part.bits(table()).shape == (len(part.splits), COUNT)


@settings(deadline=None)
@given(st.sampled_from([path for path in paths(CONTENT) if isinstance(path[-1], str)]))
def test_a_value_that_is_not_there_is_refused(path: tuple[str | int, ...]) -> None:
    """Whichever."""
    content = json.loads(PART.to_json())
    at: Any = content
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    if path[:-1] == ("split_counts",):
        content["split_counts"] = {}
    with pytest.raises(InputError, match=r"^model\.json: "):
        BoostedPart.from_json(content, "model.json")

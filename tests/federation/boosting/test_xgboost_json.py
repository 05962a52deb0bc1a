"""Models to and from XGBoost's JSON: it predicts what the part predicts, both ways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.binning import Binning, fit_binning
from federation.boosting.alone import fit_alone
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.label_party import Borrowers
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.settings import BoostedSettings
from federation.boosting.trees import Node, Tree
from federation.boosting.xgboost_import import from_xgboost
from federation.boosting.xgboost_json import to_xgboost, xgboost_columns
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from simulations.uci import load_uci

Vector = npt.NDArray[np.float64]
IDS = ("bank", "s1", "boosted")


def column(name: str, values: npt.NDArray[Any], present: Any = True) -> FeatureColumn:
    """Numbers, or texts and None."""
    kind = FeatureKind.CATEGORICAL if values.dtype == object else FeatureKind.NUMERIC
    there = np.broadcast_to(np.asarray(present), values.shape).copy()
    return FeatureColumn(FeatureSpec(name, kind), values, there)


def uci() -> tuple[list[FeatureColumn], Vector]:
    """Real columns: amounts with gaps made in one of them, and marital status as a category."""
    data = load_uci()
    generator = np.random.default_rng(5)
    columns = []
    for name in ("LIMIT_BAL", "AGE", "PAY_0", "BILL_AMT1", "PAY_AMT1"):
        values = data.columns[name].astype(np.float64)
        if name == "PAY_0":
            values[generator.random(len(values)) < 0.1] = np.nan
        columns.append(column(name, values))
    status = np.array([str(value) for value in data.columns["MARRIAGE"]], dtype=object)
    status[generator.random(len(status)) < 0.05] = None
    columns.append(column("MARRIAGE", status))
    return columns, data.label.astype(np.float64)


@pytest.fixture(scope="module")
def real() -> tuple[list[FeatureColumn], Vector]:
    """Loaded once."""
    return uci()


def trained(columns: Sequence[FeatureColumn], labels: Vector, **changed: Any) -> BoostedPart:
    """A party's trees over its own columns."""
    everybody = np.ones(len(labels), dtype=bool)
    binnings = tuple(fit_binning(one, everybody, 16, 200) for one in columns)
    layout = BinLayout(tuple(FeatureBins(b.bins, b.ordered_bins) for b in binnings))
    codes = np.stack(
        [binning.assign(one) for binning, one in zip(binnings, columns, strict=True)]
    ).astype(np.uint8)
    fit = fit_alone(
        Borrowers(labels, ~everybody, np.arange(len(labels))),
        {"bank": LocalBins(layout, codes, codes)},
        BoostedSettings(**({"trees": 20, "min_borrowers": 50} | changed)),
    )
    party, session, training = IDS
    return BoostedPart(
        party=party,
        session=session,
        training=training,
        binnings=binnings,
        labels=(None,) * len(binnings),
        splits=fit.splits["bank"],
        intercept=fit.intercept,
        trees=fit.trees,
    )


@pytest.fixture(scope="module")
def part(real: tuple[list[FeatureColumn], Vector]) -> BoostedPart:
    """Trees over all of these columns."""
    return trained(*real)


def scored(part: BoostedPart, columns: Sequence[FeatureColumn]) -> Vector:
    """Log-odds by the part."""
    return part.intercept + part.forest().scores({part.party: part.bits(columns)})


def loaded(text: str) -> xgboost.Booster:
    """XGBoost's own reading."""
    return xgboost.Booster({"nthread": 1}, model_file=bytearray(text, "utf-8"))


def predicted(booster: xgboost.Booster, x: Vector) -> Vector:
    """Log-odds by XGBoost."""
    matrix = xgboost.DMatrix(
        x,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
    )
    scores: Vector = booster.predict(matrix, output_margin=True).astype(np.float64)
    return scores


def test_xgboost_predicts_what_the_exported_part_does(
    part: BoostedPart, real: tuple[list[FeatureColumn], Vector]
) -> None:
    """Real columns, missing values and categories among them; every borrower within 1e-6."""
    columns, _ = real
    kinds = {part.binnings[split.feature].kind for split in part.splits}
    assert kinds == set(FeatureKind)
    theirs = predicted(loaded(to_xgboost(part)), xgboost_columns(part, columns))
    np.testing.assert_allclose(theirs, scored(part, columns), rtol=0, atol=1e-6)
    assert theirs.std() > 0.5


@pytest.mark.parametrize("intercept", [-11.0, 0.0, 3.5, 14.0])
def test_any_intercept_survives(
    part: BoostedPart, real: tuple[list[FeatureColumn], Vector], intercept: float
) -> None:
    """Where 32 bits of a probability would not do."""
    moved = replace(part, intercept=intercept)
    columns = [column(c.spec.name, c.values[:500]) for c in real[0]]
    theirs = predicted(loaded(to_xgboost(moved)), xgboost_columns(part, columns))
    np.testing.assert_allclose(theirs, scored(moved, columns), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("method", ["hist", "exact"])
def test_an_imported_model_scores_as_xgboost_does(
    real: tuple[list[FeatureColumn], Vector], method: str
) -> None:
    """Trained by XGBoost on real columns with gaps; and once more out and in."""
    columns, labels = real[0][:5], real[1]
    x = np.stack([one.values for one in columns], axis=1)
    names = [one.spec.name for one in columns]
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 5,
        "eta": 0.2,
        "gamma": 2.0,
        "tree_method": method,
        "nthread": 1,
    }
    booster = xgboost.train(
        parameters, xgboost.DMatrix(x, label=labels, feature_names=names), num_boost_round=25
    )
    text = booster.save_raw("json").decode()
    part = from_xgboost(json.loads(text), *IDS, "model.json")
    np.testing.assert_allclose(scored(part, columns), predicted(booster, x), rtol=0, atol=2e-6)
    assert BoostedPart.from_json(json.loads(part.to_json()), "f") == part
    again = from_xgboost(json.loads(to_xgboost(part)), *IDS, "again.json")
    assert again.binnings == part.binnings
    assert again.splits == part.splits
    np.testing.assert_allclose(scored(again, columns), scored(part, columns), atol=1e-6)


def test_contributions_of_an_imported_model_are_xgboosts(
    real: tuple[list[FeatureColumn], Vector],
) -> None:
    """XGBoost calls them approximate: by feature, they are changes along the path."""
    columns, labels = real[0][:5], real[1]
    x = np.stack([one.values for one in columns], axis=1)[:3000]
    matrix = xgboost.DMatrix(x, label=labels[:3000], feature_names=[c.spec.name for c in columns])
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "nthread": 1}, matrix, 10
    )
    part = from_xgboost(json.loads(booster.save_raw("json")), *IDS, "f")
    some = [column(c.spec.name, c.values[:3000]) for c in columns]
    by_split = part.forest().contributions({"bank": part.bits(some)})["bank"]
    theirs = booster.predict(matrix, pred_contribs=True, approx_contribs=True)
    for place, binning in enumerate(part.binnings):
        mine = [at for at, split in enumerate(part.splits) if split.feature == place]
        at = [c.spec.name for c in columns].index(binning.feature)
        np.testing.assert_allclose(by_split[mine].sum(axis=0), theirs[:, at], atol=1e-5)
    assert part.intercept + part.forest().base == pytest.approx(float(theirs[0, -1]), abs=1e-5)


def stump(threshold: float) -> dict[str, Any]:
    """XGBoost's JSON of one split of one feature."""
    part = BoostedPart(
        *IDS,
        binnings=(Binning("x", FeatureKind.NUMERIC, (0.0,), (), 0, 0, 0, 2),),
        labels=(None,),
        splits=(Split(0, (0,)),),
        trees=(Tree((Node(0.0, 2, "bank", 0, 1, 2), Node(1.0, 1), Node(-1.0, 1))),),
    )
    content: dict[str, Any] = json.loads(to_xgboost(part))
    tree = content["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["split_conditions"][0] = threshold
    return content


@settings(max_examples=300, deadline=None)
@given(
    st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100),
    st.sampled_from(["half below", "half above", "ends"]),
    st.integers(-3, 3),
)
def test_an_edge_lies_where_rounding_to_32_bits_turns(
    threshold: float, at: str, steps: int
) -> None:
    """Values a few 64-bit steps from the threshold, its neighbour, and from halfway between."""
    own = np.float32(threshold)
    below, above = (np.nextafter(own, np.float32(end)) for end in (-np.inf, np.inf))
    value = float(own)
    if at != "ends":
        value = (value + float(below if at == "half below" else above)) / 2
    for _ in range(abs(steps)):
        value = float(np.nextafter(value, np.inf * steps))
    part = from_xgboost(stump(threshold), *IDS, "f")
    goes_left = bool(part.bits([column("x", np.array([value]))])[0, 0])
    assert goes_left == bool(np.float32(value) < own)


def test_missing_against_all_others_can_be_said_both_ways() -> None:
    """A split of no value at all: only NaN goes another way."""
    binning = Binning("x", FeatureKind.NUMERIC, (1.0, 2.0), (), 0, 3, 3, 4)
    tree = Tree((Node(0.0, 2, "bank", 0, 1, 2), Node(1.0, 1), Node(-1.0, 1)))
    values = column("x", np.array([-3e38, 0.0, 1.0, 1.5, 2.0, 9e9, np.nan]))
    for left in ((0, 1, 2), (3,), (0, 1), (0, 3)):
        part = BoostedPart(
            *IDS, binnings=(binning,), labels=(None,), splits=(Split(0, left),), trees=(tree,)
        )
        text = to_xgboost(part)
        expected = scored(part, [values])
        assert expected.std() > 0
        found = predicted(loaded(text), xgboost_columns(part, [values]))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        again = from_xgboost(json.loads(text), *IDS, "f")
        np.testing.assert_allclose(scored(again, [values]), expected, atol=1e-6)


def test_categories_that_all_go_one_way_but_for_missing() -> None:
    """An empty set of categories to the right, or all of them."""
    binning = Binning("c", FeatureKind.CATEGORICAL, (), ("a", "b"), 2, 3, 3, 4)
    tree = Tree((Node(0.0, 2, "bank", 0, 1, 2), Node(1.0, 1), Node(-1.0, 1)))
    values = column("c", np.array(["a", "b", "unseen", None], dtype=object))
    for left in ((0, 1, 2), (3,), (0,), (1, 3), (2,)):
        part = BoostedPart(
            *IDS, binnings=(binning,), labels=(None,), splits=(Split(0, left),), trees=(tree,)
        )
        found = predicted(loaded(to_xgboost(part)), xgboost_columns(part, [values]))
        np.testing.assert_allclose(found, scored(part, [values]), atol=1e-6)


def test_what_xgboost_cannot_say_is_refused(part: BoostedPart) -> None:
    """A partner's splits, absent borrowers' own way, bins that are no cut, no trees."""
    partner = Tree((replace(part.trees[0].nodes[0], party="platform"), *part.trees[0].nodes[1:]))
    theirs = replace(part, trees=(partner,), split_counts={"platform": 99})
    with pytest.raises(InputError, match="its trees ask splits of platform, whose bins bank does"):
        to_xgboost(theirs)
    with pytest.raises(InputError, match="bank holds no trees to export"):
        to_xgboost(replace(part, trees=()))
    binning = Binning("x", FeatureKind.NUMERIC, (1.0, 2.0), (), 0, 3, 4, 5)
    tree = Tree((Node(0.0, 2, "bank", 0, 1, 2), Node(1.0, 1), Node(-1.0, 1)))
    one = BoostedPart(*IDS, binnings=(binning,), labels=(None,), splits=(), trees=(tree,))
    with pytest.raises(InputError, match="'x' sends absent borrowers another way than missing"):
        to_xgboost(replace(one, splits=(Split(0, (0, 3)),)))
    to_xgboost(replace(one, splits=(Split(0, (0, 3, 4)),)))
    with pytest.raises(InputError, match=r"'x' sends bins \[1\] left, which is no cut"):
        to_xgboost(replace(one, splits=(Split(0, (1,)),)))
    with pytest.raises(InputError, match="needs the feature 'x'"):
        xgboost_columns(one, [column("y", np.zeros(3))])


def test_borrowers_who_were_never_absent_do_not_matter(part: BoostedPart) -> None:
    """Their place is the fullest bin, for want of another: that is no way of its own."""
    assert any(
        binning.absent != binning.missing and binning.absent < binning.ordered_bins
        for binning in part.binnings
    )
    to_xgboost(part)


def learner(**changed: Any) -> dict[str, Any]:
    """A stored model with parts of its learner changed."""
    content = stump(0.5)
    for name, value in changed.items():
        content["learner"][name] = value
    return content


def tree_of(**changed: Any) -> dict[str, Any]:
    """A stored model with parts of its tree changed."""
    content = stump(0.5)
    content["learner"]["gradient_booster"]["model"]["trees"][0] |= changed
    return content


SIZES = {"base_score": "5E-1", "num_class": "0", "num_feature": "1", "num_target": "1"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "not a model in XGBoost's JSON"),
        ([], "not a model in XGBoost's JSON"),
        (learner(objective={"name": "reg:squarederror"}), "only 'binary:logistic' can be"),
        (learner(gradient_booster={"name": "dart"}), "its booster is 'dart'; only 'gbtree'"),
        (learner(learner_model_param=SIZES | {"num_class": "3"}), "several classes or targets"),
        (learner(learner_model_param=SIZES | {"base_score": "1"}), "or a damaged one"),
        (learner(feature_names=[]), "tree 0: node 0 asks feature 0, and 0 have names"),
        (tree_of(split_type=[1, 0, 0]), "tree 0: node 0 splits a categorical feature"),
        (tree_of(left_children=[7, -1, -1]), "tree 0: node 0 has no child 7"),
        (tree_of(left_children=[0, -1, -1]), "tree 0: node 0 has no child 0"),
        (tree_of(left_children=[2, -1, -1]), "tree 0: its nodes do not make one tree"),
        (tree_of(left_children=[1, 1, -1]), "tree 0: node 1 has no child"),
        (tree_of(left_children=[1, -1]), "tree 0: its lists are not one entry a node"),
        (tree_of(split_conditions=[1e39, 1, 1]), "or a damaged one"),
        (tree_of(split_conditions=[0, float("nan"), 1]), "node 0 has a value that is not finite"),
        (tree_of(tree_param={"size_leaf_vector": "2"}), "its leaves hold several values"),
    ],
)
def test_what_is_no_such_model_is_refused(content: Any, sentence: str) -> None:
    """In one sentence that names the file."""
    with pytest.raises(InputError, match=rf"^model\.json: .*{sentence}"):
        from_xgboost(content, *IDS, "model.json")


def paths(value: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a stored model."""
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
@given(st.sampled_from(paths(stump(0.5))), JSON)
def test_any_other_value_is_refused_or_makes_a_part(
    path: tuple[str | int, ...], value: object
) -> None:
    """Nothing but an InputError; what is taken survives its own file."""
    content = stump(0.5)
    at: Any = content
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    try:
        part = from_xgboost(content, *IDS, "model.json")
    except InputError:
        return
    assert BoostedPart.from_json(json.loads(part.to_json()), "f") == part

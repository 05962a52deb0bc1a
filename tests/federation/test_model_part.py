"""A model part: it scores as its weights say, survives its file, and damage is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.additive.model_part import ModelPart
from federation.binning import fit_binning
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


def model_part() -> ModelPart:
    """A part over that table with random weights."""
    generator = np.random.default_rng(2)
    everybody = np.ones(COUNT, np.bool_)
    binnings = tuple(fit_binning(column, everybody, 6, 20) for column in table())
    shares = []
    for binning, column in zip(binnings, table(), strict=True):
        counts = np.bincount(binning.assign(column), minlength=binning.bins)
        shares.append(tuple((counts / COUNT).tolist()))
    return ModelPart(
        party="platform",
        session="s1",
        training="exact",
        intercept=-1.25,
        binnings=binnings,
        labels=("Order volume", None),
        weights=tuple(tuple(generator.normal(size=b.bins).tolist()) for b in binnings),
        shares=tuple(shares),
    )


PART = model_part()
CONTENT: dict[str, Any] = json.loads(PART.to_json())


def test_scores_are_the_intercept_plus_one_weight_a_feature() -> None:
    """Borrower by borrower, by hand; columns may come in any order and be more than needed."""
    columns = table()
    scores = PART.partial_scores(columns)
    for row in range(0, COUNT, 37):
        by_hand = -1.25 + sum(
            weights[int(binning.assign(column)[row])]
            for binning, weights, column in zip(PART.binnings, PART.weights, columns, strict=True)
        )
        assert scores[row] == pytest.approx(by_hand)
    spare = replace(columns[0], spec=FeatureSpec("spare", FeatureKind.NUMERIC))
    np.testing.assert_array_equal(PART.partial_scores([spare, *reversed(columns)]), scores)


def test_a_missing_feature_is_named() -> None:
    """The table's features are listed."""
    with pytest.raises(InputError, match=r"platform needs the feature 'region', .* it has: amount"):
        PART.partial_scores(table()[:1])


def test_a_part_survives_its_file() -> None:
    """Every number to the last bit, the digest too; other weights have another digest."""
    again = ModelPart.from_json(json.loads(PART.to_json()), "model.json")
    assert again == PART
    assert again.digest == PART.digest
    assert replace(PART, intercept=-1.2500000001).digest != PART.digest
    np.testing.assert_array_equal(again.partial_scores(table()), PART.partial_scores(table()))


def test_shapes_are_for_the_owner_to_read_most_important_first() -> None:
    """Bin labels, log-odds and shares; importance is the mean absolute deviation."""
    shapes = PART.shape_functions()
    assert {shape.feature for shape in shapes} == {"amount", "region"}
    assert shapes[0].importance >= shapes[1].importance
    for shape in shapes:
        assert len(shape.bin_labels) == len(shape.log_odds) == len(shape.shares)
        mean = sum(w * s for w, s in zip(shape.log_odds, shape.shares, strict=True))
        deviation = sum(
            abs(w - mean) * s for w, s in zip(shape.log_odds, shape.shares, strict=True)
        )
        assert shape.importance == pytest.approx(deviation)
        assert sum(shape.shares) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "pickle"}, "not an additive model part; its format must be"),
        ({"weights": CONTENT["weights"][:1]}, "must be one a feature"),
        ({"labels": []}, "must be one a feature"),
        ({"intercept": float("nan")}, "the intercept a finite number"),
        ({"intercept": "much"}, "the model part is damaged"),
        ({"binnings": None}, "the model part is damaged"),
        ({"binnings": [{}, {}]}, "the model part is damaged"),
        ({"weights": [[0.0], CONTENT["weights"][1]]}, "feature 'amount' has 1 weights for"),
        (
            {"weights": [[float("inf")] * PART.binnings[0].bins, CONTENT["weights"][1]]},
            "or one that is not finite",
        ),
    ],
)
def test_damage_is_refused_with_the_files_name(changes: dict[str, Any], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(InputError, match=f"model.json: .*{sentence}"):
        ModelPart.from_json(CONTENT | changes, "model.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [("missing", 99), ("other", -1), ("bins", 2), ("edges", list(range(40))), ("bins", 1e400)],
)
def test_a_binning_that_points_beyond_its_bins_is_refused(name: str, value: object) -> None:
    """It would score borrowers by another feature's weights, or fail much later."""
    binnings = [dict(CONTENT["binnings"][0]) | {name: value}, CONTENT["binnings"][1]]
    with pytest.raises(InputError, match=r"model.json: .*(beyond its|damaged|weights for)"):
        ModelPart.from_json(CONTENT | {"binnings": binnings}, "model.json")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(CONTENT)),
    SCALARS | st.lists(SCALARS | st.lists(SCALARS, max_size=3), max_size=3),
)
def test_any_field_overwritten_is_refused_or_still_scores(name: str, value: object) -> None:
    """No other error than the one sentence, now or when scoring."""
    try:
        part = ModelPart.from_json(CONTENT | {name: value}, "model.json")
    except InputError:
        return
    assert np.isfinite(part.partial_scores(table())).all()

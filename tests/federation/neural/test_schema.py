"""Agreed inputs: what may not be agreed on, and that one schema has one digest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from federation.neural.schema import (
    CategoricalInput,
    InputSchema,
    NumericInput,
    SequenceInput,
)
from tests.federation.neural.tables import SCHEMA, borrowers, categorical

_bounds = st.tuples(st.floats(-1e12, 1e12), st.floats(0, 1e12)).map(lambda p: (p[0], p[0] + p[1]))
_names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True)


@given(_names, st.lists(_bounds, min_size=6, max_size=6), _names)
def test_a_schema_comes_back_from_json_with_its_digest(
    names: list[str], bounds: list[tuple[float, float]], categories: list[str]
) -> None:
    """Through text, so that numbers and tuples survive another party's parser."""
    schema = InputSchema(
        tuple(NumericInput(name, "1", *pair) for name, pair in zip(names, bounds, strict=False)),
        (CategoricalInput("/".join(names) + "!", tuple(categories)),),
    )
    again = InputSchema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.digest == schema.digest


def test_every_difference_shows_in_the_digest() -> None:
    """Another bound, another order, another category."""
    column = NumericInput("age", "years", 18.0, 100.0)
    other = NumericInput("limit")
    variants = [
        InputSchema((column, other)),
        InputSchema((other, column)),
        InputSchema((NumericInput("age", "years", 18.0, 101.0), other)),
        InputSchema((NumericInput("age", "months", 18.0, 100.0), other)),
        InputSchema((column, other), (CategoricalInput("x", ("1",)),)),
        InputSchema((column, other), (CategoricalInput("x", ("1", "2")),)),
        InputSchema((column, other), (), (SequenceInput("s", ("age", "limit")),)),
    ]
    assert len({schema.digest for schema in variants}) == len(variants)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (((),), "0 columns"),
        (((NumericInput("a"), NumericInput("a")),), "'a' is there twice"),
        (((NumericInput("a"),), (CategoricalInput("a", ("1",)),)), "'a' is there twice"),
        (((), (CategoricalInput("a", ()),)), "0 categories"),
        (((), (CategoricalInput("a", ("1", "1")),)), "'1' is there twice"),
        (((NumericInput("a", "1", 3.0, 2.0),),), "above its maximum"),
        (((NumericInput("a", "1", float("nan"), None),),), "not a finite number"),
        (((NumericInput("a"),), (), (SequenceInput("s", ("b",)),)), "names 'b'"),
        (((NumericInput("a"),), (), (SequenceInput("s", ()),)), "0 months"),
        (((NumericInput("a"),), (), (SequenceInput("s", ("a", "a")),)), "'a' is there twice"),
        (
            (
                (NumericInput("a"), NumericInput("b"), NumericInput("c")),
                (),
                (SequenceInput("s", ("a", "b")), SequenceInput("t", ("c",))),
            ),
            "same number",
        ),
    ],
)
def test_what_cannot_be_read_by_a_network_is_refused(parts: Any, sentence: str) -> None:
    """One sentence that says what is wrong."""
    with pytest.raises(InputError, match=sentence):
        InputSchema(*parts)


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"numeric": []},
        {"numeric": [{"name": 3}], "categorical": [], "sequences": []},
        {
            "numeric": [{"name": "a", "unit": "1", "minimum": "0", "maximum": None}],
            "categorical": [],
            "sequences": [],
        },
        {"numeric": [], "categorical": [{"name": "a", "categories": [1]}], "sequences": []},
    ],
)
def test_a_foreign_description_is_refused(content: Any) -> None:
    """It may come from another party."""
    with pytest.raises(InputError):
        InputSchema.from_json(content)


def test_a_table_without_the_agreed_columns_is_refused() -> None:
    """A column that is missing, or of the other kind, is named."""
    columns, _ = borrowers(10)
    SCHEMA.check_columns(columns)
    with pytest.raises(InputError, match="'june' of the agreed schema is not in"):
        SCHEMA.check_columns({name: columns[name] for name in columns if name != "june"})
    with pytest.raises(InputError, match="'score' is not numeric"):
        SCHEMA.check_columns(columns | {"score": categorical("score", ["a"] * 10)})
    with pytest.raises(InputError, match=r"\[9, 10\] rows"):
        SCHEMA.check_columns(columns | {"school": categorical("school", ["1"] * 9)})


def test_columns_of_sequences_are_not_static() -> None:
    """What a channel holds is read there only."""
    assert [column.name for column in SCHEMA.static] == ["limit", "score"]
    assert SCHEMA.months == 3
    assert InputSchema((NumericInput("a"),)).months == 0

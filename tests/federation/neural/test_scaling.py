"""Scaling: sums of banks give pooled figures, and whatever a table holds becomes finite numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.neural.scaling import (
    MOST_SPREADS,
    Scaling,
    channel_width,
    static_width,
)
from federation.neural.schema import CategoricalInput, InputSchema, NumericInput, SequenceInput
from tests.federation.neural.tables import SCHEMA, borrowers, categorical, numeric

_cells = st.one_of(st.just(float("nan")), st.floats(allow_infinity=True), st.integers(-3, 9))
_texts = st.one_of(st.none(), st.sampled_from(["1", "2", "3", "x", " 1"]), st.text(max_size=3))


@settings(max_examples=60)
@given(st.data())
def test_any_table_becomes_finite_bounded_numbers(data: Any) -> None:
    """Missing, infinite, huge, unknown: and the widths are those a network is built for."""
    rows = data.draw(st.integers(1, 6))
    columns = {
        column.name: numeric(column.name, data.draw(st.lists(_cells, min_size=rows, max_size=rows)))
        for column in SCHEMA.numeric
    }
    columns["school"] = categorical(
        "school", data.draw(st.lists(_texts, min_size=rows, max_size=rows))
    )
    sums = Scaling.statistics(columns, SCHEMA)
    ranges = Scaling.statistics_ranges(SCHEMA)
    assert ((ranges[:, 0] <= sums) & (sums <= ranges[:, 1])).all()
    for scaling in (Scaling.from_sums(SCHEMA, sums), Scaling.from_public_bounds(SCHEMA)):
        inputs = scaling.encode(columns)
        assert inputs.numeric.shape == (rows, static_width(SCHEMA))
        assert inputs.sequences.shape == (rows, 3, channel_width(SCHEMA))
        for part in (inputs.numeric, inputs.sequences):
            assert part.dtype == np.float32
            assert np.abs(part).max() <= MOST_SPREADS
        known = ["1", "2", "3"]
        codes = [
            known.index(value) + 1 if value in known else 0 for value in columns["school"].values
        ]
        assert inputs.categories[:, 0].tolist() == codes


def test_sums_of_banks_give_the_scaling_of_the_pooled_table() -> None:
    """Whatever the division of the rows."""
    columns, _ = borrowers(200)
    whole = Scaling.from_sums(SCHEMA, Scaling.statistics(columns, SCHEMA))
    parts = [
        {
            name: type(column)(column.spec, column.values[rows], column.present[rows])
            for name, column in columns.items()
        }
        for rows in np.array_split(np.arange(200), [15, 90])
    ]
    summed = sum(Scaling.statistics(part, SCHEMA) for part in parts)
    again = Scaling.from_sums(SCHEMA, np.asarray(summed))
    np.testing.assert_allclose(again.centres, whole.centres, rtol=1e-9)
    np.testing.assert_allclose(again.spreads, whole.spreads, rtol=1e-9)
    score = np.arcsinh(columns["score"].values)
    assert whole.centres[1] == pytest.approx(np.nanmean(score))
    assert whole.spreads[1] == pytest.approx(np.nanstd(score))
    status = np.arcsinh([columns[name].values for name in ("may", "june", "july")])
    assert whole.centres[2] == pytest.approx(status.mean())  # the months of a channel share one


@given(st.floats(-1e9, 1e9), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_knot_weights_sum_to_one_and_tell_the_value(
    value: float, minimum: float, span: float
) -> None:
    """Two neighbours at most, and their mean place is the value brought within its bounds."""
    schema = InputSchema((NumericInput("x", "1", minimum, minimum + span),))
    row = Scaling.from_public_bounds(schema).encode({"x": numeric("x", [value])}).numeric[0]
    weights = row[:-1].astype(np.float64)
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)
    used = np.flatnonzero(weights)
    assert len(used) <= 2
    assert used[-1] - used[0] <= 1
    low, high = np.arcsinh(minimum), np.arcsinh(minimum + span)
    knots = np.linspace(low, high if high - low >= 1e-6 else low + 1.0, len(weights))
    place = np.clip(np.arcsinh(value), low, high)
    told = weights @ (knots - low)
    assert told == pytest.approx(place - low, abs=1e-5 * (knots[-1] - low))
    assert -1.0 - 1e-6 <= row[-1] <= 1.0 + 1e-6


def test_missing_and_absent_values_have_no_knot() -> None:
    """All zeros, which no known value has."""
    schema = InputSchema((NumericInput("x", "1", 0.0, 10.0),))
    column = numeric("x", [np.nan, 5.0, 5.0], [True, False, True])
    encoded = Scaling.from_public_bounds(schema).encode({"x": column}).numeric
    assert not encoded[:2].any()
    assert encoded[2].any()


def test_constant_and_empty_columns_stay_finite() -> None:
    """Their spread is 1."""
    schema = InputSchema((NumericInput("same"), NumericInput("none")))
    columns = {"same": numeric("same", [7.0] * 9), "none": numeric("none", [np.nan] * 9)}
    scaling = Scaling.from_sums(schema, Scaling.statistics(columns, schema))
    assert scaling.spreads == (1.0, 1.0)
    assert scaling.centres == pytest.approx((np.arcsinh(7.0), 0.0))
    np.testing.assert_allclose(scaling.encode(columns).numeric[:, -1], 0.0, atol=1e-6)


def test_public_bounds_put_the_bounds_at_one() -> None:
    """And values beyond them go to the bound."""
    schema = InputSchema((NumericInput("x", "1", -2.0, 9.0),))
    column = {"x": numeric("x", [-50.0, -2.0, 9.0, 1e30])}
    places = Scaling.from_public_bounds(schema).encode(column).numeric[:, -1]
    np.testing.assert_allclose(places, [-1, -1, 1, 1], atol=1e-6)


def test_a_schema_of_categories_alone_has_no_numbers() -> None:
    """Widths 0, and nothing to sum."""
    schema = InputSchema((), (CategoricalInput("c", ("a",)),))
    columns = {"c": categorical("c", ["a", "b", None])}
    assert Scaling.statistics(columns, schema).shape == (0,)
    assert Scaling.statistics_ranges(schema).shape == (0, 2)
    inputs = Scaling.from_public_bounds(schema).encode(columns)
    assert inputs.numeric.shape == (3, 0)
    assert inputs.sequences.shape == (3, 0, 0)
    assert inputs.categories[:, 0].tolist() == [1, 0, 0]
    assert len(inputs.rows(np.array([0, 2]))) == 2


def test_months_keep_their_order() -> None:
    """The oldest first, as the schema lists them."""
    columns, _ = borrowers(4)
    columns |= {"may": numeric("may", [9.0] * 4), "july": numeric("july", [-2.0] * 4)}
    sequences = Scaling.from_public_bounds(SCHEMA).encode(columns).sequences
    np.testing.assert_allclose(sequences[:, 0, -1], 1.0, atol=1e-6)
    np.testing.assert_allclose(sequences[:, 2, -1], -1.0, atol=1e-6)


def test_a_scaling_comes_back_from_json_for_its_own_schema_only() -> None:
    """Anything else is refused."""
    columns, _ = borrowers(50)
    scaling = Scaling.from_sums(SCHEMA, Scaling.statistics(columns, SCHEMA))
    content = json.loads(json.dumps(scaling.to_json()))
    assert Scaling.from_json(content, SCHEMA) == scaling
    other = InputSchema(SCHEMA.numeric, (), (SequenceInput("status", ("may", "june")),))
    with pytest.raises(InputError, match="another schema"):
        Scaling.from_json(content, other)
    for wrong in (
        None,
        {},
        content | {"centres": "abc"},
        content | {"centres": [1.0]},
        content | {"spreads": [0.0] * 3},
        content | {"centres": [float("inf")] * 3},
    ):
        with pytest.raises(InputError, match="scaling"):
            Scaling.from_json(wrong, SCHEMA)


@pytest.mark.parametrize("sums", [np.zeros(3), np.full(9, np.nan)])
def test_sums_of_another_schema_are_refused(sums: Any) -> None:
    """Their number must fit, and they must be numbers."""
    with pytest.raises(InputError, match="the schema needs 9 finite ones"):
        Scaling.from_sums(SCHEMA, sums)

"""Summaries of a series of columns: what is made, from what, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.manifest import read_manifest
from clients.series import Series, Summary, summarise
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

MANIFEST = """
[party]
name = "platform"
role = "feature"
[source]
path = "rows.csv"
[ids]
column = "id"
[features.paid]
columns = ["may", "june", "july"]
kind = "numeric"
unit = "NTD"
label = "paid in {column}"
summaries = ["mean", "max"]
"""


def columns_of(rows: list[list[float]]) -> list[FeatureColumn]:
    """Columns may, june, … of these rows."""
    values = np.array(rows, dtype=np.float64)
    present = np.ones(len(rows), dtype=np.bool_)
    return [
        FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC, "NTD"), column, present)
        for name, column in zip(("may", "june", "july"), values.T, strict=True)
    ]


def series(*summaries: Summary, public: bool = True) -> Series:
    """The series 'paid' with these summaries."""
    return Series("paid", ("may", "june", "july"), summaries, "NTD", public)


def test_each_summary_is_a_feature_with_unit_and_public_label() -> None:
    """Missing values are left out; a row without any value is missing."""
    nan = float("nan")
    rows = [[1.0, 2.0, 6.0], [nan, 4.0, 8.0], [nan, nan, nan], [5.0, 5.0, 5.0]]
    made = summarise(columns_of(rows), [series(*Summary)])
    values = {column.spec.name: column.values.tolist() for column in made}
    assert values["paid mean"][:2] == [3.0, 6.0]
    assert values["paid max"][:2] == [6.0, 8.0]
    assert values["paid min"][:2] == [1.0, 4.0]
    assert values["paid std"][0] == pytest.approx(np.std([1.0, 2.0, 6.0]))
    assert values["paid std"][3] == 0.0
    assert all(np.isnan(column.values[2]) for column in made)
    assert {column.spec.unit for column in made} == {"NTD"}
    assert [column.spec.label for column in made] == list(values)
    hidden = summarise(columns_of(rows), [series(Summary.MEAN, public=False)])
    assert hidden[0].spec.label is None


amounts = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(st.lists(amounts, min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_row_depends_on_no_other_row(rows: list[list[float]]) -> None:
    """One row alone gives what it gives among others; the mean lies between min and max."""
    together = summarise(columns_of(rows), [series(*Summary)])
    alone = summarise(columns_of(rows[:1]), [series(*Summary)])
    assert [c.values[0] for c in together] == [c.values[0] for c in alone]
    mean, largest, smallest, deviation = (column.values for column in together)
    slack = 1e-6 * (1 + np.abs(mean))
    assert (smallest <= mean + slack).all()
    assert (mean <= largest + slack).all()
    assert (deviation >= 0).all()


def test_the_manifest_asks_for_summaries(tmp_path: Path) -> None:
    """In the group of columns that they summarise."""
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    assert read_manifest(path).series == (series(Summary.MEAN, Summary.MAXIMUM),)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"mean", "max"', '"mean", "median"', "asks for the summary 'median'"),
        ('"mean", "max"', '"mean", "mean"', "asks for one summary twice"),
        ('kind = "numeric"', 'kind = "categorical"', "not a group of two or more numeric columns"),
        ('"may", "june", "july"', '"may"', "not a group of two or more numeric columns"),
    ],
)
def test_what_can_not_be_summarised_is_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """One sentence that names the file and the group."""
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST.replace(old, new))
    with pytest.raises(InputError, match=sentence) as error:
        read_manifest(path)
    assert f"{path}: [features.paid]" in str(error.value)


@given(
    st.lists(st.lists(amounts, min_size=3, max_size=3), min_size=1, max_size=20),
    st.permutations(range(3)),
)
def test_the_order_of_the_columns_changes_no_bit_of_the_deviation(
    rows: list[list[float]], order: list[int]
) -> None:
    """So a manifest that lists its months the other way round makes the same bins."""
    shuffled = [[row[at] for at in order] for row in rows]
    for summary in (Summary.MAXIMUM, Summary.MINIMUM, Summary.DEVIATION):
        one = summarise(columns_of(rows), [series(summary)])[0].values
        other = summarise(columns_of(shuffled), [series(summary)])[0].values
        np.testing.assert_array_equal(one, other)


@given(st.lists(st.lists(st.floats(-100, 50), min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_summary_stays_within_the_range_that_follows_from_its_columns(
    rows: list[list[float]],
) -> None:
    """Bounds of a summary are public because those of its columns are."""
    columns = [
        FeatureColumn(
            replace(column.spec, minimum=-100.0, maximum=50.0), column.values, column.present
        )
        for column in columns_of(rows)
    ]
    for made in summarise(columns, [series(*Summary)]):
        assert made.spec.minimum is not None
        assert made.spec.maximum is not None
        assert (made.values >= made.spec.minimum - 1e-9).all()
        assert (made.values <= made.spec.maximum + 1e-9).all()
    deviation = summarise(columns, [series(Summary.DEVIATION)])[0].spec
    assert (deviation.minimum, deviation.maximum) == (0, 75)
    unbounded = summarise(columns_of(rows), [series(*Summary)])
    assert [made.spec.maximum for made in unbounded] == [None] * 4

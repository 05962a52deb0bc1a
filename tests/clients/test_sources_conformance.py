"""One table, whatever holds it: the same rows, the same sentences."""

from __future__ import annotations

import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.sources import PartyTable
from federation.errors import InputError
from tests.clients.source_kinds import KINDS, load, write_source

MANIFEST = """
[party]
name = "bank"
role = "label"
[source]
{source}
[ids]
column = "id"
[label]
column = "defaulted"
positive = 1
[consent]
purpose = "credit-scoring"
valid_until_column = "until"
open_ended = true
[features]
age = { kind = "numeric", unit = "years", missing = [-999], minimum = 18, maximum = 100 }
income = "numeric"
"a \\"b\\" %s :c" = "numeric"
region = { kind = "categorical", missing = ["?"] }
code = "categorical"
"""

# 0.1 and its like are no floats: the nearest one must come out everywhere.
INCOMES = [Decimal(text) for text in ("1234567.1234", "0.1", "-5.5555", "88844.0003", "0.3")]
TABLE = pa.table(
    {
        "id": ["0042", "007", " 0100 ", "0101", "0102"],
        "unused": ["x"] * 5,
        "age": pa.array([41, -999, None, 33, 18], pa.int64()),
        "income": pa.array(INCOMES, pa.decimal128(20, 4)),
        'a "b" %s :c': [0.1, 1e300, None, -2.5e-7, 1 / 3],
        "region": ["north", "south ", None, "?", "Köln's, x"],
        "code": pa.array([1.0, 2.0, None, 1.0, 2.5]),
        "defaulted": pa.array([0, 1, 0, 1, 0], pa.int16()),
        "until": pa.array([date(2027, 1, 1), date(2026, 6, 30), None, date(2026, 7, 1), None]),
    }
)
IS_DATABASE = ("sqlite", "postgresql")


def values(loaded: PartyTable) -> dict[str, list[object]]:
    """The features, comparable."""
    return {
        column.spec.name: [None if value != value else value for value in column.values.tolist()]
        for column in loaded.features
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_gives_the_same_table(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Ids, numbers to the last bit, categories, labels and consents."""
    loaded = load(tmp_path, MANIFEST, write_source(kind, TABLE, tmp_path, request))
    assert loaded.identifiers == ("0042", "0100", "0101", "0102")
    assert values(loaded) == {
        "age": [41.0, None, 33.0, 18.0],
        "income": [1234567.1234, -5.5555, 88844.0003, 0.3],
        'a "b" %s :c': [0.1, None, -2.5e-7, 1 / 3],
        "region": ["north", None, None, "Köln's, x"],
        "code": ["1", None, "1", "2.5"],
    }
    assert all(column.present.all() for column in loaded.features)
    assert loaded.label is not None
    assert loaded.label.tolist() == [0, 0, 1, 0]
    assert loaded.notes == ("consent: 1 of 5 rows left out (1 expired)",)


def change(column: str, row: int, value: object) -> pa.Table:
    """The table with one other value; the column becomes text unless it stays of numbers."""
    cells = TABLE.column(column).to_pylist()
    cells[row] = value
    if not all(cell is None or isinstance(cell, int) for cell in cells):
        cells = [None if cell is None else str(cell) for cell in cells]
    return TABLE.set_column(TABLE.column_names.index(column), column, pa.array(cells))


ROWS = {
    "csv": "row {row} (line {line})",
    "parquet": "row {row}",
    "dataset": "file part-{part:05}.parquet, row {place}",
    "sqlite": "row {row}",
    "postgresql": "row {row}",
    "receivables": "row {row} (line {line})",
}
PLACES = {
    "csv": "borrowers.csv",
    "parquet": "borrowers.parquet",
    "dataset": "borrowers",
    "sqlite": "manifest.toml, table 'borrowers'",
    "postgresql": "manifest.toml, table 'borrowers'",
    "receivables": "manifest.toml, receivables",
}


def named(kind: str, position: int) -> str:
    """How a kind of source names a row."""
    return ROWS[kind].format(
        row=position + 1, line=position + 2, part=position // 2, place=position % 2 + 1
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("column", "row", "value", "sentence"),
    [
        ("age", 3, 17, "column 'age': {row} lies below the minimum 18 of the manifest; correct"),
        ("age", 4, "secret", "column 'age': {row} has text where a number must be; correct it"),
        ("age", 2, "1,5", "column 'age': {row} has a number with a comma"),
        ("income", 3, "inf", "column 'income': {row} has an infinite number where a number mus"),
        ("id", 4, None, "column 'id': {row} has no id (it is empty or NaN); every row needs"),
        ("id", 4, "007 ", "column 'id': {other} and {row} have the same id once normalised by"),
        ("defaulted", 3, None, "column 'defaulted': {row} has no label; a borrower whose"),
        ("defaulted", 3, "9", "column 'defaulted': has 2 values that are not 'positive' of"),
        ("until", 1, "soon", "column 'until': {row} has no date where the end of a consent mu"),
    ],
)
def test_every_source_is_refused_in_the_same_words(
    kind: str,
    column: str,
    row: int,
    value: object,
    sentence: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """The sentence names the row as one finds it there, and quotes no value."""
    source = write_source(kind, change(column, row, value), tmp_path, request)
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, source)
    expected = sentence.format(row=named(kind, row), other=named(kind, 1))
    assert f"{PLACES[kind]}, {expected}" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_says_which_column_it_lacks(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The manifest's key is named, and the column that was probably meant."""
    source = write_source(kind, TABLE.rename_columns({"age": "Age"}), tmp_path, request)
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, source)
    assert str(error.value).endswith(
        f"manifest.toml: a column of [features] is 'age', which {tmp_path / PLACES[kind]} does not "
        "have; did you mean 'Age'?"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_says_when_it_has_no_row(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A table of columns alone."""
    with pytest.raises(InputError, match="has columns and no row; it needs a row a borrower"):
        load(tmp_path, MANIFEST, write_source(kind, TABLE.slice(0, 0), tmp_path, request))


@pytest.mark.parametrize("kind", IS_DATABASE)
def test_rows_of_a_database_are_sorted_by_id(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A database gives rows in any order, and yet a split by seed must not change."""
    source = write_source(kind, TABLE, tmp_path, request)
    first = load(tmp_path, MANIFEST, source)
    write_source(kind, TABLE.take([3, 0, 4, 2, 1]), tmp_path, request)
    second = load(tmp_path, MANIFEST, source)
    assert first.identifiers == second.identifiers
    assert values(first) == values(second)
    np.testing.assert_array_equal(first.label, second.label)


@pytest.mark.parametrize("kind", ["parquet", "dataset", "postgresql"])
def test_truth_values_are_numbers_or_texts(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As the feature's kind says."""
    table = TABLE.set_column(2, "age", pa.array([True, False, None, True, True]))
    table = table.set_column(6, "code", pa.array([True, False, None, True, True]))
    source = write_source(kind, table, tmp_path, request)
    loaded = load(tmp_path, MANIFEST.replace("minimum = 18, ", ""), source)
    assert values(loaded)["age"] == [1.0, None, 1.0, 1.0]
    assert values(loaded)["code"] == ["true", None, "true", "true"]


CELLS = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
)


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=8))
def test_sqlite_columns_of_any_values_are_read_as_their_text_would_be(
    tmp_path_factory: pytest.TempPathFactory, cells: list[object]
) -> None:
    """SQLite puts any value into any column: it means what the same text in Parquet means."""
    folder = tmp_path_factory.mktemp("any")
    count = len(cells)
    own: dict[str, list[object]] = {
        "id": [f"{n:03}" for n in range(count)],
        "defaulted": [n % 2 for n in range(count)],
    }
    manifest = (
        MANIFEST[: MANIFEST.index("[consent]")] + '[features]\n"x" = "numeric"\ny = "categorical"'
    )
    texts = [None if cell is None else str(cell) for cell in cells]
    with sqlite3.connect(folder / "bank.db") as connection:
        connection.execute("create table borrowers (id, defaulted, x, y)")
        rows = zip(own["id"], own["defaulted"], cells, cells, strict=True)
        connection.executemany("insert into borrowers values (?, ?, ?, ?)", rows)
    connection.close()
    pq.write_table(
        pa.table(own | {"x": pa.array(texts, pa.string()), "y": texts}), folder / "t.parquet"
    )
    results: list[object] = []
    for source in (
        'path = "t.parquet"',
        'kind = "sql"\nurl = "sqlite:///bank.db"\ntable = "borrowers"',
    ):
        try:
            results.append(values(load(folder, manifest, source)))
        except InputError as error:
            results.append(str(error).partition(": ")[2])
    assert results[0] == results[1]

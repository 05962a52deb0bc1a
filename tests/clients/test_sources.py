"""A party's table: what is read of CSV and Parquet, and one sentence for every bad input."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.manifest import read_manifest
from clients.sources import ABSENT, PartyTable, SplitPart, load_table
from clients.tables import csv_table
from federation.errors import InputError

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)

HEADER = "id,age,region,code,defaulted,split"
ROWS = (
    "007,41,north,1,0,train",
    " 0042 ,-999,south ,1.0,1,test",
    "0100,,,2,0,train",
    "0101, 33 ,NaN,1,1,train",
)
MANIFEST = """
[party]
name = "bank"
role = "label"
[source]
path = "{name}"
{source}
[ids]
column = "id"
{ids}
[label]
column = "defaulted"
positive = 1
{label}
[features]
age = {{ kind = "numeric", unit = "years", missing = [-999], minimum = 18, maximum = 100 }}
region = {{ kind = "categorical", missing = ["?"] }}
code = "categorical"
{more}
"""


def load(
    folder: Path,
    text: str | bytes | None,
    *,
    name: str = "bank.csv",
    now: datetime = NOW,
    split_column: str | None = None,
    **parts: str,
) -> PartyTable:
    """Write a table and its manifest, and load it; without a text the table is there already."""
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode("utf-8")
        (folder / name).write_bytes(content)
    blanks = {key: parts.get(key, "") for key in ("source", "ids", "label", "more")}
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST.format(name=name, **blanks), encoding="utf-8")
    return load_table(read_manifest(manifest), now=now, split_column=split_column)


def table(*rows: str, header: str = HEADER) -> str:
    """Return a CSV text of some rows."""
    return "\n".join((header, *rows)) + "\n"


def test_a_csv_table_is_read_as_declared(tmp_path: Path) -> None:
    """Ids keep their zeros, missing is one thing, and 1 and 1.0 are one category."""
    loaded = load(tmp_path, table(*ROWS))
    assert loaded.party == "bank"
    assert loaded.identifiers == ("007", "0042", "0100", "0101")
    age, region, code = loaded.features
    np.testing.assert_array_equal(age.values, [41, np.nan, np.nan, 33])
    assert age.values.dtype == np.float64
    assert region.values.tolist() == ["north", "south", None, None]
    assert code.values.tolist() == ["1", "1", "2", "1"]
    assert age.present.all()
    assert loaded.label is not None
    assert loaded.label.dtype == np.uint8
    assert loaded.label.tolist() == [0, 1, 0, 1]
    assert loaded.split is None
    assert loaded.notes == ()


def test_the_split_column_gives_the_part_of_every_row(tmp_path: Path) -> None:
    """Train, validation and test become numbers."""
    loaded = load(tmp_path, table(*ROWS), split_column="split")
    assert loaded.split is not None
    assert loaded.split.tolist() == [
        *(SplitPart.TRAIN, SplitPart.TEST, SplitPart.TRAIN, SplitPart.TRAIN)
    ]


def test_parquet_gives_the_same_table_as_csv(tmp_path: Path) -> None:
    """Typed columns (numbers, nulls, dictionaries, decimals) mean what their text would."""
    pa.parquet.write_table(
        pa.table(
            {
                "id": ["007", "0042", "0100", "0101"],
                "age": pa.array([41, -999, None, 33], pa.int16()),
                "region": pa.array(["north", "south ", None, "?"]).dictionary_encode(),
                "code": pa.array([1.0, 1.0, 2.0, 1.0]),
                "defaulted": pa.array([0, 1, 0, 1], pa.int8()),
            }
        ),
        tmp_path / "bank.parquet",
    )
    from_parquet = load(tmp_path, None, name="bank.parquet")
    from_csv = load(tmp_path, table(*ROWS))
    assert from_parquet.identifiers == from_csv.identifiers
    for one, other in zip(from_parquet.features, from_csv.features, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(from_parquet.label, from_csv.label)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])
def test_parquet_ids_may_be_whole_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    """An id column stored as numbers is its digits."""
    columns = {"id": pa.array([12, 7], kind), "age": [20.0, 30.0], "region": ["a", "b"]}
    columns |= {"code": [True, False], "defaulted": [1, 0]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "bank.parquet")
    loaded = load(tmp_path, None, name="bank.parquet")
    assert loaded.identifiers == ("12", "7")
    assert loaded.features[2].values.tolist() == ["true", "false"]


def test_other_ways_to_write_csv(tmp_path: Path) -> None:
    """Semicolons, decimal commas, another encoding, Windows line ends, a byte-order mark."""
    text = "id;age;region;code;defaulted\r\n1;41,5;Köln;a;0\r\n2;+39,25;Graz;b;1\r\n"
    source = 'separator = ";"\ndecimal = ","\nencoding = "latin-1"'
    loaded = load(tmp_path, text.encode("latin-1"), source=source)
    np.testing.assert_array_equal(loaded.features[0].values, [41.5, 39.25])
    assert loaded.features[1].values.tolist() == ["Köln", "Graz"]
    marked = load(tmp_path, b"\xef\xbb\xbf" + table(*ROWS).encode())
    assert marked.identifiers[0] == "007"


def test_text_codes_for_missing_in_a_numeric_column(tmp_path: Path) -> None:
    """A declared text is missing in its own column only."""
    more = 'income = { kind = "numeric", missing = ["unknown", 0] }'
    header = "id,age,region,code,defaulted,income"
    loaded = load(tmp_path, table("1,20,a,1,0,unknown", "2,30,b,1,1,0.0", header=header), more=more)
    assert np.isnan(loaded.features[3].values).all()
    with pytest.raises(InputError, match=r"column 'age': row 1 \(line 2\) has text where"):
        load(tmp_path, table("1,unknown,a,1,0,5", "2,30,b,1,1,6", header=header), more=more)


@pytest.mark.parametrize(
    ("positive", "cells"),
    [
        ("1", ("1", "0")),
        ('["Y", "yes"]\nnegative = ["N", "no"]', ("yes", "N")),
        ("true", ("True", "x")),
    ],
)
def test_labels_by_declared_values(tmp_path: Path, positive: str, cells: tuple[str, str]) -> None:
    """One value or a list; without 'negative' the one other value means repaid."""
    (tmp_path / "bank.csv").write_text(table(f"1,20,a,1,{cells[0]},", f"2,30,b,1,{cells[1]},"))
    text = MANIFEST.format(name="bank.csv", source="", ids="", label="", more="")
    path = tmp_path / "manifest.toml"
    path.write_text(text.replace("positive = 1", f"positive = {positive}"))
    label = load_table(read_manifest(path), now=NOW).label
    assert label is not None
    assert label.tolist() == [1, 0]


BAD_TABLES = [
    ("", "bank.csv: is empty; its first line must name the columns"),
    (table(), "has columns and no row; it needs a row a borrower"),
    (table(*ROWS, header=HEADER.replace("age", "Age")), "is 'age', which .* did you mean 'Age'?"),
    (
        table(*ROWS, header=HEADER.replace("id", "key")),
        r"\[ids\] column is 'id', which .* choose f",
    ),
    (table(*ROWS, header=HEADER.replace("defaulted", "y")), r"\[label\] column is 'defaulted', wh"),
    (
        table(*ROWS, header=HEADER.replace("split", "age")),
        "has 2 columns named 'age'; .* exactly on",
    ),
    (table(*ROWS).replace(",", ";"), "columns look separated by ';': set separator = \";\""),
    (
        table(*ROWS, "8,abc,a,1,0,"),
        r"'age': row 5 \(line 6\) has text where a number must be; corr",
    ),
    (table("8,yes,a,1,0,"), r"row 1 \(line 2\) has a truth value where a number"),
    (table("8,2020-01-31,a,1,0,"), "has a date where a number"),
    (table('8,"1,234.50",a,1,0,'), "has a number with thousands separators or another decimal"),
    (table('8,"41,5",a,1,0,'), r"has a number with a comma \(set decimal = \",\" under"),
    (table("8,inf,a,1,0,"), "has an infinite number where a number"),
    (table("8,١٢,a,1,0,"), "has text where a number"),
    (table(*ROWS, "8,17,a,1,0,"), r"'age': row 5 \(line 6\) lies below the minimum 18 of the man"),
    (
        table(*ROWS, "8,101,a,1,0,", "9,102,a,1,0,"),
        r"row 5 \(line 6\) \(and 1 more rows\) lies above the maximum 100",
    ),
    (
        table(*ROWS, "0042,20,a,1,0,"),
        r"'id': row 2 \(line 3\) and row 5 \(line 6\) have the same id ",
    ),
    (table(*ROWS, ",20,a,1,0,"), r"'id': row 5 \(line 6\) has no id .*; every row needs the id"),
    (table(*ROWS, "NaN,20,a,1,0,"), r"'id': row 5 \(line 6\) has no id"),
    (
        table(ROWS[0], ROWS[2]),
        r"label has one class, none of 2 rows is positive \('1'\); it needs de",
    ),
    (table(ROWS[1], ROWS[3]), "label has one class, all 2 rows are positive"),
    (
        table(*ROWS, "8,20,a,1,2,"),
        "'defaulted': has 2 values that are not 'positive' of the manifest",
    ),
    (
        table(*ROWS, "8,20,a,1,,"),
        r"'defaulted': row 5 \(line 6\) has no label; a borrower whose out",
    ),
    (table(*ROWS, "8,20,a"), r"row 5 \(line 6\) has 3 cells where the header names 6 columns"),
    (
        table(*ROWS, "8,20,a,1,0,,,"),
        r"row 5 \(line 6\) has 8 cells where the header names 6 columns",
    ),
    (table(*ROWS, "8,20,Köln,1,0,").encode("latin-1"), "is not utf-8 text; set 'encoding' of"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_TABLES)
def test_bad_tables_get_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    """The sentence names the file and the place, says what would be right, and quotes no value."""
    with pytest.raises(InputError, match=sentence) as error:
        load(tmp_path, text)
    assert "bank.csv" in str(error.value)
    assert "\n" not in str(error.value)
    assert "abc" not in str(error.value)


def test_labels_that_are_neither_positive_nor_negative(tmp_path: Path) -> None:
    """With both listed, any other label is refused by row."""
    with pytest.raises(
        InputError, match=r"row 5 \(line 6\) has a label that is neither 'positive'"
    ):
        load(tmp_path, table(*ROWS, "8,20,a,1,9,"), label="negative = 0")


def test_rows_that_span_lines_are_named_without_a_line(tmp_path: Path) -> None:
    """Where a cell holds a line end, or a line is blank, counting lines would mislead."""
    with pytest.raises(InputError, match="'age': row 2 has text where"):
        load(tmp_path, table('1,20,"a\nb",1,0,', "2,old,b,1,1,"))
    with pytest.raises(InputError, match="'age': row 2 has text where"):
        load(tmp_path, table("1,20,a,1,0,", "", "2,old,b,1,1,"))


def test_places_are_right_in_a_file_of_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read block by block, and rows are counted from its first line."""
    monkeypatch.setattr(csv_table, "BLOCK_BYTES", 256)
    rows = [f"{n},20,a,1,{n % 2}," for n in range(200)]
    assert load(tmp_path, table(*rows)).row_count == 200
    with pytest.raises(InputError, match=r"row 150 \(line 151\) has 3 cells where the header"):
        load(tmp_path, table(*rows[:149], "x,20,a", *rows[150:]))
    with pytest.raises(InputError, match=r"'age': row 150 \(line 151\) has text where a number"):
        load(tmp_path, table(*rows[:149], "x,old,a,1,0,", *rows[150:]))
    with pytest.raises(
        InputError, match=r"row 3 \(line 4\) and row 201 \(line 202\) have the same"
    ):
        load(tmp_path, table(*rows, "2,20,a,1,0,"))
    with pytest.raises(InputError, match="a row is longer than .* probably a quote is opened and"):
        load(tmp_path, table(*rows[:100], 'x,20,"a,1,0,', *rows[100:]))


def test_a_missing_table_and_a_damaged_one(tmp_path: Path) -> None:
    """The path is named, and what must be there."""
    with pytest.raises(
        InputError, match=r"bank\.csv: there is no such file; set 'path' of the man"
    ):
        load(tmp_path, None)
    with pytest.raises(InputError, match=r"bank\.parquet: cannot be read; it must be a Parquet ta"):
        load(tmp_path, "id,age\n", name="bank.parquet")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: cannot be read \(Is a directory\)"):
        load(tmp_path, None, name="folder.csv")


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("age", ["old", "30"], "row 1 has text where a number must be"),
        (
            "age",
            [None, datetime(2020, 1, 1)],
            r"row 2 has a value of type timestamp\[us\] where a nu",
        ),
        ("id", [1.5, 2.0], "row 1 has a fraction or a rounded number as its id; store ids as text"),
        ("id", [1.0, None], "row 2 has no id"),
        ("id", [b"a", b"b"], "holds values of type binary; ids must be text or whole numbers"),
    ],
)
def test_bad_parquet_columns(
    tmp_path: Path, column: str, values: list[object], sentence: str
) -> None:
    """Types that no feature or id can have are refused by row and column."""
    columns: dict[str, object] = {"id": ["1", "2"], "age": [20, 30], "region": ["a", "b"]}
    columns |= {"code": [1, 2], "defaulted": [0, 1]}
    columns[column] = values
    pa.parquet.write_table(pa.table(columns), tmp_path / "bank.parquet")
    with pytest.raises(InputError, match=f"column '{column}': {sentence}"):
        load(tmp_path, None, name="bank.parquet")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (("train", "tset"), "row 2 .line 3. is not train, validation or test; did you mean 'test'"),
        (("", "test"), "row 1 .line 2. is not train, validation or test"),
        (("train", "train"), "has no row with test; a split needs rows"),
    ],
)
def test_bad_split_columns(tmp_path: Path, cells: tuple[str, str], sentence: str) -> None:
    """Every row must belong to a part, and there must be rows to train and to test on."""
    text = table(f"1,20,a,1,0,{cells[0]}", f"2,30,b,1,1,{cells[1]}")
    with pytest.raises(InputError, match=f"column 'split': {sentence}"):
        load(tmp_path, text, split_column="split")


def test_a_split_column_that_is_not_there_or_is_used_already(tmp_path: Path) -> None:
    """The federation file names the column, so its sentence says so."""
    with pytest.raises(
        InputError, match=r"\[split\] column of the federation file is 'fold', whic"
    ):
        load(tmp_path, table(*ROWS), split_column="fold")
    with pytest.raises(
        InputError, match="column 'region', which fixes the split, for something els"
    ):
        load(tmp_path, table(*ROWS), split_column="region")


CONSENT_HEADER = "id,age,region,code,defaulted,purpose,until"
OWN_CONSENT = """
[consent]
purpose = "credit-scoring"
purpose_column = "purpose"
valid_until_column = "until"
"""


@pytest.mark.parametrize(
    ("purpose", "until", "is_used"),
    [
        ("credit-scoring", "2026-07-01", True),  # through the day itself
        ("credit-scoring", "2026-06-30", False),
        ("marketing; Credit-Scoring", "2027-01-01", True),
        ("marketing", "2027-01-01", False),
        ("", "2027-01-01", False),
        ("credit-scoring", "", False),
        ("credit-scoring", "2026-07-01T14:00:00+02:00", False),  # noon in UTC: just over
        ("credit-scoring", "2026-07-01 12:00:01", True),  # UTC where no offset is given
        ("credit-scoring", "9999-12-31", True),
    ],
)
def test_which_consents_count(tmp_path: Path, purpose: str, until: str, is_used: bool) -> None:
    """A consent counts for its purpose, through its last day."""
    kept = ("1,20,a,1,0,credit-scoring,2030-01-01", "2,20,b,1,1,credit-scoring,2030-01-01")
    text = table(*kept, f"3,20,c,1,0,{purpose},{until}", header=CONSENT_HEADER)
    loaded = load(tmp_path, text, more=OWN_CONSENT)
    assert loaded.identifiers == (("1", "2", "3") if is_used else ("1", "2"))
    assert loaded.row_count == len(loaded.features[1].values) == 2 + is_used
    assert loaded.label is not None
    assert len(loaded.label) == 2 + is_used


def test_the_note_counts_who_was_left_out_and_why(tmp_path: Path) -> None:
    """One sentence with numbers and reasons."""
    rows = ["1,20,a,1,0,credit-scoring,2030-01-01", "2,20,a,1,1,credit-scoring,2030-01-01"]
    rows += ["3,20,a,1,1,credit-scoring,2020-01-01", "4,20,a,1,1,marketing,2030-01-01"]
    rows += ["5,20,a,1,1,,", "6,20,a,1,1,credit-scoring,"]
    loaded = load(tmp_path, table(*rows, header=CONSENT_HEADER), more=OWN_CONSENT)
    assert loaded.notes == ("consent: 4 of 6 rows left out (1 expired, 1 without an end, 2 none)",)
    endless = load(tmp_path, None, more=OWN_CONSENT + "open_ended = true\n")
    assert endless.identifiers == ("1", "2", "6")


def test_a_column_with_the_end_alone(tmp_path: Path) -> None:
    """Without a purpose column every consent is for the declared purpose; empty means none."""
    rows = ("1,20,a,1,0,,2030-01-01", "2,20,a,1,1,,2030-01-01", "3,20,a,1,1,,")
    consent = OWN_CONSENT.replace('purpose_column = "purpose"\n', "")
    loaded = load(tmp_path, table(*rows, header=CONSENT_HEADER), more=consent)
    assert loaded.notes == ("consent: 1 of 3 rows left out (1 none)",)


def test_consents_in_a_file_of_their_own(tmp_path: Path) -> None:
    """The best row of a borrower counts, and its ids follow the party's rule."""
    (tmp_path / "consents.csv").write_text(
        "id,purpose,valid_until\n"
        "007 ,credit-scoring,2020-01-01\n007,credit-scoring,2030-01-01\n"
        "0042,credit-scoring,2030-01-01\n0100,credit-scoring,2020-01-01\n"
        "999,credit-scoring,2030-01-01\n,credit-scoring,2030-01-01\n"
    )
    more = '[consent]\npurpose = "credit-scoring"\npath = "consents.csv"\n'
    loaded = load(tmp_path, table(*ROWS), more=more)
    assert loaded.identifiers == ("007", "0042")
    assert loaded.notes == ("consent: 2 of 4 rows left out (1 expired, 1 none)",)


@pytest.mark.parametrize(
    ("consents", "sentence"),
    [
        (None, r"consents\.csv: there is no such file"),
        (
            "id,purpose\n1,x\n",
            r"\[consent\] valid_until_column is 'valid_until', which .*consents\.c",
        ),
        (
            "id,purpose,valid_until\n007,credit-scoring,31.12.2030\n",
            r"consents\.csv, column 'valid_until': row 1 \(line 2\) has no date .* 2027-12-31",
        ),
        (
            "id,purpose,valid_until\n007,credit-scoring,2020-01-01\n0042,other,2030-01-01\n",
            r"consents\.csv: no row of .*bank\.csv has a consent for the purpose 'credit-scoring' "
            r"that holds at 2026-07-01T12:00:00\+00:00 \(1 expired, 3 none\); renew the consents",
        ),
        ("id,purpose,valid_until\n0042,credit-scoring,2030-01-01\n", "the label has one class"),
    ],
)
def test_bad_consents(tmp_path: Path, consents: str | None, sentence: str) -> None:
    """Expired, missing and unreadable consents say which file and what would be right."""
    if consents is not None:
        (tmp_path / "consents.csv").write_text(consents)
    more = '[consent]\npurpose = "credit-scoring"\npath = "consents.csv"\n'
    with pytest.raises(InputError, match=sentence):
        load(tmp_path, table(*ROWS), more=more)


def test_a_time_without_a_zone_is_a_programming_error(tmp_path: Path) -> None:
    """Whether a consent holds must not depend on where the machine stands."""
    with pytest.raises(ValueError, match="time zone"):
        load(tmp_path, table(*ROWS), now=datetime(2026, 7, 1))


def test_rows_are_selected_in_order_and_unknown_ones_are_absent(tmp_path: Path) -> None:
    """An unknown borrower has no value and is not present."""
    loaded = load(tmp_path, table(*ROWS))
    age, region, _ = loaded.rows(np.array([3, ABSENT, 0, 0], dtype=np.uint32))
    np.testing.assert_array_equal(age.values, [33, np.nan, 41, 41])
    assert region.values.tolist() == [None, None, "north", "north"]
    assert age.present.tolist() == [True, False, True, True]
    nobody = loaded.rows(np.full(2, ABSENT, dtype=np.uint32))
    assert not nobody[0].present.any()
    assert nobody[1].values.tolist() == [None, None]
    assert loaded.rows(np.empty(0, dtype=np.uint32))[0].values.size == 0
    assert loaded.features[0].values[0] == 41
    with pytest.raises(ValueError, match="beyond the 4 rows"):
        loaded.rows(np.array([4], dtype=np.uint32))


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@settings(max_examples=60)
@given(cells=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_any_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str, str]]
) -> None:
    """Whatever stands in the cells, there is a table or one InputError."""
    folder = tmp_path_factory.mktemp("any")
    rows = [
        ",".join([str(index), *('"' + cell.replace('"', '""') + '"' for cell in row), "0", ""])
        for index, row in enumerate(cells)
    ]
    loaded: PartyTable | str
    try:
        loaded = load(folder, table(*rows, "x1,20,a,1,1,", "x2,20,a,1,0,"))
    except InputError as error:
        loaded = str(error)
    if isinstance(loaded, str):
        assert "bank.csv" in loaded
    else:
        assert loaded.row_count == len(cells) + 2


@settings(max_examples=40)
@given(numbers=st.lists(st.floats(18, 100), min_size=1, max_size=20))
def test_numbers_survive_the_way_through_csv(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    """A float written in full is read back exactly."""
    rows = [f"{index},{number!r},a,1,0," for index, number in enumerate(numbers)]
    loaded = load(tmp_path_factory.mktemp("floats"), table(*rows, "x,20,a,1,1,"))
    assert loaded.features[0].values[:-1].tolist() == numbers

"""A bank's rows and inputs for a model of several banks, and one sentence for what is wrong."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.bank.horizontal_table import input_schema, load_bank_rows
from clients.federation_file import SplitSettings
from clients.manifest import PartyManifest, read_manifest
from clients.sources import NothingToLearn, SplitPart
from federation.errors import InputError
from federation.horizontal.rows import BankRows

NOW = datetime(2026, 7, 1, tzinfo=UTC)
MANIFEST = """
[party]
name = "north"
role = "label"

[source]
path = "rows.csv"

[ids]
column = "id"

[label]
column = "defaulted"
positive = 1

[features]
income = { kind = "numeric", unit = "EUR", minimum = 0, maximum = 50000 }
job = { kind = "categorical", categories = ["b", "a"] }

[features.paid]
columns = ["may", "june"]
kind = "numeric"
sequence = true
unit = "EUR"
minimum = 0
maximum = 100
summaries = ["mean", "std"]

[features.days]
columns = ["days_may", "days_june"]
kind = "numeric"
sequence = true
unit = "days"
minimum = 0
maximum = 31
"""


def manifest_of(folder: Path, text: str = MANIFEST) -> PartyManifest:
    """A manifest of this text."""
    path = folder / "manifest.toml"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path)


def write_rows(folder: Path, rows: int = 100, *, defaults: int = 30, job: str = "a") -> None:
    """A table with that many rows, of which the first so many defaulted."""
    lines = ["id,income,job,may,june,days_may,days_june,defaulted,split"]
    for row in range(rows):
        part = "test" if row % 5 == 0 else "train"
        lines.append(f"{row},{100 * row},{job},{row % 90},7,{row % 31},0,{row < defaults:d},{part}")
    (folder / "rows.csv").write_text("\n".join(lines))


def load(folder: Path, text: str = MANIFEST, split: SplitSettings | None = None) -> BankRows:
    """The rows of the folder's table."""
    return load_bank_rows(manifest_of(folder, text), split or SplitSettings(), now=NOW)


def test_the_inputs_come_from_the_manifest_alone(tmp_path: Path) -> None:
    """Units, bounds, categories and sequences with the oldest month first; no table is opened."""
    schema = input_schema(manifest_of(tmp_path), private=True)
    numeric = {column.name: column for column in schema.numeric}
    assert (
        sorted(numeric)
        == list(numeric)
        == [*("days_june", "days_may", "income", "june", "may", "paid mean", "paid std")]
    )
    assert (numeric["income"].unit, numeric["income"].maximum) == ("EUR", 50_000)
    assert (numeric["paid std"].minimum, numeric["paid std"].maximum) == (0, 50)
    assert [(column.name, column.categories) for column in schema.categorical] == [
        ("job", ("a", "b"))
    ]
    assert [(channel.name, channel.columns) for channel in schema.sequences] == [
        ("days", ("days_may", "days_june")),
        ("paid", ("may", "june")),
    ]


def test_banks_that_declare_the_same_in_another_order_agree(tmp_path: Path) -> None:
    """The order of features and categories means nothing, that of months does."""
    digest = input_schema(manifest_of(tmp_path)).digest
    lines = MANIFEST.splitlines()
    income = next(line for line in lines if line.startswith("income"))
    swapped = MANIFEST.replace(income + "\n", "").replace(
        "[features.paid]", income + "\n\n[features.paid]"
    )
    swapped = swapped.replace('["b", "a"]', '["a", "b"]').replace('"rows.csv"', '"other.csv"')
    assert input_schema(manifest_of(tmp_path, swapped)).digest == digest
    for old, new in (
        ('["may", "june"]', '["june", "may"]'),
        ('unit = "days"', 'unit = "weeks"'),
        ("maximum = 50000", "maximum = 60000"),
        ('["b", "a"]', '["b", "a", "c"]'),
        ('summaries = ["mean", "std"]', 'summaries = ["mean"]'),
        ("[features.days]", "[features.delay]"),
    ):
        assert old in MANIFEST
        assert input_schema(manifest_of(tmp_path, MANIFEST.replace(old, new))).digest != digest


def test_the_schema_accepts_the_columns_that_are_read(tmp_path: Path) -> None:
    """Summaries are among the columns, in the kinds that the schema promises."""
    write_rows(tmp_path)
    rows = load(tmp_path)
    schema = input_schema(manifest_of(tmp_path))
    schema.check_columns(rows.columns)
    assert set(rows.columns) == {column.name for column in (*schema.numeric, *schema.categorical)}
    assert rows.notes == ()


def test_every_bank_cuts_its_own_rows_by_label(tmp_path: Path) -> None:
    """Shares hold in each class; a column fixes the test, and validation is cut from training."""
    write_rows(tmp_path)
    rows = load(tmp_path)
    for label, counts in ((0, [45, 11, 14]), (1, [19, 5, 6])):
        assert np.bincount(rows.parts[rows.labels == label]).tolist() == counts
    np.testing.assert_array_equal(rows.parts, load(tmp_path).parts)
    other = load(tmp_path, split=SplitSettings(seed=43))
    assert (other.parts != rows.parts).any()
    fixed = load(tmp_path, split=SplitSettings(column="split"))
    np.testing.assert_array_equal(np.flatnonzero(fixed.parts == SplitPart.TEST) % 5, 0)
    assert np.bincount(fixed.parts).tolist() == [64, 16, 20]


def test_a_part_is_rows_of_all_columns(tmp_path: Path) -> None:
    """Columns and labels stay side by side."""
    write_rows(tmp_path)
    rows = load(tmp_path, split=SplitSettings(column="split"))
    columns, labels = rows.part(SplitPart.TEST)
    assert columns["income"].values.tolist() == [100.0 * row for row in range(0, 100, 5)]
    assert labels.tolist() == [1] * 6 + [0] * 14


def test_a_value_out_of_the_vocabulary_counts_as_other_and_is_noted_without_a_count(
    tmp_path: Path,
) -> None:
    """All values out of it are another coding, which is refused."""
    write_rows(tmp_path)
    table = tmp_path / "rows.csv"
    table.write_text(table.read_text().replace(",a,", ",z,", 3))
    (note,) = load(tmp_path).notes
    assert "some values of 'job' are not among the declared categories and count as 'other'" in note
    assert "3" not in note.removeprefix(str(tmp_path))
    write_rows(tmp_path, job="A")
    with pytest.raises(InputError, match=r"rows.csv, column 'job': none of its values is under"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'job = { kind = "categorical", categories = ["b", "a"] }',
            'job = "categorical"',
            r"\[features\] lacks the categories of 'job'; .* job = { kind = \"categorical\", categ",
        ),
        (
            "minimum = 0, maximum = 50000",
            "minimum = 0",
            r"\[features\] lacks 'minimum' or 'maximum' of 'income'; a differentially private",
        ),
        (
            "minimum = 0\nmaximum = 100\n",
            "",
            "lacks 'minimum' or 'maximum' of 'may', 'june', 'paid mean', 'paid std'; a differ",
        ),
    ],
)
def test_what_a_private_model_of_several_banks_needs_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file, the features and what to write; privacy needs bounds."""
    assert old in MANIFEST
    manifest = manifest_of(tmp_path, MANIFEST.replace(old, new))
    with pytest.raises(InputError, match=sentence) as error:
        input_schema(manifest, private=True)
    assert str(error.value).startswith(f"{manifest.path}: ")
    assert "\n" not in str(error.value)
    if "categories" not in sentence:
        assert input_schema(manifest).numeric


def test_a_bank_without_features_or_outcomes_is_refused(tmp_path: Path) -> None:
    """It has nothing to train with."""
    bare = MANIFEST[: MANIFEST.index("[features]")]
    with pytest.raises(InputError, match=r"manifest.toml: declares no feature; a bank needs"):
        input_schema(manifest_of(tmp_path, bare))
    write_rows(tmp_path)
    feature = MANIFEST.replace('"label"', '"feature"').replace(
        '[label]\ncolumn = "defaulted"\npositive = 1\n', ""
    )
    with pytest.raises(InputError, match=r"manifest.toml: has no outcomes; every bank of a hori"):
        load(tmp_path, feature)


@pytest.mark.parametrize(
    ("rows", "defaults", "sentence"),
    [
        (100, 0, "column 'defaulted': the label has one class, none of 100 rows is positive"),
        (5, 2, "has fewer than 10 defaults or fewer than 10 repaid loans outside the test rows"),
        (100, 9, "has fewer than 10 defaults or fewer than 10 repaid loans outside the test rows"),
    ],
)
def test_a_bank_that_nothing_can_be_learned_from_is_told_apart(
    tmp_path: Path, rows: int, defaults: int, sentence: str
) -> None:
    """Its error has a type of its own, so that the others can train without it."""
    write_rows(tmp_path, rows, defaults=defaults)
    with pytest.raises(NothingToLearn) as error:
        load(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "rows.csv"))
    assert sentence in str(error.value)


def test_a_value_beyond_a_public_bound_is_refused(tmp_path: Path) -> None:
    """As in every manifest: the bound is wrong, or the value is."""
    write_rows(tmp_path)
    with pytest.raises(InputError, match="column 'income': row 7 .* lies above the maximum 500 of"):
        load(tmp_path, MANIFEST.replace("maximum = 50000", "maximum = 500"))


def test_reading_a_bank_s_rows_and_inputs_needs_no_torch(tmp_path: Path) -> None:
    """A person's mistake is told before the seconds that torch takes to load."""
    write_rows(tmp_path)
    manifest_of(tmp_path)
    code = (
        "import sys; from datetime import UTC, datetime; "
        "from clients.bank.horizontal_table import input_schema, load_bank_rows; "
        "from clients.federation_file import SplitSettings; "
        "from clients.manifest import read_manifest; m = read_manifest(sys.argv[1]); "
        "input_schema(m); load_bank_rows(m, SplitSettings(), now=datetime.now(UTC)); "
        "sys.exit('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "manifest.toml"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr

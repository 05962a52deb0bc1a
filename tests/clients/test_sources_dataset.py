"""Parquet in many files: folders, patterns, partitions, and more than fits into memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.manifest import read_manifest
from clients.sources import load_table
from federation.errors import InputError
from tests.clients.source_kinds import load

MANIFEST = """
[party]
name = "platform"
role = "feature"
[source]
{source}
[ids]
column = "id"
[features]
amount = "numeric"
region = "categorical"
"""


def write(path: Path, **columns: object) -> None:
    """Write one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)


def write_partitions(folder: Path) -> None:
    """Two regions in folders of their own, with files that are no part of the table."""
    write(folder / "region=01" / "part-1.parquet", id=["a", "b"], amount=[1, 2])
    write(folder / "region=01" / "part-2.parquet", id=["c"], amount=["3.5"])
    write(folder / "region=n%2Fa" / "part-1.parquet", id=["d"], amount=[4.0])
    write(folder / "region=__HIVE_DEFAULT_PARTITION__" / "x.parquet", id=["e"], amount=[5])
    write(folder / "_temporary" / "part-1.parquet", id=["z"], amount=[9])
    (folder / "_SUCCESS").write_text("")
    (folder / "notes.txt").write_text("none")


@pytest.mark.parametrize(
    "source",
    [
        'path = "borrowers"',
        'path = "borrowers/**/*.parquet"',
        'path = "borrowers/region=*/*.parquet"',
        'kind = "parquet"\npath = "borrowers/region=*/*"',
    ],
)
def test_folders_and_patterns_are_one_table(tmp_path: Path, source: str) -> None:
    """Files follow their names, each with its own types; partitions are columns of text."""
    write_partitions(tmp_path / "borrowers")
    loaded = load(tmp_path, MANIFEST, source)
    assert loaded.identifiers == ("a", "b", "c", "e", "d")
    amount, region = loaded.features
    assert amount.values.tolist() == [1, 2, 3.5, 5, 4]
    assert region.values.tolist() == ["01", "01", "01", None, "n/a"]


def test_a_folder_of_any_name_is_read_where_its_kind_is_said(tmp_path: Path) -> None:
    """Signs of patterns and dots in a folder's name are taken as they stand."""
    write(tmp_path / "v1.2 [x]" / "a.parquet", id=["a"], amount=[1], region=["n"])
    loaded = load(tmp_path, MANIFEST, 'kind = "parquet"\npath = "v1.2 [x]"')
    assert loaded.identifiers == ("a",)


def test_dictionaries_of_a_file_may_hold_more_than_its_rows(tmp_path: Path) -> None:
    """Each file has a dictionary of its own; they become one, in order of appearance."""
    coded = pa.DictionaryArray.from_arrays(pa.array([2, None, 0]), pa.array(["s", "?", "n"]))
    write(tmp_path / "b" / "1.parquet", id=["a", "b", "c"], amount=[1, 2, 3], region=coded)
    write(tmp_path / "b" / "2.parquet", id=["d", "e"], amount=[1, 2], region=["e", "s"])
    loaded = load(tmp_path, MANIFEST, 'path = "b"')
    assert loaded.features[1].values.tolist() == ["n", None, "s", "e", "s"]


def test_rows_are_named_by_file(tmp_path: Path) -> None:
    """Row numbers begin anew in every file."""
    write_partitions(tmp_path / "borrowers")
    write(tmp_path / "borrowers" / "region=02" / "p.parquet", id=["f", "g"], amount=["1", "old"])
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, 'path = "borrowers"')
    assert "borrowers, column 'amount': file region=02/p.parquet, row 2 has text" in str(
        error.value
    )
    write(tmp_path / "borrowers" / "region=02" / "p.parquet", id=["f", "a"], amount=["1", "2"])
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, 'path = "borrowers"')
    assert (
        "file region=01/part-1.parquet, row 1 and file region=02/p.parquet, row 2 have the same id"
        in str(error.value)
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('path = "none"', "none: there is no such file; set 'path' of the manifest to where the"),
        ('path = "empty"', "empty: holds no .parquet file; set 'path' of the manifest to a file,"),
        ('path = "b/*.parquet"', "b/*.parquet: fits no .parquet file; set 'path'"),
        ('path = "lacking"', "lacking: file 2.parquet has no column 'amount', unlike file 1.parq"),
        ('path = "damaged"', "damaged/2.parquet: cannot be read; it must be a Parquet table"),
        ('path = "broken"', "broken/2.parquet: cannot be read; the Parquet file is damaged"),
        ('path = "nested"', "column 'region': holds values of type struct; a column must hold te"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_sentence(
    tmp_path: Path, source: str, sentence: str
) -> None:
    """The file is named where one is to blame, and nothing is taken from the others."""
    good = {"id": ["a"], "amount": [1], "region": ["n"]}
    (tmp_path / "empty").mkdir()
    for name in ("lacking", "damaged", "broken"):
        write(tmp_path / name / "1.parquet", **good)
    write(tmp_path / "lacking" / "2.parquet", id=["b"], region=["s"])
    (tmp_path / "damaged" / "2.parquet").write_bytes(b"PAR1 and no more")
    write(tmp_path / "nested" / "1.parquet", **(good | {"region": [{"secret": 1}]}))
    broken = tmp_path / "broken" / "2.parquet"
    write(broken, id=[str(n) for n in range(500)], amount=list(range(500)), region=["n"] * 500)
    content = broken.read_bytes()
    broken.write_bytes(content[:4] + bytes(64) + content[68:])
    with pytest.raises(InputError) as error:
        load(tmp_path, MANIFEST, source)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_progress_is_told_in_rows(tmp_path: Path) -> None:
    """After every batch, up to all rows."""
    write_partitions(tmp_path / "borrowers")
    load(tmp_path, MANIFEST, 'path = "borrowers"')
    told: list[int] = []
    manifest = read_manifest(tmp_path / "manifest.toml")
    load_table(manifest, now=datetime(2026, 7, 1, tzinfo=UTC), on_progress=told.append)
    assert told == [2, 3, 4, 5]


CHILD = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from clients.manifest import read_manifest
from clients.sources import load_table

def peak():
    # Of this process alone; what getrusage says begins with the parent's.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

before = peak()
table = load_table(read_manifest(sys.argv[1]), now=datetime.now(UTC))
after = peak()
print(table.row_count, len(set(table.features[1].values.tolist())), after - before)
"""
ROWS = 400_000
LONG = 2_000  # letters a text


def test_a_table_larger_than_memory_is_read_in_batches(tmp_path: Path) -> None:
    """2.4 GB of text, small on disk: what is kept are floats and a few distinct texts."""
    notes = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(ROWS // 4) % 50, pa.int32()),
        pa.array([str(n) * LONG for n in range(50)]),
    )
    regions = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(ROWS // 4) % 7, pa.int32()),
        pa.array([f"{n}".ljust(LONG, ".") for n in range(7)]),
    )
    for part in range(4):
        start = part * (ROWS // 4)
        columns: Mapping[str, object] = {
            "id": [f"{start + n:08}" for n in range(ROWS // 4)],
            "amount": np.arange(ROWS // 4, dtype=np.float64),
            "region": regions,  # read, and compact as indices
            "note": notes,  # not declared: not read
            "other": notes,
        }
        write(tmp_path / "borrowers" / f"{part}.parquet", **columns)
    assert ROWS * LONG * 3 > 2_000_000_000
    (tmp_path / "manifest.toml").write_text(MANIFEST.replace("{source}", 'path = "borrowers"'))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "manifest.toml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    rows, regions_found, kilobytes = map(int, done.stdout.split())
    assert (rows, regions_found) == (ROWS, 7)
    # The ids as Python's texts are the larger part of what is kept.
    assert kilobytes < 400_000

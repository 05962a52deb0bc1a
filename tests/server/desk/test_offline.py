"""A file of borrowers, scored offline by the desk's own engine."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import veilscore
from clients.vault import save_served_model
from clients.vault.party_key_file import PARTY_KEY
from federation.errors import InputError
from federation.schema import FeatureKind, FeatureSpec
from federation.scoring import default_probability, scores_of
from server.desk.offline import score_file
from server.desk.offline_input import read_borrowers, write_scores
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model
from tests.server.desk.partner_sides import partner_process

SPECS = (FeatureSpec("age", FeatureKind.NUMERIC), FeatureSpec("sector", FeatureKind.CATEGORICAL))


def run_folder(made: HandMade, folder: Path) -> Path:
    """A run's folder with the served model."""
    (folder / LABEL_PARTY).mkdir(parents=True)
    save_served_model(folder / LABEL_PARTY / "served-exact.json", made.served, made.keys["bank"])
    return folder


def csv_of(made: HandMade, path: Path, extra: Sequence[str] = ()) -> Path:
    """The label party's own columns of every borrower, and of strangers."""
    names = [column.spec.name for column in made.own]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *names, "unused"])
        for number, borrower in enumerate(made.borrowers):
            row = made.row(number)
            writer.writerow([borrower, *("" if row[n] is None else row[n] for n in names), "x"])
        for stranger in extra:
            row = made.row(0)
            writer.writerow([stranger, *("" if row[n] is None else row[n] for n in names), "x"])
    return path


def test_a_file_gets_the_scores_of_the_parts(tmp_path: Path) -> None:
    """A model of the bank alone: to the last bit what its part gives."""
    made = served_model(())
    source = csv_of(made, tmp_path / "b.csv")
    output = tmp_path / "scores.parquet"
    run = run_folder(made, tmp_path / "run")
    score_file(run, "", source, output, None, None)
    table = pq.read_table(output)
    log_odds = made.served.main.calibration.log_odds(made.points(made.served.main))
    assert table.column("id").to_pylist() == list(made.borrowers)
    np.testing.assert_array_equal(table.column("score"), scores_of(log_odds))
    np.testing.assert_array_equal(
        table.column("probability_of_default"), default_probability(log_odds)
    )


def test_partners_are_asked_as_online(tmp_path: Path) -> None:
    """Two real partners; strangers are scored by the bank alone, and so is all without a desk."""
    made = served_model(("platform", "lessor"))
    run = run_folder(made, tmp_path / "run")
    source = csv_of(made, tmp_path / "b.csv", extra=["nobody knows me"])
    desk, vault = tmp_path / "desk", tmp_path / "vault"
    desk.mkdir()
    vault.mkdir(mode=0o700)
    seed = LABEL_PARTY.encode().ljust(32, b".")[:32]
    (vault / PARTY_KEY).write_bytes(seed)
    (vault / PARTY_KEY).chmod(0o600)
    parties = ("platform", "lessor")
    with (
        partner_process("platform", parties) as (a, _),
        partner_process("lessor", parties) as (
            b,
            _,
        ),
    ):
        (desk / "desk.toml").write_text(
            f'[desk]\nlabel_party_vault = "../vault"\n[partners.platform]\naddress = "{a}"\n'
            f'[partners.lessor]\naddress = "{b}"\n'
        )
        _, scores = score_file(run, "", source, tmp_path / "s.csv", desk, None)
    main, alone = made.served.main, made.served.alone
    expected = scores_of(main.calibration.log_odds(made.points(main)))
    assert scores.scores[:-1] == expected.tolist()
    assert scores.variants == [main.name] * len(made.borrowers) + [alone.name]
    assert not scores.failed
    _, scores = score_file(run, "", source, tmp_path / "s.csv", None, None)
    assert set(scores.variants) == {alone.name}
    assert scores.failed == {"platform": "not asked", "lessor": "not asked"}


def test_the_command_says_who_scored_how_many(tmp_path: Path) -> None:
    """In words, and for machines."""
    made = served_model(("platform",))
    run = run_folder(made, tmp_path / "run")
    source = csv_of(made, tmp_path / "b.csv")
    output = str(tmp_path / "s.csv")
    arguments = ["score", str(run), "--input", str(source), "--output", output]
    said = CliRunner().invoke(veilscore.app, arguments).stdout
    assert f"Scored {len(made.borrowers)} borrowers" in said
    assert "platform was not asked: --desk says where" in said
    record = json.loads(CliRunner().invoke(veilscore.app, [*arguments, "--json"]).stdout)
    assert record["scored"] == len(made.borrowers)
    assert record["variants"] == {made.served.alone.name: len(made.borrowers)}


WRONG = {
    "no id": ("age,sector\n1,a\n", "has no column 'id' of borrower ids"),
    "lacks one": ("id,age\n1,2\n", "lacks the column sector"),
    "lacks two": ("id\n1\n", "lacks the columns age, sector"),
    "text": ("id,age,sector\n1,2,a\n2,old,a\n", "row 2, column 'age': is no number"),
    "underscore": ("id,age,sector\n1,1_0,a\n", "row 1, column 'age': is no number"),
    "empty id": ("id,age,sector\n,2,a\n", "row 1 has no id"),
    "no row": ("id,age,sector\n", "holds no borrower"),
    "twice": ("id,age,age,sector\n1,2,3,a\n", "two columns 'age'"),
    "ragged": ("id,age,sector\n1,2\n", "can't be read as csv"),
    "empty": ("", "can't be read as csv"),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_not_right_is_said_so(content: str, sentence: str, tmp_path: Path) -> None:
    """What, where, and what would be right."""
    path = tmp_path / "b.csv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_borrowers(path, SPECS, None)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    """Nothing else comes out."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("b.csv", "b.parquet"):
            path = Path(folder) / name
            path.write_bytes(content)
            with pytest.raises(InputError):
                read_borrowers(path, SPECS, None)


def test_a_wrong_value_names_the_rows_and_writes_nothing(tmp_path: Path) -> None:
    """Nothing half-written."""
    made = served_model(())
    source = csv_of(made, tmp_path / "b.csv")
    lines = source.read_text().splitlines()
    lines[3] = lines[3].replace(lines[3].split(",")[1], "9999", 1)
    source.write_text("\n".join(lines) + "\n")
    output = tmp_path / "s.csv"
    run = run_folder(made, tmp_path / "run")
    with pytest.raises(InputError, match="rows 1 to 400"):
        score_file(run, "", source, output, None, None)
    assert not output.exists()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    """Both ways."""
    with pytest.raises(InputError, match=r"'\.xlsx'; \.csv or \.parquet is right"):
        write_scores(tmp_path / "s.xlsx", {"id": ["1"]})
    with pytest.raises(InputError, match=r"there is no such file"):
        read_borrowers(tmp_path / "b.csv", SPECS, None)


def test_integers_and_text_mean_the_same_in_parquet(tmp_path: Path) -> None:
    """An integer column of ids, nulls in numbers."""
    path = tmp_path / "b.parquet"
    table = pa.table({"id": [1, 2], "age": [3, None], "sector": ["a", None]})
    pq.write_table(table, path)
    read = read_borrowers(path, SPECS, None)
    assert read.identifiers == ["1", "2"]
    age, sector = read.columns
    assert age.missing is not None
    assert sector.missing is not None
    assert age.missing.tolist() == [False, True] == sector.missing.tolist()
    assert age.values[0] == 3.0

"""What a person got wrong: one sentence with what, where and what would be right; nothing written.

Every case goes through a party's own part of a run, as in its process; two go through the whole
command, with Flower and Ray between the party and the person.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import veilscore
from clients.example import write_example
from clients.federation_file import read_federation
from federation.errors import InputError
from tests.clients.example_runs import files_below, run_all

ROOT = Path(veilscore.__file__).parent


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user gets it; copied for every test that changes it."""
    return write_example(tmp_path_factory.mktemp("example")).parent


@pytest.fixture
def folder(example: Path, tmp_path: Path) -> Path:
    """A federation of one's own."""
    return Path(shutil.copytree(example, tmp_path / "federation"))


def edit(file: str, pattern: str, replacement: str, count: int = 1) -> Callable[[Path], None]:
    """A change of a file, by a regular expression over its lines."""

    def change(folder: Path) -> None:
        path = folder / file
        text, changes = re.subn(
            pattern, replacement, path.read_text(), count=count, flags=re.MULTILINE
        )
        assert changes
        path.write_text(text)

    return change


def delete(file: str) -> Callable[[Path], None]:
    """A file that is not there."""
    return lambda folder: (folder / file).unlink()


BANK, SHOP = "bank/borrowers.csv", "platform/merchants.csv"
CASES = {
    "a missing table": (
        delete(SHOP),
        "platform/merchants.csv: there is no such file; set 'path' of the manifest to where",
    ),
    "a wrong column": (
        edit("platform/manifest.toml", "^disputes = ", "quarrels = "),
        r"platform/manifest.toml: a column of \[features\] is 'quarrels', which "
        r".*platform/merchants.csv does not have; ",
    ),
    "a wrong label column": (
        edit("bank/manifest.toml", '^column = "defaulted"', 'column = "default"'),
        r"bank/manifest.toml: \[label\] column is 'default', which .*; did you mean 'defaulted'\?",
    ),
    "nobody is shared": (
        edit(SHOP, r"^(\d)", r"X\1", 0),
        "none of the 6,000 borrowers is known to platform; check that both manifests name the same",
    ),
    "a label with one class": (
        edit("bank/borrowers.csv", "1$", "0", 0),
        "bank/borrowers.csv, column 'defaulted': the label has one class, none of 6000 rows is "
        r"positive \('1'\); it needs defaults and repaid loans",
    ),
    "a label of a third kind": (
        edit("bank/borrowers.csv", r"\A(.*\n.*),\d$", r"\1,perhaps"),
        "bank/borrowers.csv, column 'defaulted': has 2 values that are not 'positive' of the",
    ),
    "no number in a numeric feature": (
        edit(BANK, r"\A(.*\n\d+,)\d+", r"\1much"),
        r"bank/borrowers.csv, column 'loan_amount': row 1 \(line 2\) has text where a number must "
        "be; correct it, list it under 'missing', or make the feature categorical",
    ),
    "an infinite number": (
        edit(BANK, r"\A(.*\n\d+,)\d+", r"\1inf"),
        r"bank/borrowers.csv, column 'loan_amount': row 1 \(line 2\) has an infinite number",
    ),
    "a value out of range": (
        edit(BANK, r"\A(.*\n\d+,)\d+", r"\1-5"),
        r"bank/borrowers.csv, column 'loan_amount': row 1 \(line 2\) lies below the minimum 0",
    ),
    "a duplicate id": (
        edit(BANK, r"\A(.*\n)(\d+)(.*\n)\d+", r"\1\2\3\2"),
        r"bank/borrowers.csv, column 'registration_number': row 1 \(line 2\) and row 2 "
        r"\(line 3\) have the same id; a borrower must have exactly one row",
    ),
    "a NaN id": (
        edit(SHOP, r"\A(.*\n)\d+ ?", r"\1NaN"),
        r"platform/merchants.csv, column 'registration_number': row 1 \(line 2\) ",
    ),
    "consents that have all expired": (
        edit(SHOP, "2099-12-31$", "2019-12-31", 0),
        "platform/merchants.csv: no row of .* has a consent for the purpose 'credit-scoring' that "
        r"holds at .*\(\d+ expired, \d+ none\); renew the consents",
    ),
    "a consent's end that is no date": (
        edit(SHOP, "2099-12-31$", "soon"),
        "platform/merchants.csv, column 'consent_until': row .* has no date where the end of "
        "a consent must be; write 2027-12-31 or",
    ),
    "a missing manifest": (
        delete("bank/manifest.toml"),
        r"bank/manifest.toml: there is no such file; a party manifest \(TOML\) must lie here",
    ),
    "another party's manifest": (
        edit("platform/manifest.toml", '^name = "platform"', 'name = "shop"'),
        r"platform/manifest.toml: \[party\] is 'shop' with role 'feature', but .*federation.toml "
        "names it 'platform' with role 'feature'; the two files must agree",
    ),
    "too few borrowers": (
        edit("bank/borrowers.csv", r"(?s)\A((?:[^\n]*\n){31}).*", r"\1"),
        r"all \d+ borrowers of the \w+ part have the same label \(0\); both classes are needed: "
        "align more borrowers or change the split",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_party_says_what_is_wrong_and_writes_nothing(folder: Path, case: str) -> None:
    """What, where and what would be right; no run's folder, no ledger, nothing half-written."""
    change, sentence = CASES[case]
    change(folder)
    before = files_below(folder)
    with pytest.raises(InputError, match=sentence) as raised:
        run_all(read_federation(folder / "federation.toml"), "run-1")
    assert "\n" not in str(raised.value)
    written = files_below(folder) - before
    keys = {"bank/vault/party.key", "platform/vault/party.key"}
    assert not [name for name in written - keys if "disclosures" not in name]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command line; it must end with status 2 and one line on stderr, which is returned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["veilscore", *arguments])
        with pytest.raises(SystemExit) as ended:
            veilscore.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith("veilscore: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("veilscore: ").rstrip("\n")


def train(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`veilscore train` in a process of its own."""
    return subprocess.run(
        [sys.executable, ROOT / "veilscore.py", "train", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edit("federation.toml", "^bins = 32", "trees = 100"), "model.trees is not a setting of"),
        (edit("federation.toml", "^bins = 32", "bins = 1"), "model.bins is 1; a whole number from"),
        (
            edit("federation.toml", r"^\[privacy\]", "[privacy]\nlabel_epsilon = -1"),
            "privacy.label_epsilon is -1; a number above 0, at most 100 is right",
        ),
        (
            edit("federation.toml", r"^\[privacy\]", "[privacy]\nepsilon_budget = 0"),
            "privacy.epsilon_budget is 0; a positive number is right",
        ),
        (
            edit("federation.toml", "^alignment = .*", 'alignment = "outer"'),
            r"\[federation\] has 'alignment' as 'outer'",
        ),
        (
            edit("federation.toml", "^alignment = ", "alignement = "),
            r"\[federation\] has an unknown key 'alignement'; did you mean 'alignment'\?",
        ),
        (
            edit("federation.toml", r"^\[privacy\]", "[privicy]"),
            "has an unknown table 'privicy'; did you mean 'privacy'",
        ),
        (edit("federation.toml", "^test_share = 0.2", "test_share = 1.5"), "test_share"),
        (edit("federation.toml", r"^\[model\]", "[model"), "is not valid TOML"),
        (delete("federation.toml"), "there is no such file; a federation file"),
        (delete("platform/manifest.toml"), "platform/manifest.toml: there is no such file"),
        (lambda folder: (folder / "runs").write_text("a file"), "runs: is not a folder that can"),
    ],
)
def test_what_the_caller_can_see_is_refused_before_anything_starts(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    sentence: str,
) -> None:
    """Settings and missing files: no Ray is started for them, nothing is written."""
    change(folder)
    before, modules = files_below(folder), set(sys.modules)
    said = refused(capsys, "train", "--config", str(folder / "federation.toml"))
    assert re.search(sentence, said), said
    started = {name.partition(".")[0] for name in set(sys.modules) - modules}
    assert not started & {"ray", "flwr"}
    assert files_below(folder) == before


def test_a_training_that_is_asked_for_on_the_command_line_is_checked_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the file's settings are."""
    said = refused(
        capsys, "train", "--config", str(folder / "federation.toml"), "--label-epsilon", "1000"
    )
    assert "privacy.label_epsilon is 1000.0; a number above 0, at most 100 is right" in said


def test_a_partys_bad_table_ends_the_whole_command_with_one_sentence(folder: Path) -> None:
    """Through Flower and Ray: one line, status 2, no noise, no run's folder, no link."""
    edit(SHOP, r"\A(.*\n\d+ ?,)\d+", r"\1ages")(folder)
    before, config = files_below(folder), folder / "federation.toml"
    ended = train("--quiet", "--config", config)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr == (
        f"veilscore: platform: {folder / SHOP}, column 'days_on_platform': row 1 (line 2) has text "
        "where a number must be; correct it, list it under 'missing', or make the feature "
        "categorical\n"
    )
    keys = {"bank/vault/party.key", "platform/vault/party.key"}
    assert files_below(folder) - keys == before
    assert not (folder / "runs").exists()

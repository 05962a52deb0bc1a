"""What a person got wrong with several banks: one sentence, early where it can be, nothing lost.

What settings and manifests show is refused by the command before Flower starts. What only a bank's
own table, vault or ledger shows leaves that bank out, by name, and ends the run where too few are
left. One run goes through the whole command with many faulty banks at once, and one ends in it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from clients.bank.horizontal_training import BankJob, BankTraining
from clients.bank.results import record_name
from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.horizontal_example import write_horizontal_example
from clients.vault import ChainFile, Vault
from federation.errors import PartyFailure, VeilscoreError
from federation.horizontal.messages import declined
from federation.horizontal.server import Ask, Keep, Limits, Outcome, Transcript, coordinate
from federation.privacy import RECORD, Exact
from simulations import horizontal_run
from tests.clients.example_runs import files_below
from tests.clients.small_banks import NAMES, write_small_banks
from tests.simulations.test_bad_input import delete, edit, refused, train

torch.set_num_threads(1)
FILE = "federation.toml"
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of three banks as a user gets it, of two rounds; copied for every test."""
    folder = write_horizontal_example(tmp_path_factory.mktemp("example")).parent
    edit(FILE, r"^\[model\]", "[model]\nrounds = 2")(folder)
    return folder


@pytest.fixture
def folder(example: Path, tmp_path: Path) -> Path:
    """A federation of one's own."""
    return Path(shutil.copytree(example, tmp_path / "federation"))


@pytest.fixture
def no_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower must not be started."""

    def start(*arguments: object, **others: object) -> None:
        raise AssertionError("Flower was started")

    monkeypatch.setattr(horizontal_run, "run_banks_in_flower", start)


def privacy(*lines: str) -> Change:
    """Lines under [privacy]."""
    return edit(FILE, r"^\[privacy\]", "\n".join(["[privacy]", *lines]))


def model(*lines: str) -> Change:
    """Lines under [model]."""
    return edit(FILE, r"^\[model\]", "\n".join(["[model]", *lines]))


def both(*changes: Change) -> Change:
    """One after the other."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def nothing(folder: Path) -> None:
    """No change."""


POSITIVE = "a number above 0, at most 100 is right"
NO_SEQUENCES = edit("metro/manifest.toml", "^sequence = true\n", "", 0)
GRU = edit(FILE, "^architecture = .*", 'architecture = "gru"')
IN_FILE: dict[str, tuple[Change, str]] = {
    "record ε 0": (privacy("record_epsilon = 0"), f"privacy.record_epsilon is 0.0; {POSITIVE}"),
    "record ε -1": (privacy("record_epsilon = -1"), f"privacy.record_epsilon is -1.0; {POSITIVE}"),
    "record ε nan": (privacy("record_epsilon = nan"), f"privacy.record_epsilon is nan; {POSITIVE}"),
    "client ε 0": (privacy("client_epsilon = 0"), f"privacy.client_epsilon is 0; {POSITIVE}"),
    "client ε -1": (privacy("client_epsilon = -1"), f"privacy.client_epsilon is -1; {POSITIVE}"),
    "client ε nan": (privacy("client_epsilon = nan"), f"privacy.client_epsilon is nan; {POSITIVE}"),
    "client ε text": (
        privacy('client_epsilon = "3"'),
        f"privacy.client_epsilon is '3'; {POSITIVE}",
    ),
    "label ε": (
        privacy("label_epsilon = -1"),
        "privacy.label_epsilon protects labels in a vertical federation; several banks protect "
        "whole records: write record_epsilon",
    ),
    "δ 0": (
        privacy("record_epsilon = 3", "delta = 0"),
        "privacy.delta is 0.0; a number above 0 and below 0.1 is right",
    ),
    "δ -1": (privacy("client_epsilon = 3", "delta = -1"), "privacy.delta is -1.0; a number above"),
    "δ nan": (privacy("delta = nan"), "privacy.delta is nan; a number above 0 and below 0.1"),
    "budget 0": (
        privacy("record_epsilon = 3", "epsilon_budget = 0"),
        "privacy.epsilon_budget is 0; a positive number is right",
    ),
    "client budget nan": (
        privacy("client_epsilon = 3", "client_epsilon_budget = nan"),
        "privacy.client_epsilon_budget is nan; a positive number is right",
    ),
    "budget below ε": (
        privacy("record_epsilon = 3", "epsilon_budget = 1.5"),
        "privacy.epsilon_budget is 1.5, and this run's record_epsilon is 3; ask for 1.5 at most",
    ),
    "client budget below ε": (
        privacy("client_epsilon = 3", "client_epsilon_budget = 1"),
        "privacy.client_epsilon_budget is 1, and this run's client_epsilon is 3; ask for 1 at most",
    ),
    "budget without ε": (
        privacy("epsilon_budget = 2"),
        "privacy.epsilon_budget is 2, but this run has no record_epsilon, so no budget can be kept",
    ),
    "unknown privacy": (
        privacy("record_epsilom = 3"),
        r"\[privacy\] has an unknown key 'record_epsilom'; did you mean 'record_epsilon'\?",
    ),
    "unknown model": (
        model("batchsize = 3"),
        r"model.batchsize is not a setting of the neural model; did you mean 'batch_size'\?",
    ),
    "ε in the wrong table": (
        model("record_epsilon = 3"),
        r"\[model\] has 'record_epsilon', which belongs under \[privacy\]: privacy.record_epsilon",
    ),
    "unknown aggregation": (
        edit(FILE, '^scheme = "bfv"', 'scheem = "bfv"'),
        r"\[aggregation\] has an unknown key 'scheem'; did you mean 'scheme'\?",
    ),
    "another kind": (model('kind = "additive"'), "model.kind is 'additive'; several banks train"),
    "unknown architecture": (
        edit(FILE, "^architecture = .*", 'architecture = "cnn"'),
        'model.architecture is \'cnn\'; "mlp" or "gru" or "lstm" is right',
    ),
    "no sequences": (
        both(GRU, NO_SEQUENCES),
        'metro/manifest.toml: declares no monthly sequences, which model.architecture = "gru" '
        r'reads; declare groups with sequence = true under \[features\], or take "mlp"',
    ),
    "a feature party": (
        edit(FILE, r'(?s)(parties.metro\]\s+role = )"label"', r'\1"feature"'),
        r"\[parties\] has 'metro' with role = \"feature\" although topology = \"horizontal\"",
    ),
    "a feature party's manifest": (
        edit("metro/manifest.toml", '^role = "label"', 'role = "feature"'),
        r"metro/manifest.toml: has a table \[label\] at a party with role = \"feature\"; remove",
    ),
    "no bounds": (
        both(
            privacy("record_epsilon = 3"),
            edit("metro/manifest.toml", ", minimum = 18, maximum = 100", ""),
        ),
        r"metro/manifest.toml: \[features\] lacks 'minimum' or 'maximum' of 'age'; a diff",
    ),
    "another unit at one of three": (
        edit("metro/manifest.toml", "EUR a month", "USD"),
        "the banks' manifests must declare the same .features., and too few do: unlike north, "
        "metro: 'income' has unit 'USD', not 'EUR a month'; make at least 3 agree",
    ),
    "another schema": (
        both(
            edit("coast/manifest.toml", '"public service"', '"state"'),
            edit("metro/manifest.toml", "^age = .*\n", ""),
        ),
        "unlike north, coast: 'job' has categories employed, self-employed, state, not employed, "
        "public service, self-employed; metro: lacks 'age'; make at least 3 agree",
    ),
    "no manifest": (delete("metro/manifest.toml"), "metro/manifest.toml: there is no such file"),
    "output": (lambda folder: (folder / "runs").write_text("x"), "runs: is not a folder that can"),
}


@pytest.mark.parametrize("case", IN_FILE)
def test_what_files_show_is_refused_before_anything_starts(
    folder: Path, no_flower: None, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Settings and manifests: one sentence that names the file, nothing is written."""
    change, sentence = IN_FILE[case]
    change(folder)
    before = files_below(folder)
    said = refused(capsys, "train", "--config", str(folder / FILE))
    assert re.search(sentence, said), said
    assert said.startswith(f"{folder}/")
    assert files_below(folder) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--record-epsilon", "0"], f"--record-epsilon 0: {POSITIVE}"),
        (["--record-epsilon", "-1"], f"--record-epsilon -1: {POSITIVE}"),
        (["--record-epsilon", "nan"], f"--record-epsilon nan: {POSITIVE}"),
        (["--client-epsilon", "0"], f"--client-epsilon 0: {POSITIVE}"),
        (["--client-epsilon", "-1"], f"--client-epsilon -1: {POSITIVE}"),
        (["--client-epsilon", "nan"], f"--client-epsilon nan: {POSITIVE}"),
        (["--label-epsilon", "-1"], "--label-epsilon: protects labels in a vertical federation"),
        (["--architecture", "cnn"], "--architecture cnn: one of mlp, gru, lstm is right"),
        (["--model", "additive"], "--model additive: several banks train a neural model"),
        (["--topology", "vertical"], "'topology' as 'horizontal', in which every party holds"),
        (["--banks", "1"], "--banks 1: divides the UCI data of the demo, and "),
        (["--partition", "iid"], "--partition iid: divides the UCI data of the demo, and "),
        (["--output", "federation.toml"], "federation.toml: is not a folder that can be written"),
        (["--resume", "20261122-run"], "--resume 20261122-run: there is no such run in "),
        (["--resume", "../x"], "--resume '../x': is no run's name; name a folder in "),
        (["--resume", "/etc"], "--resume '/etc': is no run's name"),
        (["--resume", ""], "--resume '': is no run's name"),
    ],
)
def test_what_options_ask_wrongly_is_refused_by_their_names(
    folder: Path,
    no_flower: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    sentence: str,
) -> None:
    """As early as what the file says."""
    monkeypatch.chdir(folder)
    before = files_below(folder)
    said = refused(capsys, "train", "--config", str(folder / FILE), *options)
    assert sentence in said
    assert files_below(folder) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--banks", "1"], "1 banks were asked for; from 2 to 200 are right"),
        (["--partition", "sorted"], "there is no partition 'sorted'; write iid, dirichlet:0.3"),
        (["--partition", "../x"], "there is no partition '../x'"),
        (["--partition", "dirichlet:x"], "partition 'dirichlet:x': write a number, such as"),
        (["--partition", "dirichlet:-1"], "partition: alpha is -1; a positive number is right"),
        (["--partition", "attribute:SHOE"], "there is no attribute 'SHOE'; choose one of"),
        (["--record-epsilon", "-1"], f"--record-epsilon -1: {POSITIVE}"),
        (["--model", "blind"], "--model blind: several banks train a neural model"),
    ],
)
def test_a_division_that_can_not_be_made_is_refused(
    tmp_path: Path,
    no_flower: None,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    """Of the UCI data: before a bank's folder is written."""
    output = tmp_path / "out"
    said = refused(capsys, "train", "--topology", "horizontal", "--output", str(output), *options)
    assert sentence in said
    assert not output.exists()


@pytest.mark.parametrize(
    "options",
    [["--banks", "3"], ["--partition", "iid"], ["--record-epsilon", "3"], ["--resume", "x"]],
)
def test_options_of_banks_without_banks_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """They would be left unused: the data of the demo is vertical unless it is asked otherwise."""
    said = refused(capsys, "train", "--output", str(tmp_path / "out"), *options)
    assert said.startswith(" ".join(options))
    assert said.endswith(": is for several banks; add --topology horizontal")
    assert not (tmp_path / "out").exists()


def test_demo_data_that_can_not_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is a file; the demo sees that, and a wrong ε, before its first run too."""
    (tmp_path / "out").write_text("a file")
    output = ["--output", str(tmp_path / "out")]
    sentence = "out: is not a folder that can be written to (Not a directory); name another one"
    assert sentence in refused(capsys, "train", "--topology", "horizontal", *output)
    assert sentence in refused(capsys, "demo", *output)
    said = refused(capsys, "demo", "--record-epsilon", "-2", *output)
    assert said == f"--record-epsilon -2: {POSITIVE}"


def test_a_run_that_is_no_stopped_run_of_banks_is_not_resumed(
    folder: Path, tmp_path: Path, no_flower: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vertical one, one whose transcript is damaged; nothing in their folders changes."""
    vertical, damaged = folder / "runs" / "vertical", folder / "runs" / "damaged"
    (vertical / "bank").mkdir(parents=True)
    (vertical / "metrics.json").write_text("{}")
    (damaged / "coordinator").mkdir(parents=True)
    (damaged / "coordinator" / "transcript.json").write_text('{"format": "of another kind"}')
    before = files_below(folder)
    command = ["train", "--config", str(folder / FILE), "--resume"]
    assert "vertical holds no horizontal run that was stopped" in refused(
        capsys, *command, "vertical"
    )
    said = refused(capsys, *command, "damaged")
    assert "damaged/coordinator/transcript.json: is damaged or of another run; without it" in said
    said = refused(capsys, *command, "gone")
    assert said.endswith(f"there is no such run in {folder}/runs; these can go on: damaged")
    assert files_below(folder) == before
    example = write_example(tmp_path / "vertical")
    said = refused(capsys, "train", "--config", str(example), "--resume", "x")
    assert said == "--resume: a vertical session can't be resumed yet; train again"


# What only a bank's own table, vault or ledger shows.


@dataclass
class Drive:
    """Runs of small banks in this process, their parts as in their own.

    Attributes:
        config: the federation.
        before: called with a bank and what it is asked, before each order.
        overrides: of the settings.
        stop: the run ends before the first ask that begins so.
        kept: the coordinator's transcript.
    """

    config: FederationConfig
    before: Callable[[str, str], None] = lambda bank, what: None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    stop: str = "never"
    kept: Transcript | None = None

    def run(self, name: str) -> Mapping[str, str]:
        """The banks that were left out, and why."""
        excluded: dict[str, str] = {}
        aggregation = self.config.aggregation
        assert aggregation is not None
        limits = Limits(aggregation.minimum_clients, aggregation.dropouts)
        names = [party.name for party in self.config.parties]
        role = coordinate(name, names, limits, self.kept)
        replies: dict[str, bytes] | None = None
        while True:
            try:
                step = role.send(replies) if replies is not None else next(role)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome.excluded
            replies = {}
            if isinstance(step, Keep):
                self.kept = step.transcript
            elif isinstance(step, Ask):
                if step.what.startswith(self.stop):
                    return excluded
                replies = {bank: self._answer(name, bank, step) for bank in step.orders}
            elif step.stage == "left out":
                excluded[step.bank] = step.detail

    def _answer(self, name: str, bank: str, ask: Ask) -> bytes:
        self.before(bank, ask.what)
        job = BankJob(name, bank, self.config, self.overrides, self.config.output, "test")
        try:
            return BankTraining(job).answer(ask.orders[bank])
        except VeilscoreError as error:
            return declined(ask.orders[bank], str(error))


def vault_of(config: FederationConfig, bank: str) -> Vault:
    """A bank's vault."""
    return Vault(config.path.parent / bank / "vault")


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small banks that have trained three times; copied for every test."""
    config = write_small_banks(tmp_path_factory.mktemp("banks"), rounds=1)
    for number in range(3):
        assert not Drive(config).run(f"run-{number}")
    return config.path.parent


@pytest.fixture
def banks(three_runs: Path, tmp_path: Path) -> FederationConfig:
    """Banks of one's own, with a ledger of six entries each: two a run."""
    return read_federation(shutil.copytree(three_runs, tmp_path / "banks") / FILE)


def _altered(lines: list[str]) -> None:
    lines[2] = lines[2].replace("run-1", "run-7")


def _last_altered(lines: list[str]) -> None:
    lines[5] = lines[5].replace("run-2", "run-7")


def _dropped(lines: list[str]) -> None:
    del lines[1]


def _last_dropped(lines: list[str]) -> None:
    del lines[5]


def _cut_off(lines: list[str]) -> None:
    lines[5] = lines[5][:60]


def _inserted(lines: list[str]) -> None:
    lines.insert(1, lines[0])


LEDGER_FAULTS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "altered": (_altered, "line 4: the entry does not follow from the one before; a line was"),
    "last altered": (_last_altered, "line 6: the entry was altered"),
    "dropped": (_dropped, "line 2: the entry was altered or moved"),
    "last dropped": (_last_dropped, "line 6: an entry was dropped; there were 6"),
    "cut off": (_cut_off, "line 6: the last line was cut off"),
    "inserted": (_inserted, "line 2: the entry was altered or moved"),
    "without its end": (
        lambda lines: None,
        "line 1: the file ledger.head beside it, which",
    ),
}


def spoil(config: FederationConfig, bank: str, case: str) -> bytes:
    """Change a bank's ledger by hand; returns what it holds then."""
    path = vault_of(config, bank).ledger_path
    lines = path.read_text().splitlines(keepends=True)
    LEDGER_FAULTS[case][0](lines)
    path.write_text("".join(lines))
    if case == "without its end":
        path.with_name("ledger.head").unlink()
    return path.read_bytes()


@pytest.mark.parametrize("case", LEDGER_FAULTS)
def test_a_ledger_that_was_changed_by_hand_keeps_its_bank_out(
    banks: FederationConfig, case: str
) -> None:
    """Refused with file and line, before keys; the ledger stays as it is, no row is copied."""
    ledger = spoil(banks, "cedar", case)
    excluded = Drive(banks, stop="keys").run("run-3")
    assert excluded.keys() == {"cedar"}
    where = re.escape(f"{vault_of(banks, 'cedar').ledger_path}, ")
    assert re.search(where + LEDGER_FAULTS[case][1], excluded["cedar"]), excluded["cedar"]
    assert vault_of(banks, "cedar").ledger_path.read_bytes() == ledger
    left = {path.name for path in vault_of(banks, "cedar").run_folder("run-3").iterdir()}
    assert left <= {"lock"}


def test_too_many_ledgers_that_were_changed_by_hand_end_the_run(banks: FederationConfig) -> None:
    """Nothing is trained and nothing entered at the others."""
    for bank, case in zip(NAMES, ("altered", "dropped", "cut off"), strict=False):
        spoil(banks, bank, case)
    with pytest.raises(PartyFailure, match=r"2 banks are left and at least 3 must .*ledger.jsonl"):
        Drive(banks).run("run-3")
    for bank in NAMES[3:]:
        assert len(vault_of(banks, bank).ledger()) == 6


def test_a_budget_that_is_used_up_is_refused_before_anything_leaves(tmp_path: Path) -> None:
    """With what is spent, what the run would make of it, the budget, δ and the unit."""
    lines = "\n[privacy]\nrecord_epsilon = 3.0\ndelta = 1e-3\nepsilon_budget = 4.0\n"
    config = write_small_banks(tmp_path, rounds=1, privacy=lines)
    assert not Drive(config).run("run-0")
    before = vault_of(config, "ash").ledger_path.read_bytes()
    sentence = (
        r"privacy.epsilon_budget is 4 \(δ = 0.001, per one borrower's record\): ε = [23]\.\d\d is "
        r"spent, and this run would make it ε = [45]\.\d\d in all; ask for a smaller ε"
    )
    with pytest.raises(PartyFailure, match=sentence):
        Drive(config).run("run-1")
    assert vault_of(config, "ash").ledger_path.read_bytes() == before
    log = ChainFile(vault_of(config, "ash").disclosures_path("run-1"))
    assert "joined" not in {entry.body["kind"] for entry in log.entries}


def test_a_delta_that_could_give_a_record_away_is_refused(banks: FederationConfig) -> None:
    """Each bank knows its own number of records; all refuse."""
    asked = {"record_epsilon": 3.0, "record_delta": 0.01}
    sentence = "privacy.delta is 0.01; with 240 records it must be at most 1/240 = 0.0042"
    with pytest.raises(PartyFailure, match=re.escape(sentence)):
        Drive(banks, overrides=asked).run("run-3")


def test_a_batch_beyond_the_data_of_one_bank_or_of_all(banks: FederationConfig) -> None:
    """The one is left out; if all are, there is no run."""
    edit("birch/rows.csv", r"(?s)\A((?:[^\n]*\n){151}).*", r"\1")(banks.path.parent)
    excluded = Drive(banks, overrides={"batch_size": 200}, stop="keys").run("run-3")
    assert excluded.keys() == {"birch"}
    assert (
        "model.batch_size is 200 and there are 120 training rows; a batch can't"
        in (excluded["birch"])
    )
    with pytest.raises(PartyFailure, match="model.batch_size is 500 and there are 240 training"):
        Drive(banks, overrides={"batch_size": 500}).run("run-4")


def _swap(vault: Vault, other: Vault) -> None:
    shutil.copy(other.run_folder("run-3") / "state.safetensors", vault.run_folder("run-3"))


def _older(vault: Vault, other: Vault) -> None:
    shutil.copy(vault.run_folder("run-2") / "state.safetensors", vault.run_folder("run-3"))


def _lose(vault: Vault, other: Vault) -> None:
    (vault.run_folder("run-3") / "state.safetensors").unlink()


def _lose_all(vault: Vault, other: Vault) -> None:
    shutil.rmtree(vault.home)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (_swap, "is the checkpoint of 'birch' in run 'run-3', not of 'cedar' in run 'run-3'; put"),
        (_older, "is the checkpoint of 'cedar' in run 'run-2', not of 'cedar' in run 'run-3'; put"),
        (_lose, "state.safetensors: the checkpoint of this run, with its keys, is gone; put it"),
        (_lose_all, "was given an order of run 'run-3', which it has not joined"),
    ],
)
def test_a_bank_whose_keys_are_wrong_mid_run_is_left_out(
    banks: FederationConfig, act: Callable[[Vault, Vault], None], reason: str
) -> None:
    """Another bank's, an earlier run's, or none; the others come to the end."""
    acted: list[str] = []

    def before(bank: str, what: str) -> None:
        if bank == "cedar" and what == "contribution, step 1" and not acted:
            acted.append(what)
            act(vault_of(banks, "cedar"), vault_of(banks, "birch"))

    excluded = Drive(banks, before).run("run-3")
    assert acted
    assert excluded.keys() == {"cedar"}
    assert reason in excluded["cedar"]


def test_a_resumed_run_goes_on_without_a_bank_whose_vault_is_gone(banks: FederationConfig) -> None:
    """It is left out by name; where three are gone there is no run."""
    drive = Drive(banks, stop="contribution, step 1")
    drive.run("run-3")
    transcript = drive.kept
    assert transcript is not None
    assert transcript.totals
    shutil.rmtree(vault_of(banks, "cedar").home)
    assert Drive(banks, stop="contribution", kept=transcript).run("run-3") == {
        "cedar": "has lost its keys of this run"
    }
    for bank in ("ash", "birch"):
        shutil.rmtree(vault_of(banks, bank).home)
    with pytest.raises(PartyFailure, match=r"ash: has lost its keys of this run"):
        Drive(banks, kept=transcript).run("run-3")


# The whole command.


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`veilscore train` in a process of its own."""
    return train("--no-baselines", *arguments)


def add_bank(folder: Path, name: str) -> None:
    """One more bank: metro's borrowers once more."""
    shutil.copytree(folder / "metro", folder / name)
    edit(f"{name}/manifest.toml", '^name = "metro"', f'name = "{name}"')(folder)
    party = f'[parties.{name}]\nrole = "label"\nmanifest = "{name}/manifest.toml"\n'
    edit(FILE, r"^\[split\]", f"{party}\n[split]")(folder)


FAULTS: dict[str, tuple[Change, str]] = {
    "few": (
        edit("few/borrowers.csv", r"(?s)\A((?:[^\n]*\n){6}).*", r"\1"),
        "borrowers.csv: has fewer than 10 defaults or fewer than 10 repaid loans outside the test",
    ),
    "one-class": (
        edit("one-class/borrowers.csv", "1$", "0", 0),
        "borrowers.csv, column 'defaulted': the label has one class, none of 1400 rows is positive",
    ),
    "small": (
        edit("small/borrowers.csv", r"(?s)\A((?:[^\n]*\n){501}).*", r"\1"),
        "model.batch_size is 500 and there are 320 training rows; a batch can't be larger than",
    ),
    "text": (
        edit("text/borrowers.csv", r"\A(.*\n\d+,)[\d.]+", r"\1old"),
        "borrowers.csv, column 'age': row 1 (line 2) has text where a number must be; correct it",
    ),
    "unit": (
        edit("unit/manifest.toml", "EUR a month", "USD"),
        ": 'income' has unit 'USD', not 'EUR a month'",
    ),
    "written": (nothing, "ledger.jsonl, line 1: the entry was altered"),
}


@pytest.fixture(scope="module")
def faulty(example: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Three banks in order and six that are not: the folder, and what stood on the terminal."""
    folder = Path(shutil.copytree(example, tmp_path_factory.mktemp("faulty") / "federation"))
    model("batch_size = 500")(folder)
    for bank, (change, _) in FAULTS.items():
        add_bank(folder, bank)
        change(folder)
    manifest = read_federation(folder / FILE).manifest_of("written")
    vault = Vault(folder / "written" / "vault")
    vault.enter_event(Exact(), RECORD, record_name(manifest), "an earlier run", "sums", None, 1e-5)
    ledger = vault.ledger_path
    ledger.write_text(ledger.read_text().replace("an earlier run", "no run"))
    ended = command("--config", folder / FILE)
    assert ended.returncode == 0, ended.stderr
    notices = [line for line in ended.stderr.splitlines() if line.startswith("left out: ")]
    assert sorted(line.split(": ")[1] for line in notices) == sorted(FAULTS)
    return folder, ended.stdout


@pytest.mark.slow
def test_faulty_banks_are_left_out_and_the_others_train(faulty: tuple[Path, str]) -> None:
    """Every one with its reason: under the table, in the report, in the figures for machines."""
    folder, said = faulty
    run = (folder / "runs" / "latest").resolve()
    metrics = json.loads((run / "metrics.json").read_bytes())
    report = (run / "report.html").read_text()
    assert set(metrics["banks"]) == {"north", "coast", "metro"}
    assert set(metrics["excluded"]) == set(FAULTS)
    flat = " ".join(said.split())
    for bank, (_, reason) in FAULTS.items():
        assert reason in metrics["excluded"][bank]
        assert str(folder) not in metrics["excluded"][bank]
        assert f"Left out: {bank}: " in flat
        assert " ".join(reason.split()) in flat
        assert bank in report
    assert str(folder) not in report
    assert {path.name for path in run.iterdir() if path.is_dir()} == {
        "coordinator",
        *metrics["banks"],
    }


@pytest.mark.slow
def test_a_run_that_has_ended_is_not_gone_on_with(
    faulty: tuple[Path, str], no_flower: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and leaves the folder as it was."""
    folder, _ = faulty
    run = (folder / "runs" / "latest").resolve()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for name in (run.name, "latest"):
        said = refused(capsys, "train", "--config", str(folder / FILE), "--resume", name)
        assert f"--resume {name}: the run has ended, its results are in " in said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_run_with_too_few_good_banks_ends_with_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 2, no run's folder, and at the banks no row, key or ledger of it."""

    def in_process(
        config: FederationConfig, run: str, *arguments: object, **others: object
    ) -> None:
        Drive(config).run(run)

    monkeypatch.setattr(horizontal_run, "run_banks_in_flower", in_process)
    model("batch_size = 5000")(folder)
    before = files_below(folder)
    said = refused(capsys, "train", "--quiet", "--config", str(folder / FILE))
    assert said.startswith("2 banks are left and at least 3 must contribute (")
    assert "model.batch_size is 5000 and there are 960 training rows" in said
    assert not (folder / "runs").exists()
    assert {Path(name).name for name in files_below(folder) - before} <= {"lock", "party.key"}

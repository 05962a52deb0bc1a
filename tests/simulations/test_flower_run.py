"""A whole `veilscore train` in Flower's simulation: who opens what, what is left, what is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import veilscore
from clients.disclosure_listing import read_disclosures
from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.vault import ChainFile, Vault, load_part
from tests.clients.example_runs import files_below
from tests.simulations.watched_files import AuditedOpens, KernelOpens

ROOT = Path(veilscore.__file__).parent
PARTIES = {"bank": "borrowers.csv", "platform": "merchants.csv"}


@dataclass(frozen=True)
class FlowerRun:
    """A run that has ended, and what was seen of it from outside.

    Attributes:
        config: the federation.
        process: of the command, which itself plays no party.
        stdout, stderr: what it said.
        metrics: its `metrics.json`.
        audited, counted: who opened which files.
        temporary: the folder that it had for temporary files.
    """

    config: FederationConfig
    process: int
    stdout: str
    stderr: str
    metrics: dict[str, Any]
    audited: AuditedOpens
    counted: KernelOpens
    temporary: Path

    @property
    def home(self) -> Path:
        """The federation's folder."""
        return self.config.path.parent

    @property
    def folder(self) -> Path:
        """The run's own."""
        return self.config.output / self.metrics["run"]

    def own_folders(self, party: str) -> list[Path]:
        """Where a party's files lie: its manifest, table and vault, and its part of runs."""
        return [self.home / party, self.folder / party]


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A short path: sockets are made below it."""
    folder = Path(tempfile.mkdtemp(prefix="v", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def train(config: Path, temporary: Path, extra: dict[str, str]) -> subprocess.Popen[str]:
    """Start `veilscore train` with a clean environment."""
    command = [
        sys.executable,
        str(ROOT / "veilscore.py"),
        "train",
        "--json",
        "--config",
        str(config),
    ]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    path = os.pathsep.join(filter(None, [extra.get("PYTHONPATH"), str(ROOT)]))
    return subprocess.Popen(
        command,
        env=kept | extra | {"PYTHONPATH": path, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> FlowerRun:
    """One run of the example federation, watched."""
    home = tmp_path_factory.mktemp("flower").resolve()
    federation = write_example(home / "federation")
    audited = AuditedOpens(federation.parent, home / "watch")
    counted = KernelOpens()
    with counted.watching(*(federation.parent / party for party in PARTIES)):
        process = train(federation, temporary, audited.environment)
        stdout, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr
    config = read_federation(federation)
    metrics = json.loads(stdout)
    return FlowerRun(config, process.pid, stdout, stderr, metrics, audited, counted, temporary)


def test_every_party_is_a_process_of_its_own(run: FlowerRun) -> None:
    """The record names them, and the transport."""
    processes = run.metrics["processes"]
    assert set(processes) == set(PARTIES)
    assert len({*processes.values(), run.process}) == 3
    assert run.metrics["transport"].startswith("stream: every party a process of its own")


def test_no_party_opens_anothers_file(run: FlowerRun) -> None:
    """Neither manifest, table, vault nor model part: each opens its own, and nobody else's."""
    opened = run.audited.by_process()
    for party, process in run.metrics["processes"].items():
        for own in ("manifest.toml", PARTIES[party]):
            assert opened[process][run.home / party / own] > 0
        assert any(path.is_relative_to(run.folder / party) for path in opened[process])
        assert any(path.is_relative_to(run.home / party / "vault") for path in opened[process])
        for other in PARTIES.keys() - {party}:
            for folder in run.own_folders(other):
                assert not [path for path in opened[process] if path.is_relative_to(folder)]
    # Whoever has the party's files open is that party, or the command, which compares afterwards.
    for party, process in run.metrics["processes"].items():
        holders = {p for p, files in opened.items() if any(_is_of(run, party, f) for f in files)}
        assert holders == {process, run.process}


def _is_of(run: FlowerRun, party: str, path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in run.own_folders(party))


def test_nobody_opens_them_behind_the_hooks_back(run: FlowerRun, tmp_path: Path) -> None:
    """The kernel counts as many opens of every manifest and table as the audited reads make.

    Reading a party's files once, alone, says how many opens belong to one audited read: Python's
    for the header, pyarrow's for the rows.
    """
    control = Path(shutil.copytree(run.home, tmp_path / "control"))
    shutil.rmtree(control / "runs")
    for party, table in PARTIES.items():
        audited = AuditedOpens(control, tmp_path / f"watch-{party}")
        script = (
            "import sys, datetime; from clients.federation_file import read_federation; "
            "from clients.sources import load_table; "
            "config = read_federation(sys.argv[1]); "
            "load_table(config.manifest_of(sys.argv[2]), now=datetime.datetime.now(datetime.UTC))"
        )
        with KernelOpens().watching(control / party) as counted:
            environment = os.environ | audited.environment
            environment["PYTHONPATH"] += os.pathsep + str(ROOT)
            command = [sys.executable, "-c", script, str(control / "federation.toml"), party]
            subprocess.run(command, env=environment, check=True, timeout=60)
        for name in ("manifest.toml", table):
            once_audited = audited.times(control / party / name)
            once_counted = counted.times[control / party / name]
            assert once_counted >= once_audited > 0
            reads, rest = divmod(run.audited.times(run.home / party / name), once_audited)
            assert (reads, rest) == (2, 0)  # the party, and the comparison on pooled plaintext
            assert run.counted.times[run.home / party / name] == reads * once_counted


def test_the_watch_notices_what_it_is_there_to_notice(run: FlowerRun, tmp_path: Path) -> None:
    """A foreign open by Python is in the log with its process; one by pyarrow is in the count."""
    home = write_example(tmp_path / "federation").parent
    audited = AuditedOpens(home, tmp_path / "watch")
    table = home / "bank" / "borrowers.csv"
    script = "import sys, pyarrow.csv; pyarrow.csv.read_csv(sys.argv[1])"
    for reads, code in ((0, script), (1, "import sys; open(sys.argv[1]).close()")):
        with KernelOpens().watching(table.parent) as counted:
            command = [sys.executable, "-c", code, str(table)]
            process = subprocess.Popen(command, env=os.environ | audited.environment)
            assert process.wait(60) == 0
        assert counted.times[table] == 1
        assert audited.times(table) == reads
        assert (process.pid in audited.by_process()) == bool(reads)


def test_the_record_has_what_readers_look_for(run: FlowerRun) -> None:
    """`metrics.json` is what was printed; the federation learns more than the bank alone."""
    assert json.loads((run.folder / "metrics.json").read_text()) == run.metrics
    test = run.metrics["test"]
    for model in ("federated", "label_party_alone", "pooled"):
        for metric in ("auc", "ks", "log_loss"):
            low, high = test[model]["intervals_95"][metric]
            assert low < test[model][metric] < high
    assert test["federated"]["auc"] > test["label_party_alone"]["auc"] + 0.05
    assert test["federated"]["auc"] == pytest.approx(test["pooled"]["auc"], abs=0.01)
    assert len(test["baselines"]) >= 3
    assert run.metrics["bytes"]["total"] == sum(run.metrics["bytes"][party] for party in PARTIES)
    assert {"alignment", "set-up", "training 'exact'"} <= set(run.metrics["seconds"])
    assert all(seconds >= 0 for seconds in run.metrics["seconds"].values())
    assert 1 <= run.metrics["rounds"]["exact"] <= 10
    assert (
        sum(run.metrics["borrowers"][part] for part in ("training", "validation", "test"))
        == (run.metrics["borrowers"]["aligned"])
    )
    for party in PARTIES:
        assert run.metrics["learned"][party]["never_saw"]
        sent = sum(kind["bytes"] for kind in run.metrics["disclosures"][party])
        # Sealing adds 33 bytes a piece, and a handshake.
        assert sent < run.metrics["bytes"][party] < 1.01 * sent + 2000


def test_the_report_needs_no_network(run: FlowerRun) -> None:
    """Everything it shows is in the file."""
    report = (run.folder / "report.html").read_text()
    assert report.count("<svg") >= 5
    assert not re.search(r"""(?:src|href|srcset|action)\s*=\s*["']?\s*(?:https?:)?//""", report)
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//|<script[^>]+src|<link\b", report)
    for party in PARTIES:
        assert party in report


def in_vault(run: FlowerRun, party: str) -> set[str]:
    """A vault's files, beside what is kept for the next session."""
    files = files_below(run.home / party / "vault")
    kept = {name for name in files if name.startswith("kept/")}
    assert {Path(name).parent.name for name in kept} == {"alignments", "maps"}
    return files - kept


def test_what_a_run_leaves(run: FlowerRun) -> None:
    """The run's folder with one folder a party, the link, the vaults; nothing else."""
    assert files_below(run.folder) == {
        "metrics.json",
        "report.html",
        "bank/disclosures.jsonl",
        "bank/fit-scores.parquet",
        "bank/model-exact.json",
        "bank/served-exact.json",
        "bank/test-scores.parquet",
        "platform/disclosures.jsonl",
        "platform/model-exact.json",
    }
    latest = run.config.output / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == run.folder
    assert {path.name for path in run.config.output.iterdir()} == {run.folder.name, "latest"}
    for party in PARTIES:
        assert load_part(run.folder / party / "model-exact.json").party == party
    name = run.metrics["run"]
    both = {"party.key", f"disclosures/{name}.jsonl"}
    assert in_vault(run, "bank") == both | {"ledger.jsonl", "ledger.head"}
    assert in_vault(run, "platform") == both


def test_nothing_runs_on_and_no_temporary_file_stays(run: FlowerRun) -> None:
    """No process of the run's environment, no folder of Ray's or Flower's, no library's copy."""
    deadline = time.monotonic() + 10
    while (left := _processes_with(run.temporary)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not files_below(run.temporary)


def _processes_with(temporary: Path) -> list[str]:
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={temporary}\0".encode() in environment.read_bytes():
                found.append((environment.parent / "cmdline").read_bytes().decode())
        except OSError:
            continue  # it has just ended, or is not ours
    return found


def test_json_means_json_only(run: FlowerRun) -> None:
    """Nothing beside it on stdout, nothing at all on stderr."""
    assert run.stdout.startswith("{")
    assert run.stdout.endswith("}\n")
    assert run.stderr == ""


def test_the_disclosure_logs_of_the_run_can_be_checked(run: FlowerRun, tmp_path: Path) -> None:
    """`veilscore disclosures` lists them; one changed line, and it refuses with status 2."""
    logs = read_disclosures(run.folder)
    command = [sys.executable, str(ROOT / "veilscore.py"), "disclosures"]
    listed = subprocess.run(
        [*command, str(run.config.output / "latest")], capture_output=True, text=True, check=True
    )
    assert listed.stdout.count("the chain is intact") == 2
    assert len(listed.stdout.splitlines()) == 2 + sum(map(len, logs.values()))
    copy = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    path = copy / "platform" / "disclosures.jsonl"
    path.write_text(path.read_text().replace('"kind":"answer"', '"kind":"answers"', 1))
    refused = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert re.fullmatch(
        r"veilscore: \S+/platform/disclosures.jsonl, line \d+: the entry does not follow from the "
        r"one before; a line was changed, dropped or inserted\n",
        refused.stderr,
    )


@pytest.mark.slow
def test_a_spent_budget_stops_the_next_run(run: FlowerRun) -> None:
    """Status 2, one sentence, no folder of the second run; the first one and the ledger stay."""
    vault = Vault(run.home / "bank" / "vault")
    ledger = ChainFile(vault.ledger_path).entries
    runs = files_below(run.config.output)
    budgeted = run.home / "budgeted.toml"
    private = "[privacy]\nepsilon_budget = 3.0\nlabel_epsilon = 1.0\n"
    budgeted.write_text(run.config.path.read_text().replace("[privacy]\n", private))
    process = train(budgeted, run.temporary, {})
    stdout, stderr = process.communicate(timeout=200)
    assert process.returncode == 2, stderr
    assert stdout == ""
    assert re.fullmatch(
        r"veilscore: bank: privacy.epsilon_budget is 3 \(δ = 1e-05, per one borrower's label\), "
        r"but something exact was released before, .*\n",
        stderr,
    )
    assert files_below(run.config.output) == runs
    assert (run.config.output / "latest").resolve() == run.folder
    assert ChainFile(vault.ledger_path).entries == ledger
    kinds = {
        entry.body["kind"]
        for path in (vault.home / "disclosures").iterdir()
        for entry in ChainFile(path).entries
        if entry.body["run"] != run.metrics["run"]
    }
    assert not kinds & {"query", "sums"}

"""A whole `veilscore train` of five banks in Flower, killed on the way and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import veilscore
from clients.federation_file import FederationConfig
from clients.vault import ChainFile, Vault
from federation.privacy import RECORD, Exact
from tests.clients.small_banks import NAMES, write_small_banks

ROOT = Path(veilscore.__file__).parent
ROUNDS = 6

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class BanksRun:
    """A run that was killed and resumed.

    Attributes:
        config: the federation.
        totals: sums that the first process left.
        metrics: what the second one said.
    """

    config: FederationConfig
    totals: int
    metrics: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The run's own."""
        return self.config.output / str(self.metrics["run"])


def start(config: FederationConfig, temporary: Path, *extra: str) -> subprocess.Popen[str]:
    """Start `veilscore train` with a clean environment."""
    command = [sys.executable, str(ROOT / "veilscore.py"), "train", "--json", "--no-baselines"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [*command, "--config", str(config.path), *extra],
        env=kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A short path: sockets are made below it."""
    folder = Path(tempfile.mkdtemp(prefix="v", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> BanksRun:
    """The coordinator's process is killed once there are three sums; another one goes on."""
    config = write_small_banks(tmp_path_factory.mktemp("banks"), rounds=ROUNDS)
    process = start(config, temporary)
    deadline = time.monotonic() + 120
    while not (kept := list(config.output.glob("*/coordinator/total-00002.bin"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = kept[0].parents[1]
    assert not (folder / "metrics.json").exists()
    transcript = json.loads((kept[0].parent / "transcript.json").read_bytes())
    assert 2 <= transcript["totals"] < ROUNDS + 2
    process = start(config, temporary, "--resume", folder.name)
    stdout, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr
    return BanksRun(config, transcript["totals"], json.loads(stdout))


def test_a_resumed_run_ends_as_any_other(run: BanksRun) -> None:
    """All banks, all rounds, one model, and figures of it for machines."""
    written = json.loads((run.folder / "metrics.json").read_bytes())
    assert written["run"] == run.metrics["run"] == run.folder.name
    assert written["rounds"] == ROUNDS
    assert written["excluded"] == {}
    assert set(written["banks"]) == set(NAMES)
    assert 0.7 < written["test"]["federated"]["auc"] < 1
    assert abs(written["test"]["federated"]["auc"] - written["released_evaluation"]["auc"]) < 0.01
    assert len(list(run.folder.glob("coordinator/total-*.bin"))) == ROUNDS + 2
    for bank in NAMES:
        summary = json.loads((run.folder / bank / "summary.json").read_bytes())
        assert summary["model_digest"] == written["model_digest"]


def test_what_was_done_before_is_not_done_again(run: BanksRun) -> None:
    """Each bank spent once, and contributed to no more steps than there were sums, and the last."""
    for bank in NAMES:
        vault = Vault(run.config.path.parent / bank / "vault")
        assert [one.event for one in vault.expenditures(RECORD, f"{bank}:*")] == [Exact()]
        kinds = [
            each.body["kind"] for each in ChainFile(vault.disclosures_path(run.folder.name)).entries
        ]
        assert kinds.count("joined") == 2
        assert ROUNDS + 2 <= kinds.count("contributed") <= ROUNDS + 4
        assert kinds[-1] == "finished"


def test_nothing_secret_is_left_of_the_run(run: BanksRun) -> None:
    """Neither in the coordinator's folder nor, of keys and rows, in a bank's vault."""
    rows = run.config.path.parent / "ash" / "rows.csv"
    identity = rows.read_text().splitlines()[1].split(",")[0]
    assert identity == "0-0"
    for bank in NAMES:
        folder = run.config.path.parent / bank / "vault" / "runs" / run.folder.name
        assert {path.name for path in folder.iterdir()} == {"state.safetensors", "lock"}
        model = (run.folder / bank / "model.safetensors").read_bytes()
        for path in (run.folder / "coordinator").iterdir():
            assert model[-200:] not in path.read_bytes()


def test_every_bank_has_its_own_borrowers_scores(run: BanksRun) -> None:
    """And nobody else has them."""
    rows = [pq.read_table(run.folder / bank / "test-scores.parquet").num_rows for bank in NAMES]
    assert rows == [60] * 5
    assert {path.name for path in run.folder.iterdir()} >= {*NAMES, "coordinator", "metrics.json"}
    assert not list((run.folder / "coordinator").glob("*.parquet"))

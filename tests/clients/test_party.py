"""A party's part in a run: what it keeps, what it tells, and where its ledger stops it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clients.disclosure_listing import read_disclosures
from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.party import PartyRun, summary_text
from clients.vault import ChainFile, Vault, load_part
from federation.errors import InputError
from federation.session.in_process import run_in_process
from tests.clients.example_runs import files_below, party_job, run_all, start_all

EXACT = {"name": "exact", "max_rounds": 2}
NOISY = {"name": "noisy", "label_epsilon": 1.0, "noisy_rounds": 2}
SENT_BY_THE_BANK = {"query", "sums", "verdict", "closing", "map_seed"}


def federation(folder: Path, privacy: str = "") -> FederationConfig:
    """The example federation."""
    path = write_example(folder)
    path.write_text(path.read_text().replace("[privacy]\n", f"[privacy]\n{privacy}"))
    return read_federation(path)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """A federation that has run twice: an exact training with a noisy one, then a noisy one."""
    return federation(tmp_path_factory.mktemp("party") / "federation")


@pytest.fixture(scope="module")
def summaries(config: FederationConfig) -> list[dict[str, dict[str, Any]]]:
    """What both parties told of both runs."""
    return [run_all(config, "run-1", [NOISY]), run_all(config, "run-2", [EXACT, NOISY])]


def test_every_party_keeps_its_own_part_and_nothing_else(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """One folder a party; the label party's scores stay with it; nothing is half-written."""
    assert files_below(config.output / "run-2") == {
        "bank/disclosures.jsonl",
        "bank/fit-scores.parquet",
        "bank/model-exact.json",
        "bank/model-noisy.json",
        "bank/served-exact.json",
        "bank/served-noisy.json",
        "bank/test-scores.parquet",
        "platform/disclosures.jsonl",
        "platform/model-exact.json",
        "platform/model-noisy.json",
    }
    for party in ("bank", "platform"):
        part = load_part(config.output / "run-2" / party / "model-exact.json")
        assert (part.party, part.training, part.session) == (party, "exact", "run-2-session")
    bank = {binning.feature for binning in _part(config, "bank").binnings}
    platform = {binning.feature for binning in _part(config, "platform").binnings}
    assert "loan_amount" in bank
    assert "disputes" in platform
    assert not bank & platform


def _part(config: FederationConfig, party: str) -> Any:
    return load_part(config.output / "run-2" / party / "model-exact.json")


def test_what_a_party_keeps_is_for_its_own_eyes(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """Files 0600, folders 0700, in the vault and in the run's folders."""
    for top in (config.output / "run-1", config.path.parent / "bank" / "vault"):
        for path in top.rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_summary_holds_figures_only(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """No id, row, weight or label: it goes to the coordinator. JSON without NaN."""
    bank, platform = summaries[1]["bank"], summaries[1]["platform"]
    assert bank["process"] == os.getpid()
    assert bank["aligned"] == platform["aligned"] == sum(bank["counts"].values())
    assert bank["shared"] == {"platform": bank["aligned"]}
    assert platform["known"] == bank["aligned"]
    assert [training["name"] for training in bank["trainings"]] == ["exact", "noisy"]
    assert all("consent" in note for note in platform["notes"])
    for summary in (bank, platform):
        text = summary_text(summary)
        assert json.loads(text) == json.loads(json.dumps(summary))
        assert len(text) < 8_000
    table = config.path.parent / "bank" / "borrowers.csv"
    identifiers = {line.split(",")[0] for line in table.read_text().splitlines()[1:]}
    assert not any(identifier in json.dumps(summaries) for identifier in identifiers)
    with pytest.raises(ValueError, match="JSON"):
        summary_text({"auc": math.nan})


def test_the_label_partys_scores_are_of_its_own_rows(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """Test rows once each, with their labels, scored by every training and by itself alone."""
    table = pq.read_table(config.output / "run-2" / "bank" / "test-scores.parquet")
    assert table.column_names == ["row", "label", "alone", "exact", "noisy"]
    rows = table.column("row").to_numpy()
    counts = summaries[1]["bank"]["counts"]
    assert len(rows) == len(set(rows.tolist())) == counts["test"]
    own = PartyRun(party_job(config, "bank", "look")).table
    assert own.label is not None
    assert np.array_equal(own.label[rows], table.column("label").to_numpy())
    fitted = pq.read_table(config.output / "run-2" / "bank" / "fit-scores.parquet")
    assert fitted.column_names == ["exact", "noisy"]
    assert fitted.num_rows == counts["training"] + counts["validation"]


def test_the_ledger_goes_on_from_run_to_run(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """The first run's ε is told alone, the second's with all that went before."""
    entries = ChainFile(Vault(config.path.parent / "bank" / "vault").ledger_path).entries
    assert [entry.body["run"] for entry in entries] == ["run-1", "run-2", "run-2"]
    assert [entry.body["event"]["mechanism"] == "exact" for entry in entries] == [
        False,
        True,
        False,
    ]
    assert (
        "ε = 1.00 at δ = 1e-05 per one borrower's label, for 1 release with discrete Gaussian noise"
        in (summaries[0]["bank"]["ledger"]["sentence"])
    )
    assert summaries[1]["bank"]["ledger"]["sentence"].startswith("no ε bounds what was")
    assert len(summaries[1]["bank"]["ledger"]["releases"]) == 3
    assert not (config.path.parent / "platform" / "vault" / "ledger.jsonl").exists()


def test_the_disclosure_log_names_every_message_of_its_run(
    config: FederationConfig, summaries: list[dict[str, dict[str, Any]]]
) -> None:
    """The run's copy is the vault's log; what one says it sent, the other needed."""
    logs = read_disclosures(config.output / "run-1")
    assert set(logs) == {"bank", "platform"}
    for party, entries in logs.items():
        vault = Vault(config.path.parent / party / "vault")
        assert tuple(ChainFile(vault.disclosures_path("run-1")).entries) == entries
        assert {entry.body["run"] for entry in entries} == {"run-1"}
        assert all(entry.body["bytes"] > 0 for entry in entries)
        sequence = [entry.body["sequence"] for entry in entries]
        assert sequence == list(range(len(entries)))
    assert {entry.body["kind"] for entry in logs["bank"]} >= SENT_BY_THE_BANK
    assert {entry.body["kind"] for entry in logs["platform"]} >= {"hello", "map_offer", "answer"}


def test_the_budget_is_a_hard_stop(tmp_path: Path) -> None:
    """A run that would go over it is refused before anything leaves; one that fits goes through."""
    config = federation(tmp_path / "f", "epsilon_budget = 1.2\n")
    run_all(config, "run-1", [NOISY])
    before = files_below(tmp_path)
    with pytest.raises(InputError) as raised:
        start_all(config, "run-2", [NOISY])
    sentence = str(raised.value)
    assert "is 1.2 (δ = 1e-05, per one borrower's label): ε = 1.00 is spent" in sentence
    assert "ask for a smaller ε, or have the budget's owner raise it" in sentence
    with pytest.raises(InputError, match=r"this run would make it exact \(no ε\)"):
        start_all(config, "run-2", [EXACT])
    assert files_below(tmp_path) == before


def test_a_run_that_the_budget_refuses_leaves_no_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes would hold the alignment key, and nobody would close them."""
    opened: list[int] = []
    monkeypatch.setattr("clients.party.open_group", lambda ids, cores: opened.append(ids))
    config = federation(tmp_path / "f", "epsilon_budget = 0.5\n")
    with pytest.raises(InputError, match="privacy.epsilon_budget is 0.5"):
        start_all(config, "run-1", [NOISY])
    assert opened == []


def test_two_runs_at_once_cannot_both_take_what_is_left(tmp_path: Path) -> None:
    """The second one finds the budget spent when it asks, and stops before its sums leave."""
    config = federation(tmp_path / "f", "epsilon_budget = 1.2\n")
    first, second = (start_all(config, run, [NOISY]) for run in ("run-1", "run-2"))
    run_in_process({name: party.machine for name, party in first.items()})
    with pytest.raises(InputError, match=r"privacy.epsilon_budget is .* is spent, and this run"):
        run_in_process({name: party.machine for name, party in second.items()})
    vault = Vault(config.path.parent / "bank" / "vault")
    log = ChainFile(vault.disclosures_path("run-2")).entries
    assert {entry.body["kind"] for entry in log} >= {"plan", "aligned_rows"}
    assert not {entry.body["kind"] for entry in log} & {"query", "sums"}
    assert len(ChainFile(vault.ledger_path).entries) == 1
    assert not (config.output / "run-2").exists()


def test_the_label_party_needs_a_plan(tmp_path: Path) -> None:
    """Without one it would not know what to ask for."""
    config = federation(tmp_path / "f")
    job = party_job(config, "platform", "run-1")
    with pytest.raises(InputError, match="the label party 'platform' was given no plan"):
        PartyRun(replace(job, label_party="platform"))

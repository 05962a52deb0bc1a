"""From a horizontal run's figures to its report: banks, ledgers, course, and what is not shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.bank.results import record_name
from clients.federation_file import FederationConfig, read_federation
from clients.horizontal_example import write_horizontal_example
from clients.horizontal_plan import horizontal_plan
from clients.vault import ChainFile, Vault
from federation.metrics import compare_models
from federation.privacy import CLIENT, RECORD, DistributedGaussian, Exact, SampledGaussian
from federation.report.banks_figures import BanksReport
from federation.report.figures import ModelRole
from federation.session.machine import Sent
from simulations.banks_baselines import ALONE, POOLED
from simulations.banks_checks import COORDINATOR
from simulations.banks_record import FEDERATED, BanksFigures
from simulations.banks_report import report_input, write_banks_report

RUN = "20260701-120000-train-0001"
BANKS = ("north", "coast", "metro")
TEST_ROWS = (150, 120, 90)
STEP = SampledGaussian(3.0, 0.1, 5)
MESSAGES = {"joined": 1, "contributed": 4, "unmasked": 4, "finished": 1}


def figures_of(folder: Path, **overrides: Any) -> BanksFigures:
    """A run as it might have ended: the example's banks, invented scores, no training."""
    config = read_federation(write_horizontal_example(folder))
    rng = np.random.default_rng(5)
    labels = (rng.random(sum(TEST_ROWS)) < 0.25).astype(np.uint8)
    scores = {
        name: 1 / (1 + np.exp(1.2 - strength * labels - rng.normal(size=len(labels))))
        for name, strength in ((FEDERATED, 1.2), (ALONE, 0.9), (POOLED, 1.4))
    }
    return BanksFigures(
        run=RUN,
        created=datetime(2026, 7, 1, 12, tzinfo=UTC),
        config=config,
        plan=horizontal_plan(config, config.manifest_of("north"), overrides),
        summaries={
            bank: summary(config, bank, rows) for bank, rows in zip(BANKS, TEST_ROWS, strict=True)
        },
        excluded={"south": "declined: one class"},
        comparisons=compare_models(labels, scores, ALONE, 50, seed=7),
        labels=labels,
        probabilities=scores,
        disclosures={bank: disclosed(config, bank) for bank in BANKS},
        bytes_up=dict.fromkeys(BANKS, 5_000),
        bytes_down=dict.fromkeys(BANKS, 6_000),
        messages=30,
        seconds={"Flower and Ray": 5.0, "rounds": 9.0},
    )


def summary(config: FederationConfig, bank: str, test_rows: int) -> dict[str, Any]:
    """What a bank says of its run."""
    table = config.party(bank).manifest.parent / "borrowers.csv"
    return {
        "process": 4_711,
        "training_rows": 1_000,
        "test_rows": test_rows,
        "notes": [f"{table}: some values of 'job' count as 'other'"],
        "rounds": 3,
        "model_digest": "c0ffee" * 10,
        "parameters": 500,
        "noise_multiplier": 3.0,
        "update_norms_clipped": 1,
        "curve": [
            {"round": 1, "training_loss": 0.6, "validation_loss": 0.55},
            {"round": 2, "training_loss": 0.5, "validation_loss": 0.48},
            {"round": 3, "training_loss": 0.49},
        ],
        "evaluation": {},
        "calibration": {"slope": 0.8, "intercept": -0.1},
        "seconds": 2.5,
        "peak_rss_mb": 500.0,
        "ledger": {"unit": str(RECORD), "sentence": ""},
    }


def vault_of(config: FederationConfig, bank: str) -> Vault:
    """A bank's vault."""
    return Vault(config.party(bank).manifest.parent / "vault")


def disclosed(config: FederationConfig, bank: str) -> Any:
    """A disclosure log."""
    vault = vault_of(config, bank)
    log = vault.disclosure_log(RUN, RUN)
    for kind, times in MESSAGES.items():
        for _ in range(times):
            log.enter(Sent(log.length, COORDINATOR, kind, 4_000))
    return tuple(ChainFile(vault.disclosures_path(RUN)).entries)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> BanksFigures:
    """A run under both kinds of privacy; north ran before, and once without any."""
    figures = figures_of(
        tmp_path_factory.mktemp("private") / "banks", record_epsilon=3.0, client_epsilon=8.0
    )
    noise = DistributedGaussian(2.0e4, 9.0e4, 1, 500)
    for bank in BANKS:
        vault, dataset = (
            vault_of(figures.config, bank),
            record_name(figures.config.manifest_of(bank)),
        )
        if bank == "north":
            vault.enter_event(STEP, RECORD, dataset, "run-1", "round 1: DP-SGD", None, 1e-5)
        for number in (1, 2, 3):
            vault.enter_event(STEP, RECORD, dataset, RUN, f"round {number}: DP-SGD", None, 1e-5)
            vault.enter_event(
                noise, CLIENT, dataset, RUN, f"round {number}: noisy sum of updates", None, 1e-5
            )
        vault.enter_event(STEP, RECORD, "another:*", RUN, "another data set", None, 1e-5)
    north = record_name(figures.config.manifest_of("north"))
    vault_of(figures.config, "north").enter_event(
        Exact(), RECORD, north, "run-3", "exact sums", None, 1e-5
    )
    return figures


@pytest.fixture(scope="module")
def report(private: BanksFigures) -> BanksReport:
    """Its report's input."""
    return report_input(private)


def test_banks_are_measured_on_their_own_test_borrowers(
    private: BanksFigures, report: BanksReport
) -> None:
    """Counts, default rates and AUC are those of a bank's own slice; gains are within banks."""
    start = 0
    for bank, rows in zip(report.banks, TEST_ROWS, strict=True):
        own = slice(start, start + rows)
        start += rows
        expected = compare_models(
            private.labels[own],
            {name: private.probabilities[name][own] for name in (FEDERATED, ALONE)},
            ALONE,
            10,
            seed=1,
        )
        assert bank.test_borrowers == rows
        assert bank.test_default_rate == pytest.approx(private.labels[own].mean())
        assert bank.federated is not None
        assert bank.alone is not None
        assert bank.federated.value == pytest.approx(expected[FEDERATED].metrics.auc.value)
        assert bank.alone.value == pytest.approx(expected[ALONE].metrics.auc.value)
    assert [row.auc_gain is None for row in report.models] == [False, True, False]
    assert report.models[0].auc_gain == report.within.gain
    assert [one.bank for one in report.left_out] == ["south"]


def test_a_ledger_holds_every_entry_of_the_bank_s_records(report: BanksReport) -> None:
    """A run's equal events are one line; other data sets are not there; units stay apart."""
    north, coast = report.ledgers[0], report.ledgers[1]
    assert [(line.first, line.last, line.entries, line.unit) for line in coast.lines] == [
        (1, 5, 3, RECORD.value),
        (2, 6, 3, CLIENT.value),
    ]
    assert [(line.first, line.last, line.entries, line.run) for line in north.lines] == [
        (1, 1, 1, "run-1"),
        (2, 6, 3, RUN),
        (3, 7, 3, RUN),
        (9, 9, 1, "run-3"),
    ]
    assert sum(line.entries for line in north.lines) == 8
    assert "15 steps of DP-SGD" in coast.lines[0].entry
    assert "“round 1: DP-SGD”, … “round 3: DP-SGD”" in coast.lines[0].entry


def test_every_epsilon_is_of_the_whole_history_up_to_its_line(report: BanksReport) -> None:
    """An earlier run counts; after something exact there is no ε any more."""
    north, coast = report.ledgers[0], report.ledgers[1]
    spent = [line.privacy for line in north.lines]
    assert spent[0] is not None
    assert spent[1] is not None
    assert coast.lines[0].privacy is not None
    assert spent[0].epsilon < coast.lines[0].privacy.epsilon < spent[1].epsilon
    assert spent[3] is None
    assert north.totals[0].startswith("no ε bounds what was given away about one borrower's record")
    assert re.match(r"ε = [\d.]+ at δ = 1e-5 per one bank's whole data set", north.totals[1])


def test_guarantees_of_the_run_name_their_units(report: BanksReport) -> None:
    """Both, each with what it protects."""
    assert [(spend.epsilon, spend.unit) for spend in report.guarantees] == [
        (3.0, RECORD.value),
        (8.0, CLIENT.value),
    ]


def test_the_page_is_written_whole_and_shows_no_path(private: BanksFigures, tmp_path: Path) -> None:
    """A private file; where the banks' files lie is not in it, and every ε has its δ."""
    write_banks_report(private, tmp_path)
    path = tmp_path / "report.html"
    page = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert str(private.config.path.parent) not in page
    assert "borrowers.csv: some values of" in page
    assert "SIMULATED" in page
    assert "south: declined: one class" in page
    assert re.findall(r"ε = [\d.]+(?! ?(?:\(|at )δ = )[^\d.]", page) == []


def test_under_privacy_there_is_no_curve_and_the_report_says_why(
    private: BanksFigures, report: BanksReport
) -> None:
    """Without privacy the same figures have one, with the best round."""
    assert "There is no curve of losses" in report.course.sentence
    plain = replace(private, plan=replace(private.plan, settings=open_settings(private)))
    plain = replace(plain, plan=replace(plain.plan, client_epsilon=None))
    course = report_input(plain).course
    assert "The lowest, 0.4800, came after round 2, whose weights" in course.sentence
    assert [one.validation for one in course.losses] == [0.55, 0.48, None]
    calibrated = dict(report.course.settings)["Calibration of the log-odds"]
    assert calibrated.startswith("times 0.800, plus -0.100")


def open_settings(figures: BanksFigures) -> Any:
    """The same settings without privacy."""
    return replace(figures.plan.settings, record_epsilon=None, patience=3)


def test_an_update_weighs_what_most_contributions_weigh(report: BanksReport) -> None:
    """Bytes of a contribution, from the disclosure logs."""
    assert report.aggregation.update_bytes == 4_000
    assert report.aggregation.parameters == 500
    assert dict(report.aggregation.terms)["Fewest banks in a sum"] == "3"
    assert [line.messages for line in report.sent[0].sent] == list(MESSAGES.values())


def test_scores_that_mostly_tell_banks_apart_are_not_drawn(private: BanksFigures) -> None:
    """Each bank's own model is left out of the curves where its AUC over all banks misleads."""
    assert ModelRole.BANKS_ALONE in [one.role for one in report_input(private).curves]
    bank = np.repeat(np.arange(len(BANKS)), TEST_ROWS)
    rate = np.array([0.9, 0.05, 0.05])[bank]
    labels = (np.random.default_rng(2).random(len(bank)) < rate).astype(np.uint8)
    noise = 0.05 * np.random.default_rng(3).random(len(bank))
    scores = dict(private.probabilities) | {ALONE: np.clip(rate + noise, 0, 1)}
    skewed = replace(
        private,
        labels=labels,
        probabilities=scores,
        comparisons=compare_models(labels, scores, ALONE, 20, seed=7),
    )
    found = report_input(skewed)
    assert ModelRole.BANKS_ALONE not in [one.role for one in found.curves]
    assert "not drawn" in found.models[1].note
    assert found.models[1].metrics.auc.value > 0.9
    assert found.within.alone is not None
    assert found.within.alone.value < 0.7


def test_without_baselines_only_the_federated_network_is_shown(private: BanksFigures) -> None:
    """No gain, no comparison; the banks' own AUC stays."""
    scores = {FEDERATED: private.probabilities[FEDERATED]}
    alone = replace(
        private,
        probabilities=scores,
        comparisons=compare_models(private.labels, scores, FEDERATED, 20, seed=7),
    )
    found = report_input(alone)
    assert [row.auc_gain for row in found.models] == [None]
    assert [(one.alone, one.gain) for one in found.banks] == [(None, None)] * 3
    assert all(one.federated is not None for one in found.banks)
    assert found.within.gain is None

"""A bank and a receivables party, whose table is the index, train, predict and answer online."""

from __future__ import annotations

import asyncio
import csv
import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clients.answering.loading import Loader
from clients.federation_file import FederationConfig, read_federation
from clients.pins import identity_of
from clients.prediction import PredictionJob, PredictionRun
from federation.errors import InputError
from federation.metrics import auc
from federation.scoring.contribution import combine
from federation.session.in_process import run_in_process
from simulations.supply_chain import SupplyChainPlan, draw_supply_chain
from simulations.supply_chain_bank import write_supply_chain_federation
from tests.clients.answering_sides import Bank, Side, answering, job_of, offline_points, variant_of
from tests.clients.example_runs import run_all

pytestmark = pytest.mark.slow

RUN = "r1"
LATER = 30
PLAN = SupplyChainPlan(2_500, 120_000, seed=5, days_after=LATER + 1)
NOON = datetime.combine(PLAN.cut, time(12), UTC)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """A federation of 2,500 suppliers, with a run."""
    chain = draw_supply_chain(PLAN)
    folder = tmp_path_factory.mktemp("supply-chain") / "federation"
    config = read_federation(write_supply_chain_federation(chain, folder, with_events=False))
    run_all(config, RUN)
    return config


def test_the_chains_history_makes_the_banks_model_better(trained: FederationConfig) -> None:
    """Test AUC of the federated model against the bank's own on the same borrowers."""
    scores = pq.read_table(trained.output / RUN / "bank" / "test-scores.parquet").to_pydict()
    labels = np.array(scores["label"])
    alone, together = (auc(labels, np.array(scores[name])) for name in ("alone", "exact"))
    assert 0.6 < alone < 0.75
    assert together > alone + 0.05


def test_borrowers_are_predicted_with_it(trained: FederationConfig) -> None:
    """A prediction of both parties' tables ranks the borrowers' defaults."""
    runs = {
        party.name: PredictionRun(
            PredictionJob(
                run="p1",
                session="p1-session",
                manifest=trained.manifest_of(party.name),
                identity=identity_of(trained, party.name),
                label_party="bank",
                feature_parties=("receivables",),
                alignment=trained.alignment,
                model=trained.output / RUN / party.name / "model-exact.json",
                output=trained.output / "p1" / party.name,
            )
        )
        for party in trained.parties
    }
    run_in_process({name: run.machine for name, run in runs.items()})
    summaries = {name: run.finish() for name, run in runs.items()}
    assert summaries["bank"]["scored"] > 1_000
    with (trained.path.parent / "bank" / "borrowers.csv").open(newline="") as file:
        defaulted = {row["tax_id"]: int(row["defaulted"]) for row in csv.DictReader(file)}
    with (trained.output / "p1" / "bank" / "scores.csv").open(newline="") as file:
        scored = {row["id"]: float(row["log_odds"]) for row in csv.DictReader(file)}
    labels = np.array([defaulted[borrower] for borrower in scored])
    assert auc(labels, np.array(list(scored.values()))) > 0.7


def test_the_bank_asks_online_and_the_answers_move_with_the_day(
    trained: FederationConfig, tmp_path: Path
) -> None:
    """Points as of the day of the reading; a day that the index has not reached changes nothing."""
    shutil.copytree(trained.path.parent, tmp_path / "all", symlinks=True)
    path = tmp_path / "all" / trained.path.name
    expected = offline_points(path, "receivables", "exact", RUN)
    known = sorted(expected)[:200]
    manifest = path.parent / "receivables" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(f"as_of = {PLAN.cut}", 'as_of = "today"'))
    bank, exact = Bank(path), variant_of(path, "exact", ["receivables"], RUN)
    job = job_of(path, "receivables")
    loader = Loader(
        job.manifest, job.identity, job.label_party, job.feature_parties, job.runs, job.settings
    )

    async def ask(side: Side) -> list[int]:
        (answer,) = await bank.ask({"receivables": side.address}, exact, [*known, "nobody"])
        assert answer.known.tolist() == [True] * len(known) + [False]
        points: list[int] = combine([answer]).tolist()
        return points[:-1]

    async def main() -> None:
        async with answering(job_of(trained.path, "receivables")) as side:
            side.service.swap(loader.load(NOON))
            assert await ask(side) == [expected[one] for one in known]
            side.service.swap(loader.load(NOON + timedelta(days=LATER)))
            later = await ask(side)
            assert sum(a != b for a, b in zip(later, map(expected.get, known), strict=True)) > 100

    asyncio.run(main())
    with pytest.raises(InputError, match="let the index catch up"):
        loader.load(NOON + timedelta(days=LATER + 1))

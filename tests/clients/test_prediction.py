"""Scoring a batch with a trained model, from the parties' files to the label party's scores."""

from __future__ import annotations

import csv
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.party import sealed
from clients.pins import identity_of
from clients.prediction import PredictionJob, PredictionRun
from clients.sources import load_table
from clients.vault import load_part
from federation.errors import InputError, ProtocolError
from federation.proto.session_pb2 import Hello, Plan
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Send, Step, expect
from tests.clients.example_runs import run_all

MODES = ("inner", "label-left")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """The example federation with a finished run 'model'."""
    config = read_federation(write_example(tmp_path_factory.mktemp("predict") / "example"))
    run_all(config, "model")
    return config


def job(config: FederationConfig, party: str, run: str, mode: str, **changes: Any) -> PredictionJob:
    """What a party is asked to predict."""
    values: dict[str, Any] = {
        "run": run,
        "session": f"{run}-session",
        "manifest": config.manifest_of(party),
        "identity": identity_of(config, party),
        "label_party": config.label_party.name,
        "feature_parties": tuple(entry.name for entry in config.feature_parties),
        "alignment": mode,
        "model": config.output / "model" / party / "model-exact.json",
        "output": config.output / run / party,
    }
    return PredictionJob(**(values | changes))


def predict(config: FederationConfig, run: str, mode: str) -> dict[str, dict[str, Any]]:
    """Every party's part of one prediction."""
    runs = {p.name: PredictionRun(job(config, p.name, run, mode)) for p in config.parties}
    run_in_process({name: party.machine for name, party in runs.items()})
    return {name: party.finish() for name, party in runs.items()}


def scores_of(path: Path) -> dict[str, float]:
    """Log-odds by id from a scores file."""
    with path.open(newline="") as file:
        return {row["id"]: float(row["log_odds"]) for row in csv.DictReader(file)}


def plain_scores(config: FederationConfig, mode: str) -> dict[str, float]:
    """Both parts applied to both tables in one place: what the exchange must equal."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    tables = {p.name: load_table(config.manifest_of(p.name), now=now) for p in config.parties}
    parts = {
        name: load_part(config.output / "model" / name / "model-exact.json") for name in tables
    }
    bank, platform = tables["bank"], tables["platform"]
    places = {identifier: place for place, identifier in enumerate(platform.identifiers)}
    found = np.array([places.get(i, 2**32 - 1) for i in bank.identifiers], dtype=np.uint32)
    rows = np.arange(len(found), dtype=np.uint32)
    if mode == "inner":
        rows = rows[found != 2**32 - 1]
    total = parts["bank"].partial_scores(bank.rows(rows))
    total = total + parts["platform"].partial_scores(platform.rows(found[rows]))
    names = [bank.identifiers[row] for row in rows.tolist()]
    return dict(zip(names, total.tolist(), strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_the_exchange_gives_the_whole_models_scores(trained: FederationConfig, mode: str) -> None:
    """Ids and log-odds equal both parts applied in one place; only the bank has a score file."""
    summaries = predict(trained, f"predict-{mode}", mode)
    folder = trained.output / f"predict-{mode}"
    found, expected = scores_of(folder / "bank" / "scores.csv"), plain_scores(trained, mode)
    assert found.keys() == expected.keys()
    assert max(abs(found[name] - expected[name]) for name in found) < 2e-6
    assert summaries["bank"]["scored"] == summaries["platform"]["scored"] == len(expected)
    assert {path.name for path in (folder / "platform").iterdir()} == {"disclosures.jsonl"}


def test_a_part_of_another_run_is_refused(trained: FederationConfig) -> None:
    """A partner scores only with the model that the label party names."""
    other = trained.with_output(trained.output)
    run_all(other, "second")
    runs = {
        "bank": PredictionRun(job(trained, "bank", "mixed", "inner")),
        "platform": PredictionRun(
            job(
                trained,
                "platform",
                "mixed",
                "inner",
                model=trained.output / "second" / "platform" / "model-exact.json",
            )
        ),
    }
    with pytest.raises(InputError, match="both must name the same run"):
        run_in_process({name: party.machine for name, party in runs.items()})


def test_a_plan_without_an_agreed_partner_is_refused(trained: FederationConfig) -> None:
    """With a partner left out, nothing would mask the others' scores."""
    runs = {
        "bank": PredictionRun(job(trained, "bank", "alone", "inner")),
        "platform": PredictionRun(
            job(trained, "platform", "alone", "inner", feature_parties=("platform", "telecom"))
        ),
    }
    with pytest.raises(ProtocolError, match="this party agreed to platform, telecom"):
        run_in_process({name: party.machine for name, party in runs.items()})


def test_a_plan_that_is_nested_without_end_is_refused(trained: FederationConfig) -> None:
    """Python's parser gives up on it with an error of its own."""
    party = PredictionRun(job(trained, "platform", "nested", "inner"))

    def bank() -> Generator[Step, object, None]:
        yield from expect("platform", Hello)
        yield Send("platform", "plan", Plan(protocol_version=2, plan_json="[" * 200_000))

    crafted: Machine[None] = Machine("bank", "nested-session", bank())
    machines = {
        "bank": sealed(crafted, identity_of(trained, "bank"), "bank"),
        "platform": party.machine,
    }
    with pytest.raises(ProtocolError, match="the prediction plan can't be read: nested too"):
        run_in_process(machines)
    party.close()


def test_borrowers_to_score_need_no_label(trained: FederationConfig, tmp_path: Path) -> None:
    """The bank's table may lack the label column."""
    source = trained.manifest_of("bank").source.path
    with source.open(newline="") as file:
        rows = list(csv.reader(file))
    column = rows[0].index(trained.manifest_of("bank").label.column)  # type: ignore[union-attr]
    fresh = tmp_path / source.name
    with fresh.open("w", newline="") as file:
        csv.writer(file).writerows([row[:column] + row[column + 1 :] for row in rows])
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(trained.manifest_of("bank").path.read_text())
    from clients.manifest import read_manifest

    runs = {
        "bank": PredictionRun(
            job(trained, "bank", "fresh", "inner", manifest=read_manifest(manifest))
        ),
        "platform": PredictionRun(job(trained, "platform", "fresh", "inner")),
    }
    run_in_process({name: party.machine for name, party in runs.items()})
    assert runs["bank"].finish()["scored"] == runs["platform"].finish()["scored"] > 5000


def test_a_missing_model_part_is_one_sentence(trained: FederationConfig) -> None:
    """What, where, and what to do."""
    missing = trained.output / "nowhere.json"
    with pytest.raises(InputError, match=r"nowhere\.json: there is no model part; train first"):
        PredictionRun(job(trained, "bank", "none", "inner", model=missing))

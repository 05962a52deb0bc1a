"""Scoring a batch with a trained model, all parties on this machine in Flower's simulation."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig, Topology
from federation.errors import InputError
from federation.split.part import SUFFIX
from simulations.flower_run import new_run_id, run_in_flower
from simulations.training_run import OnProgress

EXACT = "exact"


def predict_batch(
    config: FederationConfig, model_run: Path, training: str | None, on_progress: OnProgress
) -> dict[str, Any]:
    """Score the borrowers of the parties' tables; returns figures, and where the scores lie.

    Args:
        config: names the tables to score; its output folder is not used.
        model_run: a training run's folder; runs are written beside it.
        training: which of its trainings; None: the exact one, or the only one.
        on_progress: shown to a person.

    Raises:
        InputError: there is no such model. PartyFailure: a party failed; nothing is left behind.
    """
    model_run = model_run.resolve()
    if config.topology is Topology.HORIZONTAL:
        return _score_banks(config, model_run)
    training = training or _only_training(model_run, config.label_party.name)
    for party in config.parties:
        part = model_run / party.name / f"model-{training}.json"
        if not part.is_file() and not part.with_suffix(SUFFIX).is_file():
            known = _trainings(model_run, party.name)
            raise InputError(
                f"{part}: there is no such model part; "
                + (f"this run has the trainings {', '.join(known)}" if known else "train first")
            )
    run = new_run_id("predict")
    config = config.with_output(model_run.parent)
    folder = config.output / run
    started = time.perf_counter()
    task = {"task": "predict", "model_run": model_run.name, "training": training}
    try:
        outcome = run_in_flower(config, run, (), on_progress, task=task)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {
        "run": run,
        "scored": outcome.summaries[config.label_party.name]["scored"],
        "scores": str(folder / config.label_party.name / "scores.csv"),
        "bytes": dict(outcome.bytes_relayed),
        "seconds": time.perf_counter() - started,
    }


def _trainings(model_run: Path, party: str) -> list[str]:
    """The trainings of which a party has a model part."""
    parts = model_run.glob(f"{party}/model-*")
    return sorted({path.stem[6:] for path in parts if path.suffix in (".json", SUFFIX)})


def _only_training(model_run: Path, party: str) -> str:
    known = _trainings(model_run, party)
    if len(known) == 1:
        return known[0]
    if EXACT in known or not known:
        return EXACT
    raise InputError(
        f"{model_run}: has the trainings {', '.join(known)}; name one of them with --training"
    )


def _score_banks(config: FederationConfig, model_run: Path) -> dict[str, Any]:
    """Every bank scores its own table with its own copy of the network: no exchange."""
    from clients.bank.horizontal_scoring import SCORES, score_table
    from clients.bank.horizontal_training import MODEL

    run = new_run_id("predict")
    folder = model_run.parent / run
    started = time.perf_counter()
    scored = 0
    try:
        for bank in config.parties:
            manifest = config.manifest_of(bank.name)
            scored += score_table(manifest, model_run / bank.name / MODEL, folder / bank.name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {
        "run": run,
        "scored": scored,
        "scores": str(folder / "BANK" / SCORES),
        "bytes": {bank.name: 0 for bank in config.parties},
        "seconds": time.perf_counter() - started,
    }

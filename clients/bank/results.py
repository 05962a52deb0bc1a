"""What a label party keeps of a training, and what it tells the run's record.

Kept: model parts, scores and transcripts of boosted trainings, in its own folder. Told: figures
without a row, a weight or a metric of its borrowers; under label noise no loss either, since the
noise does not cover it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clients.bank.served import served_name
from clients.manifest import PartyManifest
from clients.vault import save_model, save_served_model, save_transcript, write_private
from federation.additive.label_party import LabelPartyFit
from federation.boosting.results import BoostedLabelFit
from federation.identity import PartyKey
from federation.privacy.events import LABEL, event_to_json
from federation.privacy.ledger import Expenditure, history_of
from federation.scoring import ServedModel
from federation.vertical import LabelSessionResult
from federation.vertical.label_party import TrainingResult
from federation.vertical.trainings import ADDITIVE

TEST_SCORES, FIT_SCORES = "test-scores.parquet", "fit-scores.parquet"


def label_name(manifest: PartyManifest) -> str:
    """Names a label party's labels in its ledger, whatever rows the table holds today.

    A new row or a corrected label continues the same history, as it must.
    """
    return f"{manifest.name}:{manifest.label.column}" if manifest.label else manifest.name


def record_name(manifest: PartyManifest) -> str:
    """Names a party's records in its ledger, whatever rows the table holds today."""
    return f"{manifest.name}:*"


def keep_results(
    result: LabelSessionResult,
    folder: Path,
    spent: Sequence[Expenditure],
    served: Callable[[TrainingResult, str], ServedModel],
    key: PartyKey,
) -> dict[str, Any]:
    """Write model parts and scores to the party's folder; returns what the run's record may hold.

    Args:
        result: of the session.
        folder: the label party's own, of this run.
        spent: of its labels over all runs, this one included.
        served: the served model of a training, given how its labels were protected.
        key: the label party's, which signs served models.
    """
    sentence = history_of(spent, LABEL).sentence(result.trainings[0].settings.label_delta)
    test: dict[str, npt.NDArray[Any]] = {
        "row": result.test_rows,
        "label": result.test_labels,
        "alone": result.alone_test_scores,
    }
    fitted: dict[str, npt.NDArray[Any]] = {}
    for training in result.trainings:
        save_model(folder, training.settings.name, training.part)
        test[training.settings.name] = training.test_scores
        fitted[training.settings.name] = training.fit.scores
        if isinstance(training.fit, BoostedLabelFit):
            for partner, transcript in training.fit.transcripts.items():
                save_transcript(folder, training.settings.name, partner, transcript)
        if training.variants:
            model = served(training, sentence)
            save_served_model(folder / served_name(training.settings.name), model, key)
    _write_scores(folder / TEST_SCORES, test)
    _write_scores(folder / FIT_SCORES, fitted)
    return {
        "role": "label",
        "aligned": result.aligned,
        "counts": dict(result.counts),
        "shared": dict(result.shared),
        "partner_ids": dict(result.partner_ids),
        "scheme": result.scheme,
        "features": dict(result.features),
        "trainings": [_training(training) for training in result.trainings],
        "ledger": {
            "sentence": sentence,
            "releases": [
                {"run": one.run, "what": one.what, "event": event_to_json(one.event)}
                for one in spent
            ],
        },
    }


def _training(training: TrainingResult) -> dict[str, Any]:
    settings = training.settings
    noise = _label_noise(training)
    record: dict[str, Any] = {
        "name": settings.name,
        "kind": settings.to_json().get("kind", ADDITIVE),
        "settings": settings.to_json(),
        "rounds": [_figures(figures, noise is not None) for figures in training.fit.rounds],
        "best_round": training.fit.best_round,
        "part_digests": dict(training.part_digests),
        "fallbacks": dict(training.fallbacks),
        "label_noise": noise,
        "seconds": round(training.seconds, 4),
    }
    if isinstance(training.fit, BoostedLabelFit):
        given = training.fit.given
        record["given"] = {partner: asdict(counts) for partner, counts in given.items()}
    return record


def _label_noise(training: TrainingResult) -> dict[str, Any] | None:
    """How the labels were protected; None where they were not."""
    fit, settings = training.fit, training.settings
    if not isinstance(fit, LabelPartyFit):
        return fit.label_privacy()
    if fit.noise is None:
        return None
    return {
        "epsilon": settings.label_epsilon,
        "delta": settings.label_delta,
        "rho": fit.noise.rho,
        "sigma_labels": fit.noise.residual_sigma,
    }


def _figures(figures: Any, noisy: bool) -> dict[str, Any]:
    """A round's figures; NaN as null (JSON has no NaN), and no exact loss under label noise."""
    values = {name: None if value != value else value for name, value in asdict(figures).items()}
    if noisy:
        values["training_loss"] = None
    return values


def _write_scores(path: Path, columns: dict[str, npt.NDArray[Any]]) -> None:
    """Log-odds of its borrowers, for the label party's own report; never sent."""
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), buffer)
    write_private(path, buffer.getvalue().to_pybytes())

"""What a label party keeps of a training, and what it tells the run's record.

Kept: model parts and scores, in its own folder. Told: figures without a row, a weight or a metric
of its borrowers; under label noise no loss either, since the noise does not cover it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clients.manifest import PartyManifest
from clients.vault import save_part, write_private
from federation.additive.schedule import Round
from federation.privacy.ledger import LabelHistory
from federation.vertical import LabelSessionResult
from federation.vertical.label_party import TrainingResult

TEST_SCORES, FIT_SCORES = "test-scores.parquet", "fit-scores.parquet"


def label_name(manifest: PartyManifest) -> str:
    """Names a label party's labels in its ledger, whatever rows the table holds today.

    A new row or a corrected label continues the same history, as it must.
    """
    return f"{manifest.name}:{manifest.label.column}" if manifest.label else manifest.name


def keep_results(result: LabelSessionResult, folder: Path, history: LabelHistory) -> dict[str, Any]:
    """Write model parts and scores to the party's folder; returns what the run's record may hold.

    Args:
        result: of the session.
        folder: the label party's own, of this run.
        history: of its labels, this run included.
    """
    test: dict[str, npt.NDArray[Any]] = {
        "row": result.test_rows,
        "label": result.test_labels,
        "alone": result.alone_test_scores,
    }
    fitted: dict[str, npt.NDArray[Any]] = {}
    for training in result.trainings:
        save_part(folder / f"model-{training.settings.name}.json", training.part)
        test[training.settings.name] = training.test_scores
        fitted[training.settings.name] = training.fit.scores
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
            "sentence": history.sentence(result.trainings[0].settings.label_delta),
            "releases": [
                {
                    "run": release.run,
                    "what": release.what,
                    "rho": None if np.isinf(release.rho) else release.rho,
                }
                for release in history.releases
            ],
        },
    }


def _training(training: TrainingResult) -> dict[str, Any]:
    noise, settings = training.fit.noise, training.settings
    return {
        "name": settings.name,
        "settings": settings.to_json(),
        "rounds": [_figures(figures, noise is not None) for figures in training.fit.rounds],
        "best_round": training.fit.best_round,
        "part_digests": dict(training.part_digests),
        "label_noise": None
        if noise is None
        else {
            "epsilon": settings.label_epsilon,
            "delta": settings.label_delta,
            "rho": noise.rho,
            "sigma_labels": noise.residual_sigma,
        },
        "seconds": round(training.seconds, 4),
    }


def _figures(figures: Round, noisy: bool) -> dict[str, Any]:
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

"""One party's part in one run: its machine, wired to its table and its vault."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clients.manifest import PartyManifest
from clients.sources import PartyTable, load_table
from clients.vault import Vault, save_part, write_private
from federation.alignment import GroupWorkers, open_group
from federation.errors import InputError
from federation.metrics import auc, ks, log_loss
from federation.privacy.accountant import LabelRelease
from federation.privacy.ledger import LabelHistory
from federation.session.machine import Machine, Progress
from federation.vertical import (
    FeatureSessionResult,
    LabelSessionResult,
    SessionPlan,
    feature_party_session,
    label_party_session,
)

SOFTWARE = "veilscore 0.1.0"


@dataclass(frozen=True)
class PartyJob:
    """What a party is asked to do in one run.

    Attributes:
        run, session: ids.
        manifest: this party's own.
        label_party: its name.
        output: this party's folder for what the run leaves (model parts, scores at the label
            party, a copy of the disclosure log).
        plan: at the label party, what it proposes to the others; None at a feature party.
        split_column: at the label party, the column that fixes the split.
        epsilon_budget: at the label party, the hard stop over the labels' history.
        cores: free for this party's alignment.
    """

    run: str
    session: str
    manifest: PartyManifest
    label_party: str
    output: Path
    plan: SessionPlan | None = None
    split_column: str | None = None
    epsilon_budget: float | None = None
    cores: int = 1


class PartyRun:
    """A job under way: `machine` to be driven by a channel, then `finish()`.

    Raises:
        InputError: the party's table is not what its manifest says.
    """

    def __init__(
        self, job: PartyJob, on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> None:
        """Read the table and build the machine."""
        self.job = job
        self.table = load_table(
            job.manifest, now=datetime.now(UTC), split_column=job.split_column
        )
        self.vault = Vault(job.manifest.path.parent / "vault")
        self._log = self.vault.disclosure_log(job.run, job.session)
        self._group = open_group(self.table.row_count, job.cores)
        self._history: LabelHistory | None = None
        self._dataset = label_digest(self.table)
        self.machine: Machine[Any] = Machine(
            party=job.manifest.name,
            session=job.session,
            role=self._role(self._group),
            on_sent=self._log.enter,
            on_progress=on_progress,
            on_release=self._enter_release,
        )

    def _role(self, group: GroupWorkers) -> Any:  # noqa: ANN401  two kinds of result
        job = self.job
        if job.manifest.name == job.label_party:
            if job.plan is None:
                raise InputError(f"the label party '{job.label_party}' was given no plan")
            return label_party_session(self.table, job.plan, group, job.run)
        return feature_party_session(
            self.table, job.manifest.name, job.label_party, job.session, group, SOFTWARE
        )

    def _enter_release(self, release: LabelRelease) -> None:
        delta = min((t.label_delta for t in self.job.plan.trainings), default=1e-5) if (
            self.job.plan
        ) else 1e-5
        self._history = self.vault.enter_release(
            release, self._dataset, self.job.epsilon_budget, delta
        )

    def close(self) -> None:
        """Let the id-blinding processes go."""
        self._group.close()

    def finish(self) -> dict[str, Any]:
        """Write what the party keeps; returns figures for the run record: no row, no weight."""
        self.close()
        result = self.machine.result
        summary = {
            "party": self.job.manifest.name,
            "process": os.getpid(),
            "rows": self.table.row_count,
            "notes": list(self.table.notes),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "seconds": {stage: round(value, 4) for stage, value in result.seconds.items()},
        }
        if isinstance(result, LabelSessionResult):
            summary |= self._finish_label_party(result)
        else:
            summary |= self._finish_feature_party(result)
        copy = self.job.output / "disclosures.jsonl"
        write_private(copy, self.vault.disclosures_path(self.job.run).read_bytes())
        return summary

    def _finish_feature_party(self, result: FeatureSessionResult) -> dict[str, Any]:
        for name, part in result.parts.items():
            save_part(self.job.output / f"model-{name}.json", part)
        return {
            "role": "feature",
            "aligned": result.aligned,
            "known": result.present,
            "omitted_features": len(result.omitted_features),
        }

    def _finish_label_party(self, result: LabelSessionResult) -> dict[str, Any]:
        assert self.job.plan is not None
        labels = result.test_labels
        columns: dict[str, npt.NDArray[Any]] = {
            "row": result.test_rows,
            "label": labels,
            "alone": result.alone_test_scores,
        }
        trainings = []
        for training in result.trainings:
            name = training.settings.name
            save_part(self.job.output / f"model-{name}.json", training.part)
            columns[name] = training.test_scores
            trainings.append(
                {
                    "name": name,
                    "settings": training.settings.to_json(),
                    "test": _metrics(labels, training.test_scores),
                    "rounds": [_finite(asdict(figures)) for figures in training.fit.rounds],
                    "best_round": training.fit.best_round,
                    "part_digests": dict(training.part_digests),
                    "label_noise": _noise(training.fit.noise, training.settings),
                    "seconds": round(training.seconds, 4),
                }
            )
        _write_scores(self.job.output / "test-scores.parquet", columns)
        fitted = {training.settings.name: training.fit.scores for training in result.trainings}
        _write_scores(self.job.output / "fit-scores.parquet", fitted)
        delta = self.job.plan.trainings[0].label_delta
        history = self._history or self.vault.label_history(self._dataset)
        return {
            "role": "label",
            "aligned": result.aligned,
            "counts": dict(result.counts),
            "shared": dict(result.shared),
            "partner_ids": dict(result.partner_ids),
            "scheme": result.scheme,
            "features": dict(result.features),
            "alone": _metrics(labels, result.alone_test_scores),
            "trainings": trainings,
            "ledger": {
                "sentence": history.sentence(delta),
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


def label_digest(table: PartyTable) -> str:
    """Names a set of labels in the ledger: the borrowers and their labels, order aside.

    A run over the same borrowers continues the same history; the digest says nothing about them to
    whoever does not hold the table.
    """
    if table.label is None:
        return ""
    rows = sorted(
        f"{identifier}\0{label}"
        for identifier, label in zip(table.identifiers, table.label.tolist(), strict=True)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _metrics(labels: npt.NDArray[np.uint8], scores: npt.NDArray[np.float64]) -> dict[str, float]:
    if len(labels) == 0:
        return {}
    probabilities = 1 / (1 + np.exp(-scores))
    return {
        "auc": float(auc(labels, scores)),
        "ks": float(ks(labels, scores)),
        "log_loss": float(log_loss(labels, probabilities)),
    }


def _noise(noise: Any, settings: Any) -> dict[str, Any] | None:  # noqa: ANN401
    if noise is None:
        return None
    return {
        "epsilon": settings.label_epsilon,
        "delta": settings.label_delta,
        "rho": noise.rho,
        "sigma_labels": noise.residual_sigma,
    }


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """NaN (no validation borrowers) as null: JSON has no NaN."""
    return {key: None if value != value else value for key, value in figures.items()}


def _write_scores(path: Path, columns: dict[str, npt.NDArray[Any]]) -> None:
    """The label party's own test scores (log-odds), for its report; never sent."""
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), buffer)
    write_private(path, buffer.getvalue().to_pybytes())


def summary_text(summary: dict[str, Any]) -> str:
    """A summary as JSON without NaN."""
    return json.dumps(summary, allow_nan=False)

"""One party's part in predicting a batch of borrowers with a trained model."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from clients.bank.results import record_name
from clients.manifest import PartyManifest
from clients.party import DEFAULT_DELTA, reading, sealed, software
from clients.pins import Identity
from clients.sources import load_table
from clients.vault import Vault, load_model, write_private
from federation.alignment import AlignmentMode, open_group
from federation.privacy.ledger import Expenditure
from federation.session.machine import Machine, Progress
from federation.vertical.prediction import (
    Prediction,
    PredictionPlan,
    feature_party_prediction,
    label_party_prediction,
)


@dataclass(frozen=True)
class PredictionJob:
    """What a party is asked to predict.

    Attributes:
        run, session: ids of this prediction.
        manifest: this party's own; its table holds the borrowers to score.
        identity: its long-term key, and its peers' pinned ones.
        label_party, feature_parties: names.
        alignment: 'inner' or 'label-left'.
        model: this party's model part, 'model-….json'; a network's lies beside it.
        output: this party's folder for what the run leaves.
        cores: free for this party's alignment.
    """

    run: str
    session: str
    manifest: PartyManifest
    identity: Identity
    label_party: str
    feature_parties: tuple[str, ...]
    alignment: AlignmentMode
    model: Path
    output: Path
    cores: int = 1


class PredictionRun:
    """A prediction under way: `machine` to be driven by a channel, then `finish()`."""

    def __init__(
        self, job: PredictionJob, on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> None:
        """Read the model part and the table, and build the machine."""
        self.job = job
        party = job.manifest.name
        part, encoder = load_model(job.model)
        # Borrowers to score have no outcome yet: the label column need not be there.
        unlabelled = replace(job.manifest, label=None)
        self.table = load_table(unlabelled, now=datetime.now(UTC), on_progress=reading(on_progress))
        self._group = open_group(self.table.row_count, job.cores)
        self.vault = Vault(job.manifest.path.parent / "vault")
        self._log_path = self.vault.disclosures_path(job.run)
        log = self.vault.disclosure_log(job.run, job.session)
        role: Any
        if party == job.label_party:
            plan = PredictionPlan(
                job.session,
                part.session,
                part.training,
                job.label_party,
                job.feature_parties,
                job.alignment,
            )
            role = label_party_prediction(self.table, plan, part, self._group)
        else:
            role = feature_party_prediction(
                self.table,
                party,
                job.label_party,
                job.session,
                part,
                self._group,
                software(),
                job.feature_parties,
                encoder,
                job.identity.voucher,
            )
        machine: Machine[Any] = Machine(
            party,
            job.session,
            role,
            on_sent=log.enter,
            on_progress=on_progress,
            on_release=self._enter_release,
        )
        self.machine = sealed(machine, job.identity, job.label_party)

    def _enter_release(self, spent: Expenditure) -> None:
        dataset, run = record_name(self.job.manifest), self.job.run
        self.vault.enter_event(
            spent.event, spent.unit, dataset, run, spent.what, None, DEFAULT_DELTA
        )

    def close(self) -> None:
        """Let the id-blinding processes go."""
        self._group.close()

    def finish(self) -> dict[str, Any]:
        """Write what the party keeps; returns figures for the run record."""
        self.close()
        result = self.machine.result
        summary: dict[str, Any] = {
            "party": self.job.manifest.name,
            "process": os.getpid(),
            "rows": self.table.row_count,
        }
        if isinstance(result, Prediction):
            write_private(self.job.output / "scores.csv", self._scores(result))
            summary |= {"scored": len(result.rows), "shared": result.shared}
        else:
            summary["scored"] = int(result)
        write_private(self.job.output / "disclosures.jsonl", self._log_path.read_bytes())
        return summary

    def _scores(self, prediction: Prediction) -> bytes:
        """The label party's own file: id, log-odds and probability of default."""
        identifiers = [self.table.identifiers[row] for row in prediction.rows.tolist()]
        table = pa.table(
            {
                "id": pa.array(identifiers),
                "log_odds": np.round(prediction.log_odds, 6),
                "probability_of_default": np.round(1 / (1 + np.exp(-prediction.log_odds)), 6),
            }
        )
        buffer = io.BytesIO()
        pa_csv.write_csv(table, buffer)
        return buffer.getvalue()

"""One party's part in one run: its machine, wired to its table and its vault."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clients.bank.results import keep_results, label_name, record_name
from clients.bank.served import served_model
from clients.manifest import PartyManifest
from clients.pins import Identity
from clients.sources import load_table
from clients.vault import Vault, save_model, write_private
from federation.alignment import GroupWorkers, open_group
from federation.errors import InputError
from federation.privacy.events import Unit
from federation.privacy.history import check_run
from federation.privacy.ledger import Expenditure
from federation.scoring import ServedModel
from federation.sealing import SealedMachine
from federation.session.machine import Machine, Progress
from federation.vertical import (
    FeatureSessionResult,
    LabelSessionResult,
    SessionPlan,
    feature_party_session,
    label_party_session,
)
from federation.vertical.fallbacks import Fallbacks
from federation.vertical.label_party import TrainingResult
from federation.vertical.trainings import planned_event

DEFAULT_DELTA = 1e-5


def software() -> str:
    """Name and version, for the other side's error messages."""
    try:
        return f"veilscore {importlib.metadata.version('veilscore')}"
    except importlib.metadata.PackageNotFoundError:
        return "veilscore, not installed"


@dataclass(frozen=True)
class PartyJob:
    """What a party is asked to do in one run.

    Attributes:
        run, session: ids.
        manifest: this party's own.
        identity: its long-term key, and its peers' pinned ones.
        label_party: its name.
        output: this party's folder for what the run leaves (model parts, scores at the label
            party, a copy of the disclosure log).
        feature_parties: all that this party's federation file names; None takes the plan's word.
        fallbacks: which sets of feature parties the file lets have fits of their own; None takes
            the plan's word.
        plan: at the label party, what it proposes to the others; None at a feature party.
        split_column: at the label party, the column that fixes the split.
        epsilon_budget: at the label party, the hard stop over the labels' history.
        cores: free for this party's alignment and hints.
    """

    run: str
    session: str
    manifest: PartyManifest
    identity: Identity
    label_party: str
    output: Path
    feature_parties: tuple[str, ...] | None = None
    fallbacks: Fallbacks | None = None
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
            job.manifest,
            now=datetime.now(UTC),
            split_column=job.split_column,
            on_progress=reading(on_progress),
        )
        self.vault = Vault(job.manifest.path.parent / "vault")
        self._log = self.vault.disclosure_log(job.run, job.session)
        is_label_party = job.manifest.name == job.label_party
        self._dataset = (label_name if is_label_party else record_name)(job.manifest)
        self._refuse_over_budget()
        # Not before: a refusal leaves no processes behind.
        self._group = open_group(self.table.row_count, job.cores)
        machine: Machine[Any] = Machine(
            party=job.manifest.name,
            session=job.session,
            role=self._role(self._group),
            on_sent=self._log.enter,
            on_progress=on_progress,
            on_release=self._enter_release,
        )
        self.machine = sealed(machine, job.identity, job.label_party)

    def _role(self, group: GroupWorkers) -> Any:
        job = self.job
        store = self.vault.kept.among(job.identity.federation)
        if job.manifest.name == job.label_party:
            if job.plan is None:
                raise InputError(f"the label party '{job.label_party}' was given no plan")
            return label_party_session(
                self.table,
                job.plan,
                group,
                job.run,
                sequences=job.manifest.sequences,
                store=store,
            )
        return feature_party_session(
            self.table,
            job.manifest.name,
            job.label_party,
            job.session,
            group,
            software(),
            partners=job.feature_parties,
            fallbacks=job.fallbacks,
            sequences=job.manifest.sequences,
            voucher=job.identity.voucher,
            store=store,
            cores=job.cores,
            acceptance=job.manifest.boosting,
        )

    def _refuse_over_budget(self) -> None:
        """Find out before anything leaves whether the ledger has room for all of the plan."""
        if self.job.plan is None or self.job.epsilon_budget is None:
            return
        planned = [planned_event(training) for training in self.job.plan.trainings]
        history = self.vault.history(Unit.LABEL, self._dataset)
        check_run(history, planned, self.job.epsilon_budget, self._delta)

    @property
    def _delta(self) -> float:
        plan = self.job.plan
        return min(t.label_delta for t in plan.trainings) if plan else DEFAULT_DELTA

    def _enter_release(self, spent: Expenditure) -> None:
        self.vault.enter_event(
            spent.event,
            spent.unit,
            self._dataset,
            self.job.run,
            spent.what,
            self.job.epsilon_budget,
            self._delta,
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
            spent = self.vault.expenditures(Unit.LABEL, self._dataset)
            summary |= keep_results(
                result, self.job.output, spent, self._served, self.job.identity.key
            )
        else:
            summary |= self._finish_feature_party(result)
        copy = self.job.output / "disclosures.jsonl"
        write_private(copy, self.vault.disclosures_path(self.job.run).read_bytes())
        return summary

    def _served(self, training: TrainingResult, label_privacy: str) -> ServedModel:
        job = self.job
        return served_model(
            training,
            job.run,
            job.session,
            job.manifest,
            job.identity,
            self.table.features,
            label_privacy,
        )

    def _finish_feature_party(self, result: FeatureSessionResult) -> dict[str, Any]:
        for name, part in result.parts.items():
            save_model(self.job.output, name, part)
        for name, encoder in result.encoders.items():
            save_model(self.job.output, name, encoder)
        return {
            "role": "feature",
            "aligned": result.aligned,
            "known": result.present,
            "omitted_features": len(result.omitted_features),
            "label_party_ids": result.label_party_ids,
            "max_bins": dict(result.max_bins),
        }


def reading(on_progress: Callable[[Progress], None]) -> Callable[[int], None]:
    """Shows how many rows of the own table have been read."""
    return lambda rows: on_progress(Progress("reading", 0.0, f"{rows:,} rows read"))


def sealed(machine: Machine[Any], identity: Identity, label_party: str) -> SealedMachine:
    """The machine, sealed towards the peers it speaks with: the label party with every other."""
    pins = dict(identity.pins)
    if machine.party != label_party:
        pins = {label_party: pins[label_party]}
    return SealedMachine(machine, identity.key, pins, opens=machine.party == label_party)


def summary_text(summary: dict[str, Any]) -> str:
    """A summary as JSON without NaN."""
    return json.dumps(summary, allow_nan=False)

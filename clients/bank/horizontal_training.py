"""One bank's part in one horizontal run: its state machine, wired to its table and its vault.

The coordinator's messages may come to different processes: all state lies in the vault, in the
run's own folder, written before a reply leaves.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clients.bank.horizontal_table import load_bank_rows
from clients.bank.kept_rows import one_at_a_time, read_rows, write_rows
from clients.bank.results import TEST_SCORES, record_name
from clients.federation_file import FederationConfig
from clients.horizontal_plan import horizontal_plan, number
from clients.pins import identity_of
from clients.vault import ChainFile, Vault, write_private
from federation.aggregation.client import SecureSumClient
from federation.errors import InputError
from federation.horizontal.client import HorizontalBank
from federation.horizontal.client_state import FINISHED, BankState
from federation.horizontal.rows import TEST, BankRows
from federation.neural.scaling import Scaling
from federation.neural.weights import NeuralModel, digest
from federation.privacy import CLIENT, RECORD, Event, Unit, check_run
from federation.session.machine import Sent

COORDINATOR = "coordinator"
MODEL = "model.safetensors"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class BankJob:
    """What a bank is asked to do in one run.

    Attributes:
        run: its id.
        bank: this bank's name.
        config: the federation file.
        overrides: of its settings; never towards less privacy.
        output: this bank's folder for what the run leaves.
        software: name and version.
    """

    run: str
    bank: str
    config: FederationConfig
    overrides: Mapping[str, Any]
    output: Path
    software: str


class BankTraining:
    """A job under way, in this process for one order."""

    def __init__(self, job: BankJob) -> None:
        """Read the manifest.

        Raises:
            InputError: the manifest or the federation file do not serve.
        """
        self.job = job
        self.manifest = job.config.manifest_of(job.bank)
        self.vault = Vault(self.manifest.path.parent / "vault")
        self.plan = horizontal_plan(job.config, self.manifest, job.overrides)
        self._folder = self.vault.run_folder(job.run)

    def answer(self, order: bytes) -> bytes:
        """The reply to one order; the checkpoint and the disclosure are written before it leaves.

        One order at a time: a second one may come to another process while a slow one is worked on,
        and what a checkpoint says was given away must not be forgotten.

        Raises:
            VeilscoreError: one sentence; the checkpoint is as it was.
        """
        with one_at_a_time(self._folder / "lock"):
            started = time.perf_counter()
            bank = HorizontalBank(
                self.plan,
                self.job.bank,
                self.job.run,
                self._rows,
                self._checkpoint(),
                self._spend,
                self._check_budget,
                self.job.software,
                identity_of(self.job.config, self.job.bank).voucher,
            )
            try:
                kind, reply = bank.answer(order)
            except Exception:
                if bank.state is None:  # it has not joined: no copy of its rows is left behind
                    self._rows_path.unlink(missing_ok=True)
                raise
            state = bank.state
            if state is not None:
                state.seconds += time.perf_counter() - started
                write_private(self._state_path, state.to_bytes())
            log = self.vault.disclosure_log(self.job.run, self.job.run)
            log.enter(Sent(log.length, COORDINATOR, kind, len(reply)))
            if state is not None and state.phase == FINISHED and kind == "finished":
                self._finish(state)
            return reply

    @property
    def _state_path(self) -> Path:
        return self._folder / "state.safetensors"

    @property
    def _rows_path(self) -> Path:
        return self._folder / "rows.parquet"

    def _checkpoint(self) -> BankState | None:
        if not self._state_path.exists():
            log = ChainFile(self.vault.disclosures_path(self.job.run))
            if any(entry.body.get("kind") == "joined" for entry in log.entries):
                raise InputError(
                    f"{self._state_path}: the checkpoint of this run, with its keys, is gone; put "
                    "it back, or start a new run"
                )
            return None
        state = BankState.from_bytes(self._state_path.read_bytes(), str(self._state_path))
        if (state.run, state.bank) != (self.job.run, self.job.bank):
            raise InputError(
                f"{self._state_path}: is the checkpoint of '{state.bank}' in run '{state.run}', "
                f"not of '{self.job.bank}' in run '{self.job.run}'; put the right one back, or "
                "start a new run"
            )
        return state

    def _rows(self) -> BankRows:
        """The table as it was when the run began: a copy in the vault fixes it."""
        if self._rows_path.exists():
            return read_rows(self._rows_path, self.plan.schema)
        rows = load_bank_rows(self.manifest, self.job.config.split, now=datetime.now(UTC))
        write_rows(self._rows_path, rows)
        return rows

    def _budget(self, unit: Unit) -> float | None:
        key = "epsilon_budget" if unit is RECORD else "client_epsilon_budget"
        return number(self.job.config, key)

    def _delta(self, unit: Unit) -> float:
        return self.plan.settings.record_delta if unit is RECORD else self.plan.client_delta

    def _check_budget(self, planned: list[tuple[Event, Unit]]) -> None:
        """Refuse a run that the budget has no room for, before it starts."""
        for unit in (RECORD, CLIENT):
            events = [event for event, of in planned if of is unit]
            history = self.vault.history(unit, record_name(self.manifest))
            check_run(history, events, self._budget(unit), self._delta(unit))

    def _spend(self, event: Event, unit: Unit, what: str) -> None:
        self.vault.enter_event(
            event,
            unit,
            record_name(self.manifest),
            self.job.run,
            what,
            self._budget(unit),
            self._delta(unit),
        )

    def _finish(self, state: BankState) -> None:
        """Write what the bank keeps, once, and forget the run's keys and its copy of the rows."""
        if not state.secure_sum:
            return
        self._keep_results(state)
        state.forget_secrets(SecureSumClient.from_bytes(state.secure_sum).public_key)
        write_private(self._state_path, state.to_bytes())
        self._rows_path.unlink(missing_ok=True)

    def _keep_results(self, state: BankState) -> None:
        """The model, the bank's own test scores, and figures for the run's record."""
        scaling = Scaling.from_json(json.loads(state.scaling), self.plan.schema)
        model = NeuralModel(self.plan.settings, self.plan.schema, scaling, state.weights)
        write_private(self.job.output / MODEL, model.to_bytes())
        rows = self._rows()
        columns, labels = rows.part(TEST)
        table = pa.table(
            {
                "row": np.flatnonzero(rows.parts == TEST),
                "label": labels,
                "probability": model.probabilities(columns),
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_private(self.job.output / TEST_SCORES, sink.getvalue().to_pybytes())
        unit = CLIENT if self.plan.client_epsilon is not None else RECORD
        history = self.vault.history(unit, record_name(self.manifest))
        summary = {
            "bank": self.job.bank,
            "process": os.getpid(),
            "training_rows": int((rows.parts != TEST).sum()),
            "test_rows": len(labels),
            "notes": list(rows.notes),
            "rounds": state.rounds,
            "model_digest": digest(state.weights),
            "parameters": len(state.weights),
            "noise_multiplier": state.noise_multiplier or None,
            "update_norms_clipped": state.clipped,
            "curve": state.curve,
            "calibration": state.calibration or None,
            "evaluation": state.evaluation,
            "seconds": round(state.seconds, 3),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "ledger": {"unit": str(unit), "sentence": history.sentence(self._delta(unit))},
        }
        write_private(self.job.output / SUMMARY, json.dumps(summary, allow_nan=False).encode())
        copy = self.job.output / "disclosures.jsonl"
        write_private(copy, self.vault.disclosures_path(self.job.run).read_bytes())

"""One whole horizontal run: banks train in Flower's simulation and leave a record."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from clients.bank.horizontal_training import SUMMARY
from clients.bank.results import TEST_SCORES
from clients.disclosure_listing import read_disclosures
from clients.federation_file import FederationConfig, Topology
from clients.vault import write_private
from federation.errors import InputError
from federation.horizontal.plan import HorizontalPlan
from federation.horizontal.server import Note
from federation.metrics import compare_models
from federation.proto.relay_pb2 import ProgressNote
from simulations.banks_baselines import ALONE, banks_baselines
from simulations.banks_checks import (
    COORDINATOR,
    TRANSCRIPT,
    make_folder,
    plans_of,
    refuse_resume,
    unlike_plans,
    with_difference,
)
from simulations.banks_record import FEDERATED, BanksFigures, banks_json
from simulations.banks_report import write_banks_report
from simulations.flower_run import new_run_id, run_banks_in_flower
from simulations.run_record import BOOTSTRAP_SEED, RESAMPLES
from simulations.training_run import OnProgress, link_latest, refuse_early


def train_banks(
    config: FederationConfig,
    name: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    baselines: bool = True,
    resume: str | None = None,
    latest: bool = True,
    on_progress: OnProgress = lambda party, note: None,
) -> BanksFigures:
    """Train, compare, write `metrics.json` and `report.html`; returns the figures.

    Args:
        config: the federation of banks.
        name: of the run, part of its id.
        overrides: of the file's settings.
        baselines: whether to train on pooled plaintext and at each bank alone, for comparison.
        resume: the id of a run that was stopped, to go on with.
        latest: whether `latest` shall lead to this run.
        on_progress: shown to a person.

    Raises:
        VeilscoreError: one sentence. The run's folder is kept where a run can be resumed.
    """
    config.require(Topology.HORIZONTAL)
    refuse_early(config)
    plans = plans_of(config, overrides)
    unlike = unlike_plans(config, plans)
    run = resume or new_run_id(name)
    folder = config.output / run
    if resume is not None:
        refuse_resume(config.output, resume)
    make_folder(folder)
    started = time.perf_counter()
    on_note = _notes(plans[config.parties[0].name], unlike, on_progress)
    try:
        result = run_banks_in_flower(
            config,
            run,
            folder / COORDINATOR,
            overrides=overrides,
            resume=resume is not None,
            on_note=on_note,
        )
    except BaseException as error:
        if resume is None and not (folder / COORDINATOR / TRANSCRIPT).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # there are other runs in it
                config.output.rmdir()
        elif isinstance(error, KeyboardInterrupt) or not isinstance(error, InputError):
            on_progress("", ProgressNote(stage="stopped", detail=f"go on with --resume {run}"))
        raise
    seconds = {"Flower and Ray": time.perf_counter() - started - result.seconds["rounds"]}
    seconds["rounds"] = result.seconds["rounds"]
    banks = result.outcome.banks
    tables = {bank: pq.read_table(folder / bank / TEST_SCORES) for bank in banks}
    labels = np.concatenate([table.column("label").to_numpy() for table in tables.values()])
    models = {
        FEDERATED: np.concatenate(
            [table.column("probability").to_numpy() for table in tables.values()]
        )
    }
    if baselines:
        since = time.perf_counter()
        on_progress("", ProgressNote(stage="baselines", fraction=0.1, detail="pooled, and alone"))
        models |= banks_baselines(config, plans[banks[0]], banks)
        seconds["baselines"] = time.perf_counter() - since
    reference = ALONE if baselines else FEDERATED
    figures = BanksFigures(
        run=run,
        created=datetime.now(UTC),
        config=config,
        plan=plans[banks[0]],
        summaries={bank: json.loads((folder / bank / SUMMARY).read_bytes()) for bank in banks},
        excluded={
            # Where the bank's files lie is nobody's business in a report.
            bank: with_difference(bank, reason, unlike).replace(
                f"{config.party(bank).manifest.parent.resolve()}/", ""
            )
            for bank, reason in result.outcome.excluded.items()
        },
        comparisons=compare_models(labels, models, reference, RESAMPLES, seed=BOOTSTRAP_SEED),
        labels=labels,
        probabilities=models,
        disclosures=read_disclosures(folder),
        bytes_up=result.bytes_received,
        bytes_down=result.bytes_sent,
        messages=result.messages,
        seconds=seconds,
    )
    figures = replace(figures, total_seconds=time.perf_counter() - started)
    write_banks_report(figures, folder)
    write_private(folder / "metrics.json", banks_json(figures).encode())
    if latest:
        link_latest(folder)
    return figures


def _notes(plan: HorizontalPlan, unlike: Mapping[str, str], on_progress: OnProgress) -> Any:
    """The coordinator's notes as progress: rounds of training, and who was left out."""
    updates = 0

    def show(note: Note) -> None:
        nonlocal updates
        fraction = 0.0
        stage, detail = note.stage, note.detail
        bank = note.bank
        if stage == "left out":  # a line each: of one stage, a console shows the last
            detail = with_difference(bank, detail, unlike)
            stage, bank = f"left out: {bank}", ""
        if note.stage == "update":
            updates += 1
            fraction = updates / plan.settings.rounds
            stage, detail = "training", f"round {updates} of at most {plan.settings.rounds}"
        on_progress(bank, ProgressNote(stage=stage, fraction=fraction, detail=detail))

    return show

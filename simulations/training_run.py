"""One whole run: a federation trains in Flower's simulation, is compared, and leaves its record."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clients.disclosure_listing import read_disclosures
from clients.federation_file import FederationConfig
from clients.pins import pins_of
from clients.plan import epsilon_budget, session_plan
from clients.vault import write_private
from federation.additive.settings import AdditiveSettings
from federation.errors import InputError
from federation.proto.relay_pb2 import ProgressNote
from federation.session.machine import Progress
from federation.vertical.trainings import Training
from simulations.flower_run import new_run_id, run_in_flower
from simulations.run_leakage import RunLeak, short_leaks
from simulations.run_record import (
    ALONE,
    POOLED,
    RunFigures,
    compare,
    metrics_json,
    probabilities,
    read_scores,
)

OnProgress = Callable[[str, ProgressNote], None]
TRANSPORT = (
    "stream: every party a process of its own; messages sealed from party to party, mutual TLS to "
    "the relay on the loopback interface"
)


def train_and_report(
    config: FederationConfig,
    name: str,
    *,
    trainings: Sequence[Mapping[str, Any]],
    baselines: bool,
    on_progress: OnProgress,
) -> RunFigures:
    """Train, compare, write `metrics.json` and `report.html`; returns the figures.

    Args:
        config: the federation.
        name: of the run, part of its id.
        trainings: overrides of the file's settings, one a training.
        baselines: whether to pool everybody's files in plaintext, for comparison.
        on_progress: shown to a person.

    Raises:
        VeilscoreError: one sentence; the run's folder is removed, the parties' vaults keep their
            ledgers and disclosure logs.
    """
    plan = session_plan(config, "check", trainings)  # refuses wrong settings before anything starts
    refuse_early(config)
    run = new_run_id(name)
    folder = config.output / run
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    try:
        outcome = run_in_flower(config, run, trainings, on_progress)
        seconds["Flower and Ray"] = time.perf_counter() - started - outcome.seconds["session"]
        seconds |= outcome.summaries[config.label_party.name]["seconds"]
        figures = _figures(
            config,
            run,
            folder,
            outcome,
            plan.trainings,
            baselines,
            seconds,
            on_progress,
        )
        _write_report(figures, folder)
        figures = replace(figures, total_seconds=time.perf_counter() - started)
        write_private(folder / "metrics.json", metrics_json(figures).encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    link_latest(folder)
    return figures


def refuse_early(config: FederationConfig) -> None:
    """Refuse what can be seen before anything starts, without opening a party's files.

    Raises:
        InputError: the budget is no number, a manifest is missing, or the output is no folder.
    """
    epsilon_budget(config)
    for party in config.parties:
        if not party.manifest.is_file():
            raise InputError(
                f"{party.manifest}: there is no such file; the manifest of '{party.name}' must lie "
                "here"
            )
    nearest = next(path for path in (config.output, *config.output.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(
            f"{nearest}: is not a folder that can be written to; runs go to {config.output}"
        )


def _figures(
    config: FederationConfig,
    run: str,
    folder: Path,
    outcome: Any,
    trainings: tuple[Training, ...],
    baselines: bool,
    seconds: dict[str, float],
    on_progress: OnProgress,
) -> RunFigures:
    drawn = read_scores(folder, config.label_party.name)
    # In the label party's own row order: the alignment's is drawn anew by every run, and bootstrap
    # intervals of the same model on the same borrowers should not move with it.
    in_table = np.argsort(drawn["row"])
    scores = {name: values[in_table] for name, values in drawn.items()}
    models = {t.name: probabilities(scores[t.name]) for t in trainings}
    models[ALONE] = probabilities(scores["alone"])
    fitted = read_scores(folder, config.label_party.name, "fit-scores.parquet")
    names: tuple[str, ...] = ()
    if baselines:
        started = time.perf_counter()
        on_progress("", ProgressNote(stage="baselines", fraction=0.1, detail="pooled plaintext"))
        pooled = _pooled_models(config, scores["row"], *_pooled_as(config, outcome, trainings[0]))
        names = tuple(name for name in pooled if name != POOLED)
        models |= pooled
        seconds["baselines"] = time.perf_counter() - started
        on_progress("", ProgressNote(stage="baselines", fraction=1.0, detail="fitted"))
    started = time.perf_counter()
    comparisons = compare(scores["label"], models)
    seconds["bootstrap"] = time.perf_counter() - started
    leaks = _leaks(config, folder, outcome, seconds, on_progress)
    return RunFigures(
        run=run,
        created=datetime.now(UTC),
        config=config,
        simulated=config.simulated,
        data_note=config.note or f"Data of {config.path}",
        summaries=outcome.summaries,
        comparisons=comparisons,
        probabilities=models,
        labels=scores["label"],
        fit_probabilities={t.name: probabilities(fitted[t.name]) for t in trainings},
        baselines=names,
        disclosures=read_disclosures(folder),
        bytes_sent=outcome.bytes_relayed,
        seconds=seconds,
        transport=TRANSPORT,
        fingerprints={party: pin.fingerprint for party, pin in pins_of(config).items()},
        leaks=leaks,
    )


def _leaks(
    config: FederationConfig,
    folder: Path,
    outcome: Any,
    seconds: dict[str, float],
    on_progress: OnProgress,
) -> tuple[RunLeak, ...]:
    """What short attacks on boosted trainings' transcripts rebuild."""

    def show(step: Progress) -> None:
        note = ProgressNote(stage=step.stage, fraction=step.fraction, detail=step.detail)
        on_progress("", note)

    started = time.perf_counter()
    trainings = outcome.summaries[config.label_party.name]["trainings"]
    leaks = short_leaks(config, folder, trainings, show)
    if leaks:
        seconds["attack on the transcripts"] = time.perf_counter() - started
    return leaks


def _pooled_as(
    config: FederationConfig, outcome: Any, training: Training
) -> tuple[AdditiveSettings | None, Mapping[str, int]]:
    """As what the first training's model is to be fitted on pooled plaintext, with which bins.

    Networks have no such twin: what they reach is compared with the other baselines.
    """
    if not isinstance(training, AdditiveSettings):
        return None, {}
    bins = {
        party.name: int(outcome.summaries[party.name]["max_bins"][training.name])
        for party in config.feature_parties
    }
    last = outcome.summaries[config.label_party.name]["trainings"][0]["rounds"][-1]
    chosen = replace(training, smoothness=float(last["smoothness"]), ridge=float(last["ridge"]))
    return chosen, bins


def _pooled_models(
    config: FederationConfig,
    test_rows: Any,
    settings: AdditiveSettings | None,
    bins: Mapping[str, int],
) -> dict[str, Any]:
    from simulations.baselines import Columns, fit_baselines
    from simulations.plain_additive import fit_plain, one_hot_design
    from simulations.pooling import pool

    table = pool(config)
    in_test = np.isin(table.rows, test_rows)
    models = {}
    if settings is not None:
        most = [settings.bins] * len(table.label_party)
        for party, own in table.partners.items():
            most += [bins[party]] * len(own)
        plain = fit_plain(
            one_hot_design(table.label_party + table.partner_columns, ~in_test, most),
            table.label,
            ~in_test,
            smoothness=settings.smoothness,
            ridge=settings.ridge,
        )
        models[POOLED] = probabilities(plain.test_scores)
    fitted = fit_baselines(
        table.label_party,
        table.partner_columns,
        table.label,
        train_rows=np.flatnonzero(~in_test),
        test_rows=np.flatnonzero(in_test),
    )
    return models | {
        baseline.name: baseline.test_scores
        for baseline in fitted
        if baseline.columns is Columns.POOLED
    }


def _write_report(figures: RunFigures, folder: Path) -> None:
    from federation.report.render import render
    from simulations.run_report import report_input

    write_private(folder / "report.html", render(report_input(figures, folder)).encode())


def link_latest(folder: Path) -> None:
    """Let `latest` beside a run's folder lead to it."""
    beside = folder.parent / f".latest.{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(folder.name)
    beside.replace(folder.parent / "latest")

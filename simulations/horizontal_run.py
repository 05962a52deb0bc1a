"""One whole horizontal run: banks train in Flower's simulation and leave a record."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from clients.bank.horizontal_training import SUMMARY
from clients.bank.results import TEST_SCORES
from clients.disclosure_listing import read_disclosures
from clients.federation_file import FederationConfig, Topology
from clients.horizontal_plan import horizontal_plan
from clients.vault import RUN_NAME, write_private
from federation.errors import InputError
from federation.horizontal.plan import HorizontalPlan, differences
from federation.horizontal.server import Note
from federation.metrics import Comparison, Estimate, compare_models
from federation.proto.relay_pb2 import ProgressNote
from federation.record_chain import Entry
from server.coordinator.transcript_store import TranscriptStore
from simulations.banks_baselines import ALONE, banks_baselines
from simulations.flower_run import new_run_id, run_banks_in_flower
from simulations.run_record import BOOTSTRAP_SEED, RESAMPLES
from simulations.training_run import OnProgress, link_latest, refuse_early
from simulations.within_banks import WithinBanks

FEDERATED = "federated"
COORDINATOR, TRANSCRIPT = "coordinator", "transcript.json"
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BanksFigures:
    """Everything known of a horizontal run once it has ended.

    Attributes:
        run, created: id and time (UTC).
        config: the federation.
        plan: of the first bank that finished; all of them have the same.
        summaries: each bank's own.
        excluded: banks that were left out, and why.
        comparisons: test metrics with intervals: 'federated', and with baselines 'alone' (each
            bank's own network on its own borrowers) and 'pooled'.
        labels, probabilities: of all banks' test borrowers, bank after bank.
        disclosures: each bank's disclosure log.
        bytes_up, bytes_down: by bank, as the coordinator counted; `messages` in all.
        seconds: by stage; total_seconds of everything.
    """

    run: str
    created: datetime
    config: FederationConfig
    plan: HorizontalPlan
    summaries: Mapping[str, Mapping[str, Any]]
    excluded: Mapping[str, str]
    comparisons: Mapping[str, Comparison]
    labels: npt.NDArray[np.uint8]
    probabilities: Mapping[str, Vector]
    disclosures: Mapping[str, tuple[Entry, ...]]
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    messages: int
    seconds: Mapping[str, float]
    total_seconds: float = 0.0

    @cached_property
    def within(self) -> WithinBanks:
        """All models on each bank's own test borrowers, which lie bank after bank."""
        return WithinBanks.of(
            self.labels,
            self.probabilities,
            ALONE if ALONE in self.probabilities else FEDERATED,
            [int(summary["test_rows"]) for summary in self.summaries.values()],
            RESAMPLES,
            seed=BOOTSTRAP_SEED,
        )

    @property
    def first(self) -> Mapping[str, Any]:
        """The summary of one bank: rounds, curve and digest are the same at all."""
        return next(iter(self.summaries.values()))


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
    plans = _plans(config, overrides)
    unlike = _unlike(config, plans)
    run = resume or new_run_id(name)
    folder = config.output / run
    if resume is not None:
        _refuse_resume(config.output, resume)
    _make(folder)
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
            bank: _with_difference(bank, reason, unlike).replace(
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
    from simulations.banks_report import write_banks_report  # which imports this module

    write_banks_report(figures, folder)
    write_private(folder / "metrics.json", banks_json(figures).encode())
    if latest:
        link_latest(folder)
    return figures


def _make(folder: Path) -> None:
    """Make a run's folder before anything starts.

    Raises:
        InputError: the output can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: is not a folder that can be written to ({error.strerror}); set "
            "'output' of [federation], or --output, to one"
        ) from error


def _refuse_resume(output: Path, run: str) -> None:
    """Refuse to go on with what is no run that was stopped, before anything is touched.

    Raises:
        InputError: there is no such run, it has ended, or its transcript is damaged.
    """
    if not RUN_NAME.fullmatch(run):
        raise InputError(f"--resume '{run}': is no run's name; name a folder in {output}")
    folder = output / run
    if not folder.is_dir():
        stopped = sorted(path.parts[-3] for path in output.glob(f"*/{COORDINATOR}/{TRANSCRIPT}"))
        stopped = [name for name in stopped if not (output / name / "metrics.json").exists()]
        there = f"these can go on: {', '.join(stopped)}" if stopped else "none there can go on"
        raise InputError(f"--resume {run}: there is no such run in {output}; {there}")
    if not (folder / COORDINATOR / TRANSCRIPT).is_file():
        raise InputError(
            f"--resume {run}: {folder} holds no horizontal run that was stopped after its banks "
            "had joined; start it without --resume"
        )
    if (folder / "metrics.json").exists():
        raise InputError(
            f"--resume {run}: the run has ended, its results are in {folder}; to train again, "
            "leave out --resume"
        )
    TranscriptStore(folder / COORDINATOR).read(run)


def _plans(
    config: FederationConfig, overrides: Mapping[str, Any] | None
) -> dict[str, HorizontalPlan]:
    """Each bank's plan: refuses wrong settings before anything starts."""
    return {
        party.name: horizontal_plan(config, config.manifest_of(party.name), overrides)
        for party in config.parties
    }


def _unlike(config: FederationConfig, plans: Mapping[str, HorizontalPlan]) -> dict[str, str]:
    """The banks whose inputs differ from most banks', and how; the coordinator leaves them out.

    It compares digests and can't say how: on one machine the manifests can be compared.

    Raises:
        InputError: too few banks declare the same inputs.
    """
    counts = Counter(plan.digest for plan in plans.values()).most_common()
    common, alike = counts[0]
    reference = next(bank for bank, plan in plans.items() if plan.digest == common)
    unlike = {
        bank: differences(plan.schema, plans[reference].schema)
        for bank, plan in plans.items()
        if plan.digest != common
    }
    fewest = plans[reference].minimum_banks
    if alike < fewest or (len(counts) > 1 and counts[1][1] == alike):
        words = "; ".join(f"{bank}: {how}" for bank, how in unlike.items())
        raise InputError(
            f"{config.path}: the banks' manifests must declare the same [features], and too few "
            f"do: unlike {reference}, {words}; make at least {fewest} agree"
        )
    return unlike


def _with_difference(bank: str, reason: str, unlike: Mapping[str, str]) -> str:
    return f"{reason}: {unlike[bank]}" if bank in unlike else reason


def _notes(plan: HorizontalPlan, unlike: Mapping[str, str], on_progress: OnProgress) -> Any:
    """The coordinator's notes as progress: rounds of training, and who was left out."""
    updates = 0

    def show(note: Note) -> None:
        nonlocal updates
        fraction = 0.0
        stage, detail = note.stage, note.detail
        bank = note.bank
        if stage == "left out":  # a line each: of one stage, a console shows the last
            detail = _with_difference(bank, detail, unlike)
            stage, bank = f"left out: {bank}", ""
        if note.stage == "update":
            updates += 1
            fraction = updates / plan.settings.rounds
            stage, detail = "training", f"round {updates} of at most {plan.settings.rounds}"
        on_progress(bank, ProgressNote(stage=stage, fraction=fraction, detail=detail))

    return show


def banks_json(figures: BanksFigures) -> str:
    """The run's record for machines."""
    settings = figures.plan.settings
    record = {
        "run": figures.run,
        "created": figures.created.isoformat(timespec="seconds"),
        "topology": "horizontal",
        "data": {"note": figures.config.note, "simulated": figures.config.simulated},
        "banks": {
            bank: {
                key: summary[key]
                for key in ("training_rows", "test_rows", "process", "seconds", "peak_rss_mb")
            }
            for bank, summary in figures.summaries.items()
        },
        "excluded": dict(figures.excluded),
        "test": {
            name: {
                "auc": comparison.metrics.auc.value,
                "ks": comparison.metrics.ks.value,
                "log_loss": comparison.metrics.log_loss.value,
                "auc_interval_95": [comparison.metrics.auc.low, comparison.metrics.auc.high],
                "auc_within_banks": _value(figures.within.auc(name)),
            }
            for name, comparison in figures.comparisons.items()
        },
        "released_evaluation": figures.first["evaluation"] or None,
        "settings": settings.to_json(),
        "aggregation": {
            "scheme": figures.plan.scheme,
            "minimum_clients": figures.plan.minimum_banks,
            "dropouts": figures.plan.dropouts,
        },
        "rounds": figures.first["rounds"],
        "curve": figures.first["curve"],
        "parameters": figures.first["parameters"],
        "model_digest": figures.first["model_digest"],
        "privacy": {
            bank: summary["ledger"] | {"noise_multiplier": summary["noise_multiplier"]}
            for bank, summary in figures.summaries.items()
        },
        "bytes": {"up": dict(figures.bytes_up), "down": dict(figures.bytes_down)},
        "messages": figures.messages,
        "seconds": {stage: round(value, 3) for stage, value in figures.seconds.items()}
        | {"total": round(figures.total_seconds, 3)},
        "notes": {bank: list(summary["notes"]) for bank, summary in figures.summaries.items()},
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value

"""What a person sees on the terminal: progress while a run works, and its table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from federation.metrics import Comparison
from federation.proto.relay_pb2 import ProgressNote
from federation.vertical.trainings import BOOSTED
from simulations.run_record import (
    ALONE,
    POOLED,
    RunFigures,
    giveaways,
    noise_words,
    sent_by_kind,
    words_by_party,
)
from simulations.training_run import OnProgress

TABLE_WIDTH = 108
PLAIN_SECONDS = 1.0  # without a terminal, at most a line a stage and second


@contextmanager
def shown_progress(quiet: bool) -> Iterator[OnProgress]:
    """A callback for progress notes: bars on a terminal, plain lines elsewhere."""
    if quiet:
        yield lambda party, note: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines()
        return
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}
        tasks["start"] = progress.add_task("starting the parties", total=1.0, detail="")

        def show(party: str, note: ProgressNote) -> None:
            if _repeats_the_label_party(note):
                return
            if note.stage not in tasks:
                for earlier in tasks.values():  # stages follow one another; their clocks stop
                    progress.update(earlier, completed=1.0)
                tasks[note.stage] = progress.add_task(note.stage, total=1.0, detail="")
            detail = f"{party}: {note.detail}" if party else note.detail
            current = progress.tasks[tasks[note.stage]].completed
            progress.update(tasks[note.stage], completed=max(current, note.fraction), detail=detail)

        yield show
        for task in tasks.values():
            progress.update(task, completed=1.0)


def _repeats_the_label_party(note: ProgressNote) -> bool:
    """A partner's note of a round: the label party's has the figures."""
    return note.stage.startswith("training") and note.fraction == 0


def _plain_lines() -> OnProgress:
    last: dict[str, float] = {}

    def show(party: str, note: ProgressNote) -> None:
        if _repeats_the_label_party(note):
            return
        now = time.monotonic()
        is_round = note.detail.startswith("round")
        if not is_round and now - last.get(note.stage, -PLAIN_SECONDS) < PLAIN_SECONDS:
            return
        last[note.stage] = now
        sys.stderr.write(f"{note.stage}: {party + ': ' if party else ''}{note.detail}\n")

    return show


def reading_console() -> Console:
    """A console on stdout; where there is no terminal, wide enough for the table."""
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_WIDTH)


def print_table(figures: RunFigures, console: Console) -> None:
    """The run in one table, then what left each party and what each learned."""
    bank = figures.summaries[figures.label_party]
    counts = bank["counts"]
    console.print(
        f"\n{'SIMULATED DATA. ' if figures.simulated else ''}{figures.data_note}\n"
        f"{bank['aligned']:,} borrowers aligned: "
        f"{counts['training'] + counts['validation']:,} to train on "
        f"({counts['validation']:,} of them judge the penalty first), "
        f"{counts['test']:,} to test on.\n",
        highlight=False,
    )
    table = Table(title="Test metrics with 95% bootstrap intervals", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("AUC", "KS", "log-loss"):
        table.add_column(column, justify="right", min_width=20)
    table.add_row(f"{figures.label_party} alone", *_cells(figures.comparisons[ALONE]))
    table.add_section()
    for training in figures.trainings:
        name = _name(figures, training)
        table.add_row(f"[bold]{name}[/bold]", *_cells(figures.comparisons[training["name"]]))
    table.add_section()
    if POOLED in figures.comparisons:
        table.add_row("same model, pooled plaintext", *_cells(figures.comparisons[POOLED]))
    for name in figures.baselines:
        table.add_row(f"pooled: {name}", *_cells(figures.comparisons[name]))
    console.print(table)
    for training in figures.trainings:
        words = noise_words(training)
        if words:
            console.print(f"* {words}.", highlight=False)
    _print_giveaways(figures, console)
    console.print(f"Ledger of these labels: {bank['ledger']['sentence']}.\n", highlight=False)
    _print_disclosures(figures, console)
    _print_seconds(figures, console)


def _name(figures: RunFigures, training: Mapping[str, Any]) -> str:
    noise = training["label_noise"]
    if noise is not None:
        how = training["name"] if training["kind"] == BOOSTED else "label noise"
        return f"federated, {how} ε = {noise['epsilon']:g} *"
    if training["name"] == figures.main_training:
        return "federated"
    return f"federated, {training['name']}"


def _print_giveaways(figures: RunFigures, console: Console) -> None:
    """What each model gave away, beside the others."""
    table = Table(title="What each model gave away", title_justify="left")
    for column in (
        "model",
        f"{figures.label_party} learned of features",
        "partners learned of labels",
        "bins rebuilt",
    ):
        table.add_column(column, overflow="fold")
    given = giveaways(figures)
    for training in figures.trainings:
        one = given[str(training["name"])]
        several = len(one.rebuilt) > 1
        shares = [f"{share:.0%}{f' of {who}' * several}" for who, share, _ in one.rebuilt]
        name = _name(figures, training)
        table.add_row(name, one.of_features, one.of_labels, ", ".join(shares) or "–")
    console.print(table)
    for leak in figures.leaks:
        console.print(
            f"Rebuilt: share of the entropy of {leak.partner}'s bins ({leak.how}); veilscore "
            "leakage runs the whole attack.",
            highlight=False,
        )


def _cells(comparison: Comparison) -> tuple[str, str, str]:
    metrics = comparison.metrics
    return str(metrics.auc), str(metrics.ks), str(metrics.log_loss)


def _print_disclosures(figures: RunFigures, console: Console) -> None:
    table = Table(title="What left each party", title_justify="left")
    for column in ("from", "to", "kind"):
        table.add_column(column)
    for column in ("messages", "bytes"):
        table.add_column(column, justify="right")
    for party, entries in figures.disclosures.items():
        for kind, to, messages, size in sent_by_kind(entries):
            table.add_row(party, to, kind, f"{messages:,}", f"{size:,}")
        table.add_section()
    console.print(table)
    for party, words in words_by_party(figures).items():
        console.print(f"\n[bold]What {party} learned, and could work out from it[/bold]")
        for sentence in (*words.learned, *words.could_reconstruct):
            console.print(f"  - {sentence}", highlight=False)
        console.print(f"  - Never saw: {' '.join(words.never_saw)}", highlight=False)


def _print_seconds(figures: RunFigures, console: Console) -> None:
    parts = ", ".join(f"{stage} {value:.1f}" for stage, value in figures.seconds.items())
    console.print(f"\nSeconds: {figures.total_seconds:.1f} in all ({parts}).", highlight=False)

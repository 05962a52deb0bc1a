"""`veilscore leakage`: what a run's boosted trainings gave away, by an attack at its bank."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from federation.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from federation.session.machine import Progress
    from simulations.run_leakage import RunLeak


def leakage(
    run: Annotated[Path, typer.Argument(help="A training run, such as runs/latest.")],
    training: Annotated[
        str | None,
        typer.Option(help="Which training of that run. Default: every boosted one."),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature to rebuild, by the name that the run gives it; may be repeated. "
            "Default: all."
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            help="Most rounds of the attack a feature; fewer find less. Default: until nothing "
            "changes any more."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Rebuild partners' bins from what the bank kept of a boosted training, and say how many.

    The attack runs at the bank, on its own record: nothing is sent. Where all parties of the run
    lie on this machine, the result is compared with the true bins; else it is the attack's own
    estimate. A better attack may exist: what is found is a lower bound.
    """
    from federation.proto.relay_pb2 import ProgressNote
    from simulations.console import reading_console, shown_progress
    from simulations.reconstruction import ROUNDS
    from simulations.run_leakage import leaks_of

    if rounds is not None and not 0 <= rounds <= ROUNDS:
        raise InputError(f"--rounds {rounds}: a whole number from 0 to {ROUNDS} is right")
    with shown_progress(quiet or as_json) as on_progress:

        def show(step: Progress) -> None:
            note = ProgressNote(stage=step.stage, fraction=step.fraction, detail=step.detail)
            on_progress("", note)

        most = ROUNDS if rounds is None else rounds
        leaks = leaks_of(run, training, most, show, feature or ())
    if as_json:
        record = {"run": run.resolve().name, "leakage": [leak.to_json() for leak in leaks]}
        sys.stdout.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    elif not quiet:
        console = reading_console()
        for leak in leaks:
            _print(leak, console)


def _print(leak: RunLeak, console: Console) -> None:
    from rich.table import Table

    result = leak.result
    measure = "against the true bins" if leak.measured else "the attack's own estimate"
    table = Table(
        title=f"Training '{leak.training}': {leak.partner}'s bins rebuilt ({measure})",
        title_justify="left",
    )
    table.add_column("feature", overflow="fold")
    headings = ["bins", "vectors", "splits"]
    headings += ["codes found", "by guessing"] if leak.measured else ["codes found"]
    for heading in (*headings, "bin entropy rebuilt"):
        table.add_column(heading, justify="right")
    for one in result.features:
        found = [one.estimated_found] if one.found is None else [one.found, one.fullest or 0.0]
        resolved = one.estimated_resolved if one.resolved is None else one.resolved
        counts = [str(one.bins), f"{one.queries:,}", str(one.splits)]
        table.add_row(one.name, *counts, *(f"{s:.0%}" for s in found), f"{resolved:.0%}")
    table.add_section()
    guessed = [f"{result.fullest or 0.0:.0%}"] if leak.measured else []
    totals = ["", f"{leak.answers:,}", f"{leak.splits:,}"]
    table.add_row("all", *totals, f"{leak.found:.0%}", *guessed, f"{leak.share:.0%}")
    console.print(table)
    console.print(
        f"{leak.partner} gave, in {result.trees} trees over {result.borrowers:,} borrowers: "
        f"{leak.answers:,} answers with {leak.sums:,} exact sums, and {leak.split_bits:,} split "
        f"bits ({leak.splits:,} splits).",
        highlight=False,
    )
    if leak.measured:
        console.print(
            "'By guessing' is what naming each feature's fullest bin would find.", highlight=False
        )
    else:
        console.print(
            "The true bins are not on this machine: 'found' is how sure the attack is of itself.",
            highlight=False,
        )

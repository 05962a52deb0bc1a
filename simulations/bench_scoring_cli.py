"""`veilscore bench scoring`: the command."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer


class ModeName(StrEnum):
    """What answers."""

    LOCAL = "local"
    FEDERATED = "federated"
    ENCRYPTED = "encrypted"


def scoring(
    mode: Annotated[
        ModeName,
        typer.Option(
            help="local: the bank holds all features; federated: two partners answer; encrypted: "
            "features that the desk never sees."
        ),
    ] = ModeName.LOCAL,
    seconds: Annotated[float, typer.Option(help="Of each load.")] = 20.0,
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second; 500 local and 200 federated if not said."),
    ] = None,
    borrowers: Annotated[
        int | None, typer.Option(help="Of the bank; all 30,000 if not said.")
    ] = None,
    soak: Annotated[
        float, typer.Option(help="Seconds of a load at half the rate, for memory and errors.")
    ] = 0.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Load the scoring desk, over mutual TLS on this machine: latencies, scores a second, errors.

    Requests are sent when they are due, whether or not earlier ones were answered, and latency
    counts from then. Every score is compared with the one computed offline.
    """
    from simulations.bench_scoring import Mode, Setting, bench_scoring

    setting = Setting(seconds=seconds, soak=soak, borrowers=borrowers, rate=rate)
    figures = bench_scoring(Mode(mode), setting, (lambda _: None) if as_json else _say)
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    _print(figures, "")


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")


def _print(figures: dict[str, Any], prefix: str) -> None:
    for name, value in figures.items():
        if isinstance(value, dict) and value:
            _print(value, f"{prefix}{name}.")
        else:
            sys.stdout.write(f"{prefix + name:<32}  {value}\n")

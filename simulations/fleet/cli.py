"""`veilscore iot simulate-fleet` and `play-fleet`: a fleet to try everything on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the example.")]


def add_commands(iot_app: typer.Typer) -> None:
    """Add this folder's commands to those of the telemetry."""
    iot_app.command("simulate-fleet")(simulate_fleet)
    iot_app.command("play-fleet")(play_fleet)


def simulate_fleet(
    folder: Folder,
    machines: Annotated[int, typer.Option(min=1, help="In the fleet.")] = 40,
    days: Annotated[int, typer.Option(min=1, max=366, help="Of history, up to now.")] = 7,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 1,
    port: Annotated[int, typer.Option(help="Of the broker; 0: a free one.")] = 0,
) -> None:
    """Write an example: a simulated fleet with thefts, siphoning, silence and the like.

    Then `veilscore iot up DIR` in one terminal and `veilscore iot play-fleet DIR` in another.
    """
    from iot.broker.address import free_port
    from iot.ingest.service import wall_clock
    from simulations.fleet.example import write_example

    write_example(folder, machines, days, seed, wall_clock(), port or free_port("127.0.0.1"))
    typer.echo(f"{folder}: {machines} machines, {days} days; next: veilscore iot up {folder}")


def play_fleet(folder: Folder) -> None:
    """Send the example's history to the broker that `veilscore iot up` started.

    Faster than real time; truth.csv says what really happened.
    """
    from simulations.fleet.example import play

    def say(sent: int, waiting: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{sent:,} sent, {waiting:,} not receipted yet  ")

    sent = play(folder, say)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    typer.echo(f"{sent:,} messages sent")

"""Commands of a party: start a federation, exchange keys, see what left and what was spent."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clients.party_cli import party_app


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(init)
    app.command()(disclosures)
    app.command()(keys)
    app.command()(ledger)
    app.command()(shapes)
    app.add_typer(party_app, name="party")


class TopologyName(StrEnum):
    """What the parties share."""

    VERTICAL = "vertical"  # the same borrowers, other columns
    HORIZONTAL = "horizontal"  # the same columns, other borrowers


def init(
    directory: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    topology: Annotated[
        TopologyName,
        typer.Option(help="vertical: a bank and a platform; horizontal: three banks."),
    ] = TopologyName.VERTICAL,
) -> None:
    """Write a commented example federation that runs: change its manifests to your own tables."""
    if topology is TopologyName.HORIZONTAL:
        from clients.horizontal_example import write_horizontal_example as write
    else:
        from clients.example import write_example as write

    federation = write(directory)
    sys.stdout.write(
        f"Wrote an example federation (simulated borrowers) to {directory}.\n"
        f"Train it:  veilscore train --config {federation}\n"
    )


def disclosures(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as runs/latest.")],
    party: Annotated[str | None, typer.Option(help="Only this party's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print every message that left each party in a run, from its hash-chained disclosure log."""
    from clients.disclosure_listing import listing

    for line in listing(run, party, as_json):
        sys.stdout.write(line + "\n")


def keys(
    path: Annotated[
        Path, typer.Argument(help="Your manifest (prints your key), or a federation file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print the key that other parties pin for you, or all keys that a federation file pins.

    The secret half is made in your vault and stays there. Send the printed line by any way, and
    compare its fingerprint by another one, such as the telephone.
    """
    from clients.key_listing import key_listing

    for line in key_listing(path, as_json):
        sys.stdout.write(line + "\n")


def ledger(
    manifest: Annotated[Path, typer.Argument(help="The party's manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print a party's privacy ledger: every event over all runs, and ε of each whole history."""
    from clients.ledger_listing import ledger_listing
    from clients.vault import Vault
    from federation.errors import InputError

    if not manifest.is_file():
        raise InputError(f"{manifest}: there is no such file; name the party's manifest")
    for line in ledger_listing(Vault(manifest.parent / "vault"), as_json):
        sys.stdout.write(line + "\n")


def shapes(
    part: Annotated[Path, typer.Argument(help="A model part, runs/latest/PARTY/model-NAME.json.")],
    output: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("shapes.html"),
) -> None:
    """Draw the shape functions of one's own part of an additive or blind model.

    They say what each feature adds to the log-odds. Of a boosted model, how much each of the label
    party's features moves them, and each partner's together.
    """
    from clients.vault import load_binned, write_private
    from federation.boosting.model_part import BoostedPart
    from federation.report.boosted_importance import render_boosted
    from federation.report.shapes import render_shapes

    own = load_binned(part)
    page = render_boosted(own) if isinstance(own, BoostedPart) else render_shapes(own)
    write_private(output, page.encode())
    sys.stdout.write(f"Wrote {output}\n")

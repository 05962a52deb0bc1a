"""Commands of a party: start a federation, see what left, what was spent, what was learned."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(init)
    app.command()(disclosures)
    app.command()(ledger)
    app.command()(shapes)


def init(directory: Annotated[Path, typer.Argument(help="An empty or new folder.")]) -> None:
    """Write a commented example federation that runs: change its manifests to your own tables."""
    from clients.example import write_example

    federation = write_example(directory)
    sys.stdout.write(
        f"Wrote an example federation (simulated firms) to {directory}.\n"
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


def ledger(
    manifest: Annotated[Path, typer.Argument(help="The label party's manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print the privacy ledger of a party: every release of its labels, over all runs."""
    from clients.vault import ChainFile, Vault
    from federation.errors import InputError

    if not manifest.is_file():
        raise InputError(f"{manifest}: there is no such file; name the label party's manifest")
    entries = ChainFile(Vault(manifest.parent / "vault").ledger_path).entries
    if not entries and not as_json:
        sys.stdout.write("The ledger is empty: no label sums were ever released.\n")
    for entry in entries:
        body = dict(entry.body)
        if as_json:
            sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        else:
            spent = "exact" if body["rho"] == "exact" else f"ρ = {body['rho']:.4f} (zCDP)"
            sys.stdout.write(f"{body['time']}  {spent:<18}  per {body['unit']}: {body['what']}\n")


def shapes(
    part: Annotated[Path, typer.Argument(help="A model part, runs/latest/PARTY/model-NAME.json.")],
    output: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("shapes.html"),
) -> None:
    """Draw the shape functions of one's own model part: what each feature adds to the log-odds."""
    from clients.vault import load_part, write_private
    from federation.report.shapes import render_shapes

    write_private(output, render_shapes(load_part(part)).encode())
    sys.stdout.write(f"Wrote {output}\n")

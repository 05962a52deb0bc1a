"""`veilscore chain features`: what the features mean, and their values of an index."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def add_commands(app: typer.Typer) -> None:
    """Add this folder's command."""
    app.command()(features)


def features(
    index: Annotated[
        Path | None, typer.Argument(help="The index, an SQLite file; none with --definitions.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only what came before this date (UTC) counts."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="The deposit token, where the index has several.")
    ] = None,
    definitions: Annotated[
        bool, typer.Option("--definitions", help="Print what each feature means, in Markdown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a supplier.")] = False,
) -> None:
    """Compute features of all suppliers as of a date, as CSV on stdout.

    A receivables party needs no file of them: its manifest names the index (kind = "receivables").
    """
    from contracts.features import DEFINITIONS, FeatureError, markdown_table

    if definitions:
        sys.stdout.write(markdown_table(DEFINITIONS))
        return
    if index is None or as_of is None:
        raise FeatureError("name the index and --as-of DATE, or ask for --definitions")
    from contracts.features.listing import csv_lines, json_lines, suppliers_of

    found = suppliers_of(index, as_of.date(), token)
    for line in (json_lines if as_json else csv_lines)(found):
        sys.stdout.write(line + "\n")

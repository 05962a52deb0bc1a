"""Commands about what became of scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def outcomes(
    file: Annotated[
        Path,
        typer.Argument(help="CSV: request_id, defaulted (0 or 1), date; see the manual for more."),
    ],
    desk: Annotated[Path, typer.Option(help="The desk's folder.")] = Path("desk"),
    audit: Annotated[
        Path | None, typer.Option(help="The audit record's folder; otherwise the desk's own.")
    ] = None,
    identifier_rule: Annotated[
        str, typer.Option(help="How the model normalises ids, for files with borrowers.")
    ] = "casefold",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Measure scores by observed defaults: bad rates, calibration, AUC by month.

    The summary lands in the desk's folder, where the metrics show it. It describes the borrowers
    who were lent to; applicants who were declined have no outcome.
    """
    import json
    from dataclasses import asdict

    from server.desk.audit import audit_rows
    from server.desk.monitoring.borrower_hashes import BorrowerHashes
    from server.desk.monitoring.outcome_import import import_outcomes
    from server.desk.monitoring.outcome_summary import tables
    from server.desk.settings import SETTINGS_FILE, read_settings

    folder = audit or desk / "audit"
    if audit is None and (desk / SETTINGS_FILE).exists():
        folder = read_settings(desk).audit_folder
    hashes = BorrowerHashes(folder, identifier_rule)
    summary = import_outcomes(file, audit_rows(folder), hashes, desk)
    if as_json:
        sys.stdout.write(json.dumps(asdict(summary)) + "\n")
        return
    for line in tables(summary):
        sys.stdout.write(line + "\n")

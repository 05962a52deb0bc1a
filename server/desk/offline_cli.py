"""`veilscore score`: a file of borrowers, scored as the desk would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def score(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as runs/latest.")],
    source: Annotated[
        Path,
        typer.Option("--input", help="CSV or Parquet: ids and the bank's own features."),
    ],
    output: Annotated[Path, typer.Option(help="CSV or Parquet, to be written.")] = Path(
        "scores.csv"
    ),
    desk: Annotated[
        Path | None,
        typer.Option(help="A desk's folder: its settings say where the partners answer."),
    ] = None,
    model: Annotated[str, typer.Option(help="Which training's model, of several.")] = "",
    id_column: Annotated[
        str | None, typer.Option(help="Of the ids; 'id', 'borrower' or 'borrower_id' if not said.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Score a file of borrowers offline, by the same engine as `veilscore serve`.

    Partners answer as they do online, by tags and points; those that are silent, or that no
    --desk names, are done without: each row names the variant that scored it.
    """
    import json
    from collections import Counter

    from server.desk.offline import score_file

    def progress(done: int, count: int) -> None:
        sys.stderr.write(f"{done:,} of {count:,} borrowers\n")

    served, scores = score_file(run, model, source, output, desk, id_column, progress)
    by_variant = Counter(scores.variants)
    if as_json:
        record = {
            "scored": len(scores.identifiers),
            "output": str(output),
            "model_digest": served.digest,
            "variants": dict(by_variant),
            "failed": scores.failed,
        }
        sys.stdout.write(json.dumps(record) + "\n")
        return
    sys.stdout.write(f"Scored {len(scores.identifiers):,} borrowers: {output}\n")
    for variant in served.variants:
        if by_variant[variant.name]:
            auc = "" if variant.auc is None else f", test AUC {variant.auc:.3f}"
            whom = ", ".join((served.label_party, *variant.parties))
            count = by_variant[variant.name]
            sys.stdout.write(f"  {count:,} by '{variant.name}' ({whom}{auc})\n")
    for party, reason in scores.failed.items():
        if reason == "not asked":
            sys.stdout.write(f"  {party} was not asked: --desk says where partners answer\n")
        else:
            sys.stdout.write(f"  {party} did not answer for some or all of them: {reason}\n")

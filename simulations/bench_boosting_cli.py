"""`veilscore bench boosting`: its options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def boosting(
    rows: Annotated[
        int, typer.Option(help="Borrowers in all; a fifth is kept for the test.")
    ] = 30000,
    label_features: Annotated[int, typer.Option(help="Features of the label party.")] = 5,
    party_features: Annotated[int, typer.Option(help="Features of the feature party.")] = 18,
    depth: Annotated[int, typer.Option(help="Levels of splits in a tree.")] = 4,
    bins: Annotated[int, typer.Option(help="Most bins a feature.")] = 32,
    trees: Annotated[int, typer.Option(help="Most trees.")] = 30,
    transport: Annotated[str, typer.Option(help="memory | stream")] = "stream",
    data: Annotated[str, typer.Option(help="simulated | uci (real; its own sizes)")] = "simulated",
    disclosure: Annotated[str, typer.Option(help="bins | order | owner")] = "bins",
    column_sample: Annotated[
        float, typer.Option(help="Share of the partner's features that take part in a tree.")
    ] = 1.0,
    row_sample: Annotated[float, typer.Option(help="Share of the borrowers in a tree.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Shrinkage of every tree's leaves.")] = 0.2,
    early_stopping: Annotated[
        int, typer.Option(help="Trees without a better validation loss that end it; 0: never.")
    ] = 0,
    min_borrowers: Annotated[
        int | None, typer.Option(help="Fewest training borrowers in a child.")
    ] = None,
    label_epsilon: Annotated[
        float | None, typer.Option(help="ε of the labels; with disclosure owner only.")
    ] = None,
    megabits: Annotated[
        float | None, typer.Option(help="Each party's line to the relay, Mb/s each way.")
    ] = None,
    delay_ms: Annotated[float, typer.Option(help="Of that line, one way, milliseconds.")] = 0.0,
    keep: Annotated[
        Path | None,
        typer.Option(help="A folder for tables and alignment, for other runs to go on with."),
    ] = None,
    flames: Annotated[
        Path | None, typer.Option(help="A folder for one flame graph a party (needs py-spy).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
    ] = False,
) -> None:
    """Train boosted trees: seconds and bytes a tree, and AUC and speed against XGBoost."""
    from simulations.bench_boosting import Population, Setting, bench_boosting, boosted_settings
    from simulations.slow_link import Link

    settings = boosted_settings(
        {
            "disclosure": disclosure,
            "trees": trees,
            "depth": depth,
            "bins": bins,
            "rate": rate,
            "column_sample": column_sample,
            "row_sample": row_sample,
            "early_stopping": early_stopping,
            "min_borrowers": min_borrowers,
            "label_epsilon": label_epsilon,
        }
    )
    link = None if megabits is None else Link(megabits, delay_ms / 1e3)
    figures = bench_boosting(
        Population(rows, label_features, party_features, data),
        settings,
        Setting(transport, link, flames, keep),
    )
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else f"{value}"
        sys.stdout.write(f"{name:<{width}}  {shown}\n")

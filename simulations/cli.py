"""Commands that need every room: the demo, training on one machine, benchmarks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
]
LabelEpsilon = Annotated[
    float | None,
    typer.Option(help="ε of label differential privacy (unit: one borrower's label)."),
]


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(demo)
    app.command()(train)
    app.command()(predict)
    bench = typer.Typer(
        help="Measure speed, memory and bytes on this machine.", no_args_is_help=True
    )
    bench.command("additive")(bench_additive)
    bench.command("alignment")(bench_alignment)
    bench.command("label-noise")(bench_label_noise)
    bench.command("all")(bench_all)
    app.add_typer(bench, name="bench")


def demo(
    output: Annotated[Path, typer.Option(help="Where runs are written.")] = Path("runs"),
    label_epsilon: Annotated[
        float, typer.Option(help="ε of the training with label noise (unit: one borrower's label).")
    ] = 2.0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """A bank and an e-commerce platform train one default model on real data (UCI, 30,000 rows).

    Two Flower clients align their borrowers, train the additive model without exchanging a row,
    once with exact sums and once with label noise, and compare it with what the bank has alone and
    with what pooling the plaintext would reach.
    """
    from simulations.uci import write_parties

    federation = write_parties(output / "parties-uci")
    _run(
        federation,
        "demo",
        [{"name": "exact"}, {"name": "label-noise", "label_epsilon": label_epsilon}],
        output,
        baselines=True,
        quiet=quiet,
        as_json=as_json,
    )


def train(
    config: Annotated[Path, typer.Option(help="The federation file (see `veilscore init`).")],
    label_epsilon: LabelEpsilon = None,
    baselines: Annotated[
        bool, typer.Option(help="Also fit models on pooled plaintext, for comparison only.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option(help="Instead of the file's output folder.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train the additive default model on the parties of a federation file, all on this machine.

    Every party runs in a process of its own that opens its own manifest and table only.
    """
    overrides: dict[str, Any] = {}
    if label_epsilon is not None:
        overrides["label_epsilon"] = label_epsilon
    _run(
        config,
        "train",
        [overrides],
        output,
        baselines=baselines,
        quiet=quiet,
        as_json=as_json,
    )


def _run(
    federation: Path,
    name: str,
    trainings: list[dict[str, Any]],
    output: Path | None,
    *,
    baselines: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    from clients.federation_file import read_federation
    from simulations.console import print_table, reading_console, shown_progress
    from simulations.run_record import metrics_json
    from simulations.training_run import train_and_report

    config = read_federation(federation)
    if output is not None:
        config = config.with_output(output)
    with shown_progress(quiet or as_json) as on_progress:
        figures = train_and_report(
            config,
            name,
            trainings=trainings,
            baselines=baselines,
            on_progress=on_progress,
        )
    folder = config.output / figures.run
    if as_json:
        sys.stdout.write(metrics_json(figures))
    elif not quiet:
        console = reading_console()
        print_table(figures, console)
        console.print(
            f"Written: {folder}/ (report.html, metrics.json, a model part a party); "
            f"{config.output}/latest links to it.",
            highlight=False,
            soft_wrap=True,
        )


def predict(
    config: Annotated[
        Path, typer.Option(help="A federation file whose manifests name the borrowers to score.")
    ],
    run: Annotated[Path, typer.Option(help="The training run, such as runs/latest.")],
    training: Annotated[str, typer.Option(help="Which training of that run.")] = "exact",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score a batch of borrowers with a trained model: one exchange with each partner.

    The label party gets a file of scores; what each party sent is in its disclosure log.
    """
    from clients.federation_file import read_federation
    from simulations.console import shown_progress
    from simulations.prediction_run import predict_batch

    with shown_progress(quiet or as_json) as on_progress:
        figures = predict_batch(read_federation(config), run, training, on_progress)
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    elif not quiet:
        sys.stdout.write(
            f"{figures['scored']:,} borrowers scored in {figures['seconds']:.1f} s; scores at the "
            f"label party: {figures['scores']}\n"
        )


def bench_additive(
    rows: Annotated[
        int, typer.Option(help="Borrowers in all; a fifth is kept for the test.")
    ] = 30000,
    label_features: Annotated[int, typer.Option(help="Features of the label party.")] = 5,
    party_features: Annotated[int, typer.Option(help="Features of the feature party.")] = 18,
    bins: Annotated[int, typer.Option(help="Most bins a feature.")] = 32,
    transport: Annotated[str, typer.Option(help="memory | stream")] = "stream",
    data: Annotated[str, typer.Option(help="simulated | uci (real; its own sizes)")] = "simulated",
    as_json: AsJson = False,
) -> None:
    """Train the additive model: seconds, rounds, bytes, memory, and AUC against plaintext."""
    from simulations.bench_additive import bench

    _print(bench(rows, label_features, party_features, bins, transport, data), as_json)


def bench_alignment(
    ids: Annotated[int, typer.Option(help="Ids at each side; 80% are shared.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Align two parties' ids, both sides on this machine's cores, and report ids a second."""
    from simulations.bench_alignment import bench_alignment as bench

    _print(bench(ids), as_json)


def bench_label_noise(
    epsilon: Annotated[float, typer.Option(help="ε a training; one borrower's label.")] = 2.0,
    draws: Annotated[int, typer.Option(help="Independent draws of the noise.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What label noise costs on the UCI data: test AUC over several draws of the noise."""
    from simulations.bench_label_noise import label_noise_draws

    _print(label_noise_draws(epsilon, draws), as_json)


def bench_all(as_json: AsJson = False) -> None:
    """The benchmarks behind docs/benchmarks.md, one after the other."""
    from simulations.bench_additive import bench
    from simulations.bench_alignment import bench_alignment as alignment
    from simulations.bench_label_noise import label_noise_draws

    runs: list[tuple[str, Any]] = [
        ("UCI, stream", lambda: bench(0, 0, 0, 32, "stream", "uci")),
        ("110,000 x (13+30), stream", lambda: bench(110_000, 13, 30, 32, "stream", "simulated")),
        ("UCI, label noise, ten draws", lambda: label_noise_draws(2.0, 10)),
        ("alignment, 100,000 x 100,000", lambda: alignment(100_000)),
    ]
    for name, run in runs:
        if not as_json:
            sys.stdout.write(f"\n{name}\n")
        figures = run()
        _print({"bench": name} | figures if as_json else figures, as_json)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else f"{value}"
        sys.stdout.write(f"{name:<{width}}  {shown}\n")

"""Commands that need every room: the demo, training on one machine, benchmarks."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import iot.cli
import simulations.fleet.cli
from clients.cli import TopologyName
from federation.errors import InputError
from simulations.bench_cli import add_bench
from simulations.leakage_cli import leakage
from simulations.receivables_cli import receivables


class ModelKind(StrEnum):
    """Which model is trained."""

    ADDITIVE = "additive"  # vertical: block-Newton over private linear maps
    NEURAL = "neural"  # horizontal: DP-SGD and encrypted sums; vertical: a split network
    BLIND = "blind"  # vertical: the additive model on the platform's own frozen encoder
    BOOSTED = "boosted"  # vertical: gradient-boosted trees over all parties' features


class DisclosureLevel(StrEnum):
    """What a boosted training discloses of a partner's features, from the least on."""

    OWNER = "owner"  # trees are grown at their owner
    BINS = "bins"  # sums and split bits, from which bin codes can be rebuilt
    ORDER = "order"  # the bin codes themselves


DEMO_BANKS, DEMO_PARTITION = 4, "iid"


Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
]


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(demo)
    app.command()(train)
    app.command()(predict)
    app.command()(leakage)
    app.command()(receivables)
    add_bench(app)
    simulations.fleet.cli.add_commands(iot.cli.iot_app)


def demo(
    output: Annotated[Path, typer.Option(help="Where runs are written.")] = Path("runs"),
    label_epsilon: Annotated[
        float, typer.Option(help="ε of the training with label noise (unit: one borrower's label).")
    ] = 2.0,
    record_epsilon: Annotated[
        float, typer.Option(help="ε of the four banks' network (unit: one borrower's record).")
    ] = 3.0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """A bank and an e-commerce platform train one default model on real data (UCI, 30,000 rows).

    Two Flower clients align their borrowers and train without exchanging a row: the additive model,
    once with exact sums and once with label noise, and boosted trees. Each is compared with what
    the bank has alone, with what pooling the plaintext would reach, and in what it gave away: a
    short attack rebuilds the platform's bins from what the bank learned of them. Then four banks
    with rows and labels of their own train one network under record-level differential privacy and
    encrypted aggregation.
    """
    from simulations.training_choice import Asked, demo_federations

    several = Asked(record_epsilon=record_epsilon).horizontal_overrides()
    federation, federation_of_banks = demo_federations(output)
    vertical = _run(
        federation,
        "demo",
        [
            {"name": "exact"},
            {"name": "label-noise", "label_epsilon": label_epsilon},
            {"name": "boosted", "kind": "boosted"},
        ],
        output,
        baselines=True,
        quiet=quiet or as_json,
        as_json=False,
    )
    horizontal = _run_banks(
        federation_of_banks,
        "demo-banks",
        several,
        output,
        baselines=False,
        brief=True,
        quiet=quiet or as_json,
        as_json=False,
    )
    if as_json:
        record = {"vertical": json.loads(vertical), "horizontal": json.loads(horizontal)}
        sys.stdout.write(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def train(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The federation file (see `veilscore init`); without one, the UCI data of the "
            "demo, divided as --topology, --banks and --partition say."
        ),
    ] = None,
    model: Annotated[
        ModelKind | None,
        typer.Option(
            help="additive; neural: a split network (vertical) or several banks' one (horizontal); "
            "blind: additive over the platform's own encoder; boosted: gradient-boosted trees. "
            "Default: the file's."
        ),
    ] = None,
    disclosure: Annotated[
        DisclosureLevel | None,
        typer.Option(
            help="Boosted: what the bank may learn of partners' features, if their manifests "
            "accept it: owner, bins (bin codes can be rebuilt) or order (the bin codes). Default: "
            "the file's, or bins."
        ),
    ] = None,
    topology: Annotated[
        TopologyName | None,
        typer.Option(
            help="vertical: the same borrowers, other columns; horizontal: several banks with rows "
            "and labels of their own. Default: the file's."
        ),
    ] = None,
    label_epsilon: Annotated[
        float | None,
        typer.Option(help="Vertical: ε of the labels' privacy (unit: one borrower's label)."),
    ] = None,
    record_epsilon: Annotated[
        float | None,
        typer.Option(help="Horizontal: ε of DP-SGD at each bank (unit: one borrower's record)."),
    ] = None,
    client_epsilon: Annotated[
        float | None,
        typer.Option(help="Horizontal: ε of the noisy sums (unit: one bank's whole data set)."),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Horizontal: mlp, gru or lstm.")] = None,
    banks: Annotated[
        int | None,
        typer.Option(help="Horizontal, without --config: how many banks; 4 if not said."),
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option(
            help="Horizontal, without --config: iid (if not said), dirichlet:0.3, "
            "dirichlet-by-class:0.3 or attribute:EDUCATION."
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Horizontal: go on with this run, which was stopped.")
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Also fit models on pooled plaintext, for comparison only.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option(help="Instead of the file's output folder.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train one default model on the parties of a federation file, all on this machine.

    Vertical: a bank and partners train the additive model, a neural one or trees. Horizontal:
    several banks train one network; their updates are added up encrypted. Every party's work opens
    its own manifest and table only.
    """
    from clients.federation_file import Topology, read_federation
    from simulations.training_choice import (
        Asked,
        federation_to_train,
        refuse_unused,
        vertical_overrides,
    )

    asked = Asked(
        model, topology, label_epsilon, record_epsilon, client_epsilon, architecture, disclosure
    )
    refuse_unused(config, asked, banks=banks, partition=partition, resume=resume)
    file = federation_to_train(
        config,
        asked,
        output or Path("runs"),
        DEMO_BANKS if banks is None else banks,
        partition or DEMO_PARTITION,
    )
    federation = read_federation(file)
    if federation.topology is Topology.HORIZONTAL:
        _run_banks(
            file,
            "train",
            asked.horizontal_overrides(),
            output if config is not None else output or Path("runs"),
            resume=resume,
            baselines=baselines,
            quiet=quiet,
            as_json=as_json,
        )
        return
    if resume is not None:
        raise InputError("--resume: a vertical session can't be resumed yet; train again")
    _run(
        file,
        "train",
        [vertical_overrides(federation, asked)],
        output if config is not None else output or Path("runs"),
        baselines=baselines,
        quiet=quiet,
        as_json=as_json,
    )


def _run_banks(
    file: Path,
    name: str,
    overrides: dict[str, Any],
    output: Path | None,
    *,
    resume: str | None = None,
    brief: bool = False,
    baselines: bool,
    quiet: bool,
    as_json: bool,
) -> str:
    from clients.federation_file import read_federation
    from simulations.banks_console import print_banks, print_brief
    from simulations.banks_record import banks_json
    from simulations.console import reading_console, shown_progress
    from simulations.horizontal_run import train_banks

    config = read_federation(file)
    if output is not None:
        config = config.with_output(output)
    with shown_progress(quiet or as_json) as on_progress:
        figures = train_banks(
            config,
            name,
            overrides=overrides,
            baselines=baselines,
            resume=resume,
            latest=not brief,
            on_progress=on_progress,
        )
    record = banks_json(figures)
    if as_json:
        sys.stdout.write(record)
    elif not quiet:
        console = reading_console()
        (print_brief if brief else print_banks)(figures, console)
        console.print(
            f"Written: {config.output / figures.run}/ (report.html, metrics.json, a model a bank)"
            + ("." if brief else f"; {config.output}/latest links to it."),
            highlight=False,
            soft_wrap=True,
        )
    return record


def _run(
    federation: Path,
    name: str,
    trainings: list[dict[str, Any]],
    output: Path | None,
    *,
    baselines: bool,
    quiet: bool,
    as_json: bool,
) -> str:
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
    record = metrics_json(figures)
    if as_json:
        sys.stdout.write(record)
    elif not quiet:
        console = reading_console()
        print_table(figures, console)
        console.print(
            f"Written: {folder}/ (report.html, metrics.json, a model part a party); "
            f"{config.output}/latest links to it.",
            highlight=False,
            soft_wrap=True,
        )
    return record


def predict(
    config: Annotated[
        Path, typer.Option(help="A federation file whose manifests name the borrowers to score.")
    ],
    run: Annotated[Path, typer.Option(help="The training run, such as runs/latest.")],
    training: Annotated[
        str | None,
        typer.Option(help="Which training of that run. Default: the exact one, or the only one."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score a batch of borrowers with a trained model.

    Vertical: one exchange with each partner; the label party gets a file of scores, and what each
    party sent is in its disclosure log. Horizontal: every bank has the whole network, and scores
    its own table without a word to anybody.
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
            f"{figures['scored']:,} borrowers scored in {figures['seconds']:.1f} s: "
            f"{figures['scores']}\n"
        )

"""`veilscore bench`: the commands behind the figures of docs/benchmarks.md."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from simulations.bench_boosting_cli import boosting
from simulations.bench_scoring_cli import scoring

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
]
Seeds = Annotated[int, typer.Option(help="How many trainings, each with another seed.")]


def add_bench(app: typer.Typer) -> None:
    """Add `bench` and its commands."""
    bench = typer.Typer(
        help="Measure speed, memory, bytes and accuracy on this machine.", no_args_is_help=True
    )
    bench.command("additive")(bench_additive)
    bench.command("boosting")(boosting)
    bench.command("alignment")(bench_alignment)
    bench.command("relay")(bench_relay)
    bench.command("plots")(bench_plots)
    bench.command("label-noise")(bench_label_noise)
    bench.command("aggregation")(bench_aggregation)
    bench.command("horizontal")(bench_horizontal)
    bench.command("financing")(bench_financing)
    bench.command("split")(bench_split)
    bench.command("privacy-curve")(bench_privacy_curve)
    bench.command("scoring")(scoring)
    bench.command("index")(bench_index)
    bench.command("ingest")(bench_ingest)
    bench.command("rules")(bench_rules)
    bench.command("receivables-features")(bench_receivables_features)
    bench.command("telemetry-features")(bench_telemetry_features)
    bench.command("all")(bench_all)
    app.add_typer(bench, name="bench")


def bench_additive(
    rows: Annotated[
        int, typer.Option(help="Borrowers in all; a fifth is kept for the test.")
    ] = 30000,
    label_features: Annotated[int, typer.Option(help="Features of the label party.")] = 5,
    party_features: Annotated[int, typer.Option(help="Features of the feature party.")] = 18,
    bins: Annotated[int, typer.Option(help="Most bins a feature.")] = 32,
    pairs: Annotated[int, typer.Option(help="Most pairs of features a party; 0: none.")] = 0,
    transport: Annotated[str, typer.Option(help="memory | stream")] = "stream",
    data: Annotated[str, typer.Option(help="simulated | uci (real; its own sizes)")] = "simulated",
    again: Annotated[
        bool, typer.Option(help="A second session too, on what was kept of the first.")
    ] = False,
    megabits: Annotated[
        float | None, typer.Option(help="Each party's line to the relay, Mb/s each way.")
    ] = None,
    delay_ms: Annotated[float, typer.Option(help="Of that line, one way, milliseconds.")] = 0.0,
    flames: Annotated[
        Path | None, typer.Option(help="A folder for one flame graph a party (needs py-spy).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the additive model: seconds, rounds, bytes, memory, and AUC against plaintext."""
    from simulations.bench_additive import Setting, bench
    from simulations.slow_link import Link

    link = None if megabits is None else Link(megabits, delay_ms / 1e3)
    setting = Setting(link, again, flames)
    figures = bench(rows, label_features, party_features, bins, transport, data, setting, pairs)
    _print(figures, as_json)


def bench_relay(
    parties: Annotated[int, typer.Option(help="Parties, each a process.")] = 10,
    megabytes: Annotated[int, typer.Option(help="Through the relay in all.")] = 1024,
    slow: Annotated[bool, typer.Option(help="One party takes its messages slowly.")] = False,
    as_json: AsJson = False,
) -> None:
    """Push messages through the relay: MB/s, the relay's memory, and how many were lost (none)."""
    from simulations.bench_relay import bench_relay as bench

    _print(bench(parties, megabytes, slow), as_json)


def bench_plots(
    folder: Annotated[Path, typer.Option(help="Where scaling.png and scaling.jsonl go.")] = Path(
        "docs"
    ),
    largest: Annotated[int, typer.Option(help="Borrowers of the largest run.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Draw seconds and memory against the number of borrowers, 10,000 and up, on log scales."""
    from simulations.bench_scaling import bench_scaling as bench

    for figures in bench(folder, largest, _say):
        _print(figures, as_json)


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


def bench_aggregation(
    params: Annotated[int, typer.Option(help="Parameters of the update.")] = 1_000_000,
    clients: Annotated[int, typer.Option(help="Clients in the sum.")] = 10,
    scheme: Annotated[str, typer.Option(help="bfv | ckks")] = "bfv",
    as_json: AsJson = False,
) -> None:
    """Sum one update of several clients, masked and encrypted: milliseconds, bytes, exactness.

    `ratio` is a whole round's critical path with a second of local training, over the same round
    with plain vectors.
    """
    from simulations.bench_aggregation import bench_aggregation as bench

    _print(bench(params, clients, scheme), as_json)


def bench_horizontal(
    row: Annotated[
        str,
        typer.Argument(
            help="mlp, epsilon-3, epsilon-1, dirichlet, dirichlet-by-class, gru, lstm, or all."
        ),
    ] = "all",
    seeds: Seeds = 5,
    as_json: AsJson = False,
) -> None:
    """Test AUC of four banks' networks on the UCI data, through the real protocol."""
    from simulations.bench_horizontal import ROWS
    from simulations.bench_horizontal import bench_horizontal as bench

    for name in ROWS if row == "all" else (row,):
        _print(bench(name, range(seeds), _say), as_json)


def bench_ingest(
    messages: Annotated[int, typer.Option(min=1_000, help="Of 300 bytes, QoS 1.")] = 100_000,
    devices: Annotated[int, typer.Option(min=1, help="That they come from.")] = 1_000,
    rules: Annotated[bool, typer.Option(help="All rules and the geofence, or none.")] = True,
    kills: Annotated[int, typer.Option(min=0, help="SIGKILLs of the ingest.")] = 0,
    broker_kills: Annotated[int, typer.Option(min=0, help="SIGKILLs of the broker.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the moments of the kills.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Store messages from mosquitto (TLS) in SQLite, every batch synced: messages a second, and
    lost ones.

    Without kills the broker holds all messages before the clock starts. With kills devices send
    meanwhile, and send again what was not receipted.
    """
    from simulations.bench_ingest import bench_ingest as bench

    figures = bench(
        messages, devices, rules=rules, kills=kills, broker_kills=broker_kills, seed=seed
    )
    _print(figures, as_json)


def bench_rules(
    seeds: Annotated[int, typer.Option(min=1, help="How many simulated fleets.")] = 10,
    first: Annotated[int, typer.Option(help="The first seed; the others follow.")] = 1_001,
    machines: Annotated[int, typer.Option(min=1, help="In each fleet.")] = 40,
    days: Annotated[int, typer.Option(min=1, help="Of each.")] = 28,
    as_json: AsJson = False,
) -> None:
    """Precision and recall of every telemetry rule on simulated fleets, against what happened."""
    from simulations.fleet.measuring import measure_rules

    def say(seed: int) -> None:
        _say(f"seed {seed} done")

    for rule, figures in measure_rules(
        range(first, first + seeds), machines, days, say=say
    ).items():
        _print({"rule": rule, **figures}, as_json)


def bench_index(
    events: Annotated[int, typer.Option(min=1, help="Events of the synthetic chain.")] = 100_000,
    database: Annotated[
        str,
        typer.Option(
            envvar="VEILSCORE_BENCH_INDEX",
            help="URL of an empty database; without it, a SQLite file that is deleted afterwards.",
        ),
    ] = "",
    chunk: Annotated[int, typer.Option(min=1, help="Blocks a transaction.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Index a synthetic chain of receivables: events a second, decoded, derived from, committed."""
    from simulations.bench_index import bench_index as bench

    _print(bench(events, database, chunk=chunk), as_json)


def bench_financing(
    runs: Annotated[int, typer.Option(help="Applications, one after the other.")] = 100,
    chain: Annotated[
        str, typer.Option(help="anvil | eth-tester; anvil if not said, where it is installed.")
    ] = "",
    borrowers: Annotated[int, typer.Option(help="Of the bank, to train the model on.")] = 3_000,
    as_json: AsJson = False,
) -> None:
    """From a supplier's application to its money: the desk scores, decides, signs; a contract pays.

    `paid` is the whole, from the call of the desk until the supplier's balance has risen. Its
    parts: attested (the desk), tried (dry run and gas), stored (signed, journal), sent, mined and
    confirmed (receipt), seen (balance). `indexed` comes after it.
    """
    from simulations.bench_financing import bench_financing as bench

    say = (lambda _: None) if as_json else _say
    _print(bench(runs, chain, borrowers, say), as_json)


def bench_split(
    draws: Annotated[int, typer.Option(help="Trainings of each kind.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Test AUC of the vertical networks on the UCI data: split, split with label ε = 4, blind."""
    from simulations.bench_split import bench_split as bench

    _print(bench(draws), as_json)


def bench_privacy_curve(
    picture: Annotated[Path, typer.Option(help="Where the picture goes (.png or .svg).")] = Path(
        "privacy-curve.png"
    ),
    seeds: Seeds = 3,
    as_json: AsJson = False,
) -> None:
    """Draw test AUC against ε (unit: one borrower's record) of four banks on the UCI data."""
    from simulations.bench_privacy_curve import bench_privacy_curve as bench

    _print(bench(picture, range(seeds), _say), as_json)


def bench_receivables_features(
    suppliers: Annotated[int, typer.Option(help="Suppliers of the simulated supply chain.")] = (
        10_000
    ),
    events: Annotated[int, typer.Option(help="Facts in the index, about.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Compute all features of all suppliers from an index in SQLite: seconds, on one core."""
    from simulations.bench_receivables_features import bench_receivables_features as bench

    _print(bench(suppliers, events, _say), as_json)


def bench_telemetry_features(
    lessees: Annotated[int, typer.Option(min=1, help="Of one machine each.")] = 10_000,
    days: Annotated[int, typer.Option(min=1, help="Of one message a minute.")] = 90,
    samples: Annotated[
        int, typer.Option(min=1, help="Of those messages, how many are kept, about.")
    ] = 5_400_000,
    as_json: AsJson = False,
) -> None:
    """Roll samples up and compute all features of all lessees: seconds and memory."""
    from simulations.bench_telemetry_features import bench_telemetry_features as bench

    _print(bench(lessees, days, samples, _say), as_json)


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")


def bench_all(as_json: AsJson = False) -> None:
    """The benchmarks behind docs/benchmarks.md, one after the other."""
    from federation.boosting.settings import BoostedSettings
    from simulations.bench_additive import bench
    from simulations.bench_aggregation import bench_aggregation as aggregation
    from simulations.bench_alignment import bench_alignment as alignment
    from simulations.bench_boosting import Population
    from simulations.bench_boosting import bench_boosting as boosted
    from simulations.bench_horizontal import ROWS
    from simulations.bench_horizontal import bench_horizontal as horizontal
    from simulations.bench_index import bench_index as indexing
    from simulations.bench_label_noise import label_noise_draws
    from simulations.bench_scoring import Mode, Setting
    from simulations.bench_scoring import bench_scoring as scoring_desk
    from simulations.bench_split import bench_split as split

    runs: list[tuple[str, Any]] = [
        ("UCI, stream", lambda: bench(0, 0, 0, 32, "stream", "uci")),
        ("110,000 x (13+30), stream", lambda: bench(110_000, 13, 30, 32, "stream", "simulated")),
        ("boosted trees, UCI, stream", lambda: boosted(Population(data="uci"), BoostedSettings())),
        (
            "boosted trees, 110,000 x (13+30), stream",
            lambda: boosted(
                Population(110_000, 13, 30), BoostedSettings(bins=32, column_sample=1.0)
            ),
        ),
        ("UCI, label noise, ten draws", lambda: label_noise_draws(2.0, 10)),
        ("alignment, 100,000 x 100,000", lambda: alignment(100_000)),
        ("aggregation, 1,000,000 parameters x 10", lambda: aggregation(1_000_000, 10)),
        *((f"four banks: {row}", partial(horizontal, row)) for row in ROWS),
        ("split networks, five draws", lambda: split(5)),
        ("event index, 100,000 events into SQLite", lambda: indexing(100_000)),
        *((f"scoring desk, {mode}", partial(scoring_desk, mode, Setting())) for mode in Mode),
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

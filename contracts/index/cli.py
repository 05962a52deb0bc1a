"""`veilscore chain index`, `portfolio` and `watch`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from contracts.units import UnixSeconds

if TYPE_CHECKING:
    from contracts.index.database import IndexDatabase
    from contracts.index.indexer import Indexer, Progress

Rpc = Annotated[
    str,
    typer.Option(envvar="VEILSCORE_RPC", help="URL of a node, such as http://127.0.0.1:8545."),
]
DeploymentFile = Annotated[
    Path,
    typer.Option(
        envvar="VEILSCORE_DEPLOYMENT", help="The JSON file that `veilscore chain deploy` wrote."
    ),
]
Database = Annotated[
    str,
    typer.Option(
        envvar="VEILSCORE_INDEX",
        help="URL of the index, sqlite:///index.db or postgresql://…; one with a password only "
        "in the environment variable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines, nothing else.")]
Confirmations = Annotated[
    int, typer.Option(min=0, help="Blocks behind the head that are left for later.")
]
Poll = Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")]
DEFAULT_DATABASE = "sqlite:///index.db"


def add_commands(app: typer.Typer) -> None:
    """Add this folder's commands."""
    app.command()(index)
    app.command()(portfolio)
    app.command()(watch)


def index(
    rpc: Rpc,
    deployment: DeploymentFile,
    database: Database = DEFAULT_DATABASE,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new blocks until it is stopped.")
    ] = False,
    confirmations: Confirmations = 0,
    chunk: Annotated[int, typer.Option(min=1, help="Most blocks a transaction.")] = 50,
    finality: Annotated[
        int, typer.Option(min=1, help="Deepest reorganisation that is followed, in blocks.")
    ] = 64,
    poll: Poll = 1.0,
    as_json: AsJson = False,
) -> None:
    """Read the contracts' events from a node into a database.

    It may be stopped at any moment and goes on from there; reorganisations of the chain are
    followed. What is indexed is the base of `portfolio`, `watch`, alerts and features.
    """
    with _opened(database) as opened, _progress(as_json) as show:
        indexer = _indexer(rpc, deployment, opened, (chunk, confirmations, finality))
        indexer.on_progress = show
        done = indexer.follow(poll, lambda: False) if follow else indexer.run()
    if as_json:
        import dataclasses

        sys.stdout.write(json.dumps(dataclasses.asdict(done)) + "\n")
    else:
        sys.stdout.write(
            f"Indexed up to block {done.block} of {done.head}: {done.blocks:,} blocks and "
            f"{done.events:,} events in this run, {done.rewinds} reorganisations\n"
        )


def portfolio(
    database: Database = DEFAULT_DATABASE,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="A day (its end) or a time in UTC, such as 2026-03-31 or 2026-03-31T12:00"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is owed, how late, how concentrated, and how loans have done.

    Without --as-of, it is the state at the last indexed block. An earlier moment is worked out from
    the events up to it.
    """
    from contracts.index.listing import portfolio_json, print_portfolio
    from contracts.index.snapshot import take_snapshot

    moment = None if as_of is None else _moment(as_of)
    with _opened(database, must_exist=True) as opened:
        snapshot = take_snapshot(opened, moment)
    if as_json:
        sys.stdout.write(json.dumps(portfolio_json(snapshot)) + "\n")
    else:
        print_portfolio(snapshot)


def watch(
    database: Database = DEFAULT_DATABASE,
    rpc: Annotated[
        str | None,
        typer.Option(envvar="VEILSCORE_RPC", help="A node: index too while watching."),
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(envvar="VEILSCORE_DEPLOYMENT", help="With --rpc, the deployment's file."),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(help="Show events after this block; without it, only what comes from now on."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show what is there, then stop.")] = False,
    confirmations: Confirmations = 0,
    poll: Poll = 0.25,
) -> None:
    """Print events as they happen, one line each, until it is stopped.

    With --rpc and --deployment it indexes while it watches; without them, another process does.
    """
    import time

    from contracts.index.errors import IndexingError
    from contracts.index.snapshot import read_tip
    from contracts.index.watch import watch as lines

    if (rpc is None) != (deployment is None):
        raise IndexingError("--rpc and --deployment go together; give both, or neither")
    with _opened(database, must_exist=rpc is None) as opened:
        indexer = None
        if rpc is not None and deployment is not None:
            indexer = _indexer(rpc, deployment, opened, (50, confirmations, 64))
            indexer.run()
        if after is None and not once:
            with opened.reading() as connection:
                tip = read_tip(connection)
            after = tip.number if tip else None

        def wait() -> bool:
            if once:
                return False
            time.sleep(poll)
            if indexer is not None:
                indexer.run()
            return True

        for line in lines(opened, after, wait):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _indexer(
    rpc: str, file: Path, database: IndexDatabase, numbers: tuple[int, int, int]
) -> Indexer:
    from contracts.index.deployment import read_deployment
    from contracts.index.follower import Settings
    from contracts.index.indexer import Indexer
    from contracts.index.store import IndexStore
    from contracts.index.web3_source import Web3Source, connect

    deployment = read_deployment(file)
    source = Web3Source(connect(rpc), deployment.contracts.values())
    source.check(deployment)
    store = IndexStore(database, deployment)
    if deployment.token is not None:
        store.remember_token(deployment.token, *source.token(deployment.token))
    return Indexer(source, store, deployment, Settings(*numbers))


@contextmanager
def _opened(url: str, must_exist: bool = False) -> Iterator[IndexDatabase]:
    from contracts.index.database import IndexDatabase

    context = click.get_current_context()
    given = context.get_parameter_source("database") is click.core.ParameterSource.COMMANDLINE
    opened = IndexDatabase(url, "--database", password_allowed=not given, must_exist=must_exist)
    try:
        yield opened
    finally:
        opened.close()


def _moment(text: str) -> UnixSeconds:
    """Unix seconds of a moment; of a day, its last second."""
    from datetime import UTC

    from contracts.index.errors import IndexingError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise IndexingError(
            "--as-of is no day or time; write it as 2026-03-31 or 2026-03-31T12:00:00 (UTC)"
        ) from None
    if len(text) == len("2026-03-31"):
        moment = moment.replace(hour=23, minute=59, second=59)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return UnixSeconds(int(moment.timestamp()))


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr, where a person looks at it; it leaves nothing behind."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("block"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[events]} events"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("indexing", total=None, events="0")
        yield lambda done: bar.update(
            task, completed=done.block or 0, total=done.head, events=f"{done.events:,}"
        )

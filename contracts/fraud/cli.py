"""`veilscore chain alerts`: what looks like fraud in an index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from contracts.fraud.alerts import FraudAlert
    from contracts.index.database import IndexDatabase

SOME_ALERTS = 3


def add_commands(app: typer.Typer) -> None:
    """Add this folder's command."""
    app.command()(alerts)


def alerts(
    database: Annotated[
        str,
        typer.Option(
            envvar="VEILSCORE_INDEX",
            help="URL of the index, sqlite:///index.db or postgresql://…; one with a password only "
            "in the environment variable.",
        ),
    ] = "sqlite:///index.db",
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file of thresholds, such as circle_days = 60.")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="A CSV file, account,group: which accounts are of one firm or owner."),
    ] = None,
    elsewhere: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL",
            help="Another registry's index, to find invoices in both; may be given more than once. "
            "Their networks must use the same salt. A password comes from PGPASSFILE, not the URL.",
        ),
    ] = None,
    confirmations: Annotated[
        int, typer.Option(min=0, help="Blocks under the last indexed one that are left for later.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as the index grows, until it is stopped.")
    ] = False,
    poll: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object an alert.")] = False,
) -> None:
    """Print what looks like fraud: double presentation, circles, self-dealing, bursts and more.

    No alert is a proof; each names the rule and the facts that met it. `id` is the same whenever
    the same facts are read. The index is what `veilscore chain index` writes.

    The exit status is 0 without alerts, 3 with some, 2 if the command is wrong.
    """
    import time

    from contracts.fraud import read_fraud_settings
    from contracts.fraud.errors import FraudSettingsInvalid
    from contracts.fraud.listing import alert_json, print_alerts
    from contracts.fraud.reading import OtherRegistry
    from contracts.fraud.watch import FraudWatch
    from contracts.index.database import IndexDatabase
    from contracts.index.errors import DatabaseUnavailable

    context = click.get_current_context()
    typed = context.get_parameter_source("database") is click.core.ParameterSource.COMMANDLINE
    chosen = read_fraud_settings(settings, groups)
    count = 0

    def show(found: list[FraudAlert]) -> None:
        nonlocal count
        count += len(found)
        if as_json:
            for alert in found:
                sys.stdout.write(alert_json(alert) + "\n")
            sys.stdout.flush()
        elif found or not follow:
            print_alerts(found)

    with ExitStack() as opened:

        def open_index(url: str, place: str, password_allowed: bool) -> IndexDatabase:
            index = IndexDatabase(url, place, password_allowed=password_allowed, must_exist=True)
            opened.callback(index.close)
            return index

        others: list[OtherRegistry] = []
        for given in elsewhere or ():
            name, sign, url = given.partition("=")
            if not sign or not url:
                raise FraudSettingsInvalid(
                    "--elsewhere must be a name and a URL, such as north=sqlite:///north.db"
                )
            if name in (other.name for other in others):
                raise FraudSettingsInvalid("--elsewhere has one name twice; each needs its own")
            others.append(OtherRegistry(name, open_index(url, "--elsewhere", False)))
        index = open_index(database, "--database", not typed)
        with _progress(as_json or follow) as on_progress:
            watch = FraudWatch(index, chosen, others, confirmations, on_progress)
            found = watch.poll()
        show(found)
        try:
            while follow:
                time.sleep(poll)
                try:
                    show(watch.poll())
                except DatabaseUnavailable as error:  # it may pass, and no alert is lost
                    sys.stderr.write(f"{error}\n")
        except KeyboardInterrupt:  # how following ends
            pass
    if count:
        raise typer.Exit(SOME_ALERTS)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where a person looks at it; it leaves nothing behind."""
    if quiet or not sys.stderr.isatty():
        yield lambda block, last: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("checking blocks", total=None)
        yield lambda block, last: bar.update(task, completed=block, total=last)

"""`veilscore iot alerts`: what the rules found, and what people did about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from iot.alerts.life import Alert
    from iot.units import Millis

alerts_app = typer.Typer(
    help=(
        "Alerts on leased machines: `list` what is open, `take` one up, `close` one that is over, "
        "`suppress` one that is none. Every change is kept, and told to the bank where "
        "telemetry.toml names one."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
Settings = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of telemetry.toml, or that file.")
]
Name = Annotated[str, typer.Argument(metavar="ALERT", help="Its id, or how it begins.")]
Who = Annotated[str, typer.Option("--by", help="Who does it; it is kept.")]
Note = Annotated[str, typer.Option(help="What is to be remembered of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines, nothing else.")]


def add_commands(app: typer.Typer) -> None:
    """Add this folder's commands."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command("list")
def show(
    settings: Settings,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    most: Annotated[int, typer.Option(min=1, help="So many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show alerts, the worst and then the oldest first."""
    from iot.alerts.book import listed
    from iot.alerts.life import ALIVE, State
    from iot.app import open_telemetry

    states = tuple(State) if everything else (*ALIVE, State.CLEARED)
    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        found = list(listed(connection, states=states, most=most))
    for alert in found:
        typer.echo(json.dumps(_fields(alert)) if as_json else _line(alert))
    if not found and not as_json:
        typer.echo("no alerts")


@alerts_app.command()
def history(settings: Settings, alert: Name, as_json: AsJson = False) -> None:
    """Show every change of an alert: when, what, who and why."""
    from iot.alerts.book import find
    from iot.alerts.book import history as changes
    from iot.app import open_telemetry

    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        found = changes(connection, find(connection, alert))
    for change in found:
        if as_json:
            typer.echo(json.dumps(change))
        else:
            who = f" by {change['who']}" if change["who"] else ""
            note = f": {change['note']}" if change["note"] else ""
            typer.echo(f"{_moment(change['at_ms'])}  {change['state']}{who}{note}")


@alerts_app.command()
def take(settings: Settings, alert: Name, by: Who, note: Note = "") -> None:
    """Take an open alert up."""
    from iot.alerts.life import acknowledged

    _change(settings, alert, by, note, acknowledged)


@alerts_app.command()
def close(settings: Settings, alert: Name, by: Who, note: Note = "") -> None:
    """Close an alert that is over."""
    from iot.alerts.life import closed

    _change(settings, alert, by, note, closed)


@alerts_app.command()
def suppress(
    settings: Settings,
    alert: Name,
    by: Who,
    note: Annotated[str, typer.Option(help="Why it is none, such as a repair.")],
) -> None:
    """Say that an alert is none."""
    from iot.alerts.life import suppressed

    _change(settings, alert, by, note, suppressed)


@alerts_app.command()
def deliveries(settings: Settings, as_json: AsJson = False) -> None:
    """Show how many messages to the bank wait, are delivered, or were refused."""
    from iot.alerts.delivery import waiting
    from iot.app import open_telemetry

    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        counts = waiting(connection)
    if as_json:
        typer.echo(json.dumps(counts))
    for state in () if as_json else ("waiting", "delivered", "refused"):
        typer.echo(f"{counts.get(state, 0):,} {state}")


def _change(
    settings: Path,
    name: str,
    by: str,
    note: str,
    step: Callable[[Alert, str, Millis], Alert],
) -> None:
    from iot.alerts.book import find
    from iot.app import open_telemetry
    from iot.ingest.service import wall_clock

    now = wall_clock()
    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        changed = step(find(connection, name), by, now)
        telemetry.alerts().write(connection, changed, now, by, note or None)
    typer.echo(f"{changed.id} is {changed.state}")


def _fields(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "state": alert.state.value,
        "severity": alert.severity.name.lower(),
        "device": alert.device,
        "lessee": alert.lessee,
        "rule": alert.rule,
        "opened": _moment(alert.opened_ms),
        "value": alert.value,
        "threshold": alert.threshold,
        "unit": alert.unit,
        "reason": alert.reason,
    }


def _line(alert: Alert) -> str:
    return (
        f"{alert.id[:8]}  {_moment(alert.opened_ms)}  {alert.severity.name.lower():<10} "
        f"{alert.state:<7} {alert.device}  {alert.reason}"
    )


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%d %H:%M")

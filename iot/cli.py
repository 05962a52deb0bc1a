"""`veilscore iot`: leased equipment, from devices' messages to alerts and rent."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import iot.alerts.cli
import iot.rent.cli

if TYPE_CHECKING:
    from iot.alerts.desk import Desk
    from iot.ingest.service import IngestService
    from iot.store.database import Database

iot_app = typer.Typer(
    help=(
        "Leased equipment: take in what machines say over MQTT, keep it durably, watch it by "
        "rules, bill by use. DIR holds telemetry.toml and what it names; `simulate-fleet` writes "
        "an example. Then `up`, `status`, `alerts`, `rent`."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
Settings = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of telemetry.toml, or that file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines, nothing else.")]


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(iot_app, name="iot")


@iot_app.command()
def up(
    settings: Settings,
    seconds: Annotated[
        float, typer.Option(min=0, help="Stop after so many seconds; 0: when it is told to.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing until the end.")] = False,
) -> None:
    """Take messages in until Ctrl-C: store, watch, acknowledge.

    A second line of figures is shown every few seconds. It may be killed at any time: what was not
    stored was not acknowledged, and comes again.
    """
    from iot.app import open_telemetry
    from iot.local_broker import local_broker

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_telemetry(settings) as telemetry, local_broker(telemetry.settings):
        service = telemetry.service()
        desk = telemetry.desk()
        if desk is not None:
            threading.Thread(target=_deliver, args=(telemetry.database, desk, stop)).start()
        until = time.monotonic() + seconds if seconds else float("inf")
        teller = threading.Thread(target=_tell, args=(service, stop), daemon=True)
        if not quiet:
            teller.start()
        try:
            service.run(lambda: stop.is_set() or time.monotonic() >= until)
        finally:
            stop.set()
        progress = service.progress
        typer.echo(
            f"{progress.acknowledged:,} messages stored and acknowledged, "
            f"{progress.alerts:,} verdicts."
        )


def _deliver(database: Database, desk: Desk, stop: threading.Event) -> None:
    """Tell the bank of alerts, as they come."""
    from iot.alerts.delivery import Delivery
    from iot.errors import StoreUnavailable
    from iot.ingest.service import wall_clock

    delivery = Delivery(database, desk)
    while not stop.wait(0.2):
        try:
            delivery.attempt(wall_clock())
        except StoreUnavailable as error:
            # Said again next time, which the desk takes as once.
            sys.stderr.write(f"{error}\n")
    desk.close()


def _tell(service: IngestService, stop: threading.Event) -> None:
    """Say on stderr every two seconds how far the ingest is, where that changed."""
    said = ""
    while not stop.wait(2.0):
        progress = service.progress
        state = "connected" if progress.connected else progress.last_failure or "connecting"
        line = f"{state}; {progress.acknowledged:,} stored, {progress.alerts:,} verdicts"
        if line != said:
            said = line
            sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")


@iot_app.command()
def status(settings: Settings, as_json: AsJson = False) -> None:
    """Show what came, from whom, and what was set aside and why."""
    from iot.app import open_telemetry
    from iot.ingest.service import wall_clock
    from iot.status import status as figures_of

    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        figures = figures_of(connection, telemetry.fleet, wall_clock())
    if as_json:
        typer.echo(json.dumps(figures))
        return
    typer.echo(
        f"{figures['devices']:,} devices in the fleet, {figures['heard']:,} heard of, "
        f"{figures['quiet']:,} of them quiet for an hour or more"
    )
    span = f", of {_day(figures['first_ms'])} to {_day(figures['last_ms'])}"
    typer.echo(f"{figures['samples']:,} samples{span if figures['samples'] else ''}")
    for reason, number in figures["refused"].items():
        typer.echo(f"{number:,} messages set aside: {reason}")


@iot_app.command()
def quarantine(
    settings: Settings,
    last: Annotated[int, typer.Option(min=1, help="So many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show messages that were set aside, with the reason of each."""
    import sqlalchemy as sa

    from iot.app import open_telemetry
    from iot.store.tables import quarantine as table

    with open_telemetry(settings) as telemetry, telemetry.database.transaction() as connection:
        rows = list(
            connection.execute(sa.select(table).order_by(table.c.number.desc()).limit(last))
        )
    for row in rows:
        shown: dict[str, Any] = {
            "received": _moment(row.received),
            "topic": row.topic,
            "reason": row.reason,
            "detail": row.detail,
            "bytes": row.size,
        }
        typer.echo(json.dumps(shown) if as_json else "  ".join(str(v) for v in shown.values()))


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="seconds")


def _day(at: int | None) -> str:
    return "" if at is None else _moment(at)[:10]


iot.alerts.cli.add_commands(iot_app)
iot.rent.cli.add_commands(iot_app)

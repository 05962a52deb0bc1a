"""Commands of the scoring desk: serve, and look after callers and the audit record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from server.desk.alerts.cli import alerts_app
from server.desk.monitoring.cli import outcomes
from server.desk.offline_cli import score
from server.desk.policy.cli import policy_app
from server.desk.registry.cli import models_app

_OF_THE_EXTRA = (
    *("fastapi", "google", "grpc_health", "grpc_reflection", "grpc_status"),
    *("prometheus_client", "sqlalchemy", "uvicorn"),
)
DeskFolder = Annotated[Path, typer.Argument(help="The desk's folder.")]

desk_app = typer.Typer(
    name="desk",
    help="Callers and audit record of a scoring desk.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(serve)
    app.command()(score)
    desk_app.command()(outcomes)
    app.add_typer(desk_app)
    app.add_typer(models_app, name="models")
    app.add_typer(alerts_app, name="alerts")
    app.add_typer(policy_app, name="policy")


def serve(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run's folder, whose model goes into an empty registry."),
    ] = None,
    desk: Annotated[Path, typer.Option(help="The desk's folder; made where there is none.")] = Path(
        "desk"
    ),
    model: Annotated[str, typer.Option(help="Which training's model, of several.")] = "",
    listen: Annotated[
        str, typer.Option(help="HOST:PORT instead of the settings'; port 0 takes a free one.")
    ] = "",
    vault: Annotated[
        Path | None,
        typer.Option(help="The bank's vault, for a new desk folder: its key asks the partners."),
    ] = None,
    partner: Annotated[
        list[str] | None,
        typer.Option(help="For a new desk folder: NAME=HOST:PORT, where a partner answers."),
    ] = None,
) -> None:
    """Serve a trained model over gRPC with mutual TLS, until it is told to stop (SIGTERM).

    The first time, a folder for the desk is made: settings with comments, certificates, a caller.
    """
    import asyncio
    import logging
    import os
    from dataclasses import replace

    from federation.errors import InputError

    # Or gRPC's core writes lines of its own beside our sentences, at every failed handshake too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    try:
        from server.desk.app import serve as serve_desk
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OF_THE_EXTRA:
            raise
        raise InputError(
            f"the desk needs the package '{package}'; install veilscore with its extra 'desk'"
        ) from error
    from server.desk.desk_folder import make_desk_folder
    from server.desk.settings import SETTINGS_FILE, check_address, read_settings
    from server.desk.single_model import served_file

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    first = None if run is None else served_file(run, model)
    if not (desk / SETTINGS_FILE).exists():
        if first is None:
            raise InputError(
                f"{desk}: holds no desk.toml; name a run's folder too, and one is made for it"
            )
        for line in make_desk_folder(desk, first, vault, _addresses(partner or [])):
            sys.stdout.write(line + "\n")
    settings = read_settings(desk)
    if listen:
        settings = replace(settings, listen=check_address(listen, "--listen"))
    asyncio.run(serve_desk(settings, first))


def _addresses(given: list[str]) -> dict[str, str]:
    """Partners' addresses, as NAME=HOST:PORT."""
    from federation.errors import InputError
    from server.desk.settings import check_address

    addresses: dict[str, str] = {}
    for one in given:
        name, equals, address = one.partition("=")
        if not equals or not name or name in addresses:
            raise InputError(f"--partner {one[:80]}: NAME=HOST:PORT is right, once a partner")
        addresses[name] = check_address(address, f"--partner {name[:60]}")
    return addresses


@desk_app.command()
def caller(
    name: Annotated[str, typer.Argument(help="The caller's name, such as 'lending'.")],
    desk: DeskFolder = Path("desk"),
    roles: Annotated[
        str, typer.Option(help="Of score, explain, decide, admin, alerts, encrypted.")
    ] = "score",
) -> None:
    """Make a certificate for a caller and enter it in access.toml."""
    from server.desk.desk_folder import add_caller

    wanted = [role.strip() for role in roles.split(",") if role.strip()]
    for line in add_caller(desk, name, wanted):
        sys.stdout.write(line + "\n")


@desk_app.command()
def audit(
    desk: DeskFolder = Path("desk"),
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check the chain, and say how long it is.")
    ] = False,
    borrower: Annotated[
        str | None, typer.Option(help="Only rows about this borrower's id.")
    ] = None,
) -> None:
    """Print the audit record, or verify it; it is verified in both cases."""
    from server.desk.audit import audit_line, audit_rows
    from server.desk.settings import read_settings

    count = 0
    for entry in audit_rows(read_settings(desk).audit_folder, borrower):
        count += 1
        if not verify:
            sys.stdout.write(audit_line(entry, as_json) + "\n")
    if verify:
        sys.stdout.write(f"{count:,} rows, each follows from the one before\n")


@desk_app.command()
def encrypted(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as runs/latest.")],
    desk: Annotated[Path, typer.Option(help="The desk's folder.")] = Path("desk"),
    model: Annotated[str, typer.Option(help="Which training's model, of several.")] = "",
    name: Annotated[str, typer.Option(help="What applicants call it.")] = "default",
) -> None:
    """Put the bank's own part of a model up for encrypted scoring.

    An applicant encrypts its features under a key of its own; the desk computes the score without
    seeing them. Bin borders and categories become known to applicants, weights do not.
    """
    from server.desk.encrypted.publishing import publish

    for line in publish(run, model, desk, name):
        sys.stdout.write(line + "\n")

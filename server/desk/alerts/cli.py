"""`veilscore alerts`: what partners reported, what is due, and how it is resolved."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.desk.alerts.store import AlertStore

alerts_app = typer.Typer(
    help="Alerts that partners reported to the scoring desk, and what follows from them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Desk = Annotated[Path, typer.Option(envvar="VEILSCORE_DESK", help="The desk's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a line.")]
DESK = Path("desk")


class FollowUpName(StrEnum):
    """What can be closed by itself."""

    CONTACT = "contact"
    LIMIT_REVIEW = "limit-review"
    WATCH_LIST = "watch-list"


@alerts_app.command("list")
def list_alerts(
    borrower: Annotated[str, typer.Option(help="Only this borrower's; else all.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only those to resolve.")] = False,
    most: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """List alerts, the latest first."""
    from server.desk.alerts.listing import alert_lines

    with _store(desk) as store:
        found = store.find(borrower=borrower or None, open_only=open_only, most=most)
    for line in alert_lines(found, as_json):
        _write(line)


@alerts_app.command()
def resolve(
    source: Annotated[str, typer.Argument(help="The party that reported it.")],
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The alert's id there.")],
    why: Annotated[str, typer.Option(help="What came of it, in a sentence.")],
    only: Annotated[
        FollowUpName | None, typer.Option(help="Close only this; the alert stays open.")
    ] = None,
    desk: Desk = DESK,
    as_json: AsJson = False,
) -> None:
    """Resolve an alert and all that follows from it, or one thing that follows."""
    from server.desk.alerts.listing import alert_lines, closed_line
    from server.desk.alerts.rules import FollowUp
    from server.desk.registry.listing import operator

    with _store(desk) as store:
        if only is not None:
            store.close_follow_up(source, identifier, FollowUp(only.value), why, operator())
            _write(closed_line(source, identifier, only.value, as_json))
            return
        for line in alert_lines([store.resolve(source, identifier, why, operator())], as_json):
            _write(line)


@alerts_app.command()
def reviews(desk: Desk = DESK, as_json: AsJson = False) -> None:
    """List limit reviews that are owed, the earliest due first."""
    from server.desk.alerts.listing import review_lines
    from server.desk.alerts.rules import FollowUp

    with _store(desk) as store:
        _, found = store.open_follow_ups(FollowUp.LIMIT_REVIEW)
        for line in review_lines(found, store.now_ms, as_json):
            _write(line)


@contextmanager
def _store(desk: Path) -> Iterator[AlertStore]:
    """The alerts of a desk's folder."""
    from server.desk.alerts.settings import open_store

    with open_store(desk) as store:
        yield store


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")

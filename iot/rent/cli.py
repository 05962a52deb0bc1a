"""`veilscore iot rent`: bill months by use, and show what was billed and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iot.errors import TelemetryError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from iot.app import Telemetry
    from iot.fleet.fleet import Lease
    from iot.rent.cards import RateCards
    from iot.rent.entry import RentEntry
    from iot.units import LeaseId

rent_app = typer.Typer(
    help=(
        "Rent by use: `bill` prices a month of every lease and posts it to a ledger that is only "
        "ever added to; late data posts an adjustment. `statement` writes it for people."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
Settings = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of telemetry.toml, or that file.")
]
MonthText = Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-03.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines, nothing else.")]


def add_commands(app: typer.Typer) -> None:
    """Add this folder's commands."""
    app.add_typer(rent_app, name="rent")


@contextmanager
def _open(settings: Path) -> Iterator[tuple[Telemetry, Connection, RateCards]]:
    import iot.rent.ledger  # noqa: F401  (its table belongs to the database)
    from iot.app import open_telemetry
    from iot.rent.card_file import read_rate_cards

    with open_telemetry(settings) as telemetry:
        path = telemetry.settings.rate_cards
        if path is None:
            raise TelemetryError(f"'{settings}' names no rate_cards; rent needs a price list.")
        cards = read_rate_cards(path)
        with telemetry.database.transaction() as connection:
            yield telemetry, connection, cards


def _leases(telemetry: Telemetry) -> dict[LeaseId, Lease]:
    return {lease.id: lease for leases in telemetry.fleet.leases.values() for lease in leases}


@rent_app.command()
def bill(settings: Settings, month: MonthText, as_json: AsJson = False) -> None:
    """Price a month of every lease that has a rate card, and post what that changes.

    Doing it again posts nothing, or the difference that late data made.
    """
    from iot.ingest.service import wall_clock
    from iot.rent.counters import counter_samples
    from iot.rent.ledger import post
    from iot.rent.month import Month
    from iot.rent.rating import rate

    wanted, now = Month.parse(month), wall_clock()
    posted = []
    with _open(settings) as (telemetry, connection, cards):
        for lease in _leases(telemetry).values():
            offset = lease.utc_offset_minutes
            begun = lease.start < wanted.end(offset)
            over = lease.end is not None and lease.end <= wanted.start(offset)
            if lease.rate_card is None or not begun or over:
                continue
            rating = rate(lease, cards, counter_samples(connection, lease, now), wanted, now)
            entry = post(connection, rating)
            if entry is not None:
                posted.append(entry)
    _show(posted, as_json)
    if not as_json:
        typer.echo(f"{len(posted):,} entries posted for {wanted}")


@rent_app.command()
def ledger(settings: Settings, as_json: AsJson = False) -> None:
    """Show every entry of the rent ledger, after checking its chain."""
    from iot.rent.ledger import entries, verify

    with _open(settings) as (_, connection, _cards):
        found = list(entries(connection))
    verify(found)
    _show(found, as_json)


@rent_app.command()
def replay(settings: Settings) -> None:
    """Price every entry of the ledger anew from the samples, and compare to the cent."""
    from iot.ingest.service import wall_clock
    from iot.rent.counters import counter_samples
    from iot.rent.ledger import entries
    from iot.rent.replay import replay as replayed

    now = wall_clock()
    with _open(settings) as (telemetry, connection, cards):
        found = list(entries(connection))
        leases = _leases(telemetry)
        result = replayed(
            found,
            leases,
            cards,
            lambda lease: counter_samples(connection, lease, now),
        )
    for difference in result.differences:
        typer.echo(str(difference), err=True)
    if not result.identical:
        raise TelemetryError(
            f"{len(result.differences):,} of {len(found):,} entries are not what the samples give."
        )
    typer.echo(f"{len(found):,} entries, identical to the cent")


@rent_app.command()
def statement(
    settings: Settings,
    lease: Annotated[str, typer.Argument(metavar="LEASE")],
    month: MonthText,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("statement.html"),
) -> None:
    """Write a lease's statement of a month: days, tiers, adjustments, in plain words."""
    from iot.rent.ledger import entries
    from iot.rent.month import Month
    from iot.rent.statement import statement_html
    from iot.units import LeaseId

    with _open(settings) as (telemetry, connection, _):
        known = _leases(telemetry).get(LeaseId(lease))
        if known is None:
            raise TelemetryError(f"The fleet lists no lease '{lease}'.")
        found = list(entries(connection, known.id, Month.parse(month)))
    if not found:
        raise TelemetryError(f"Lease '{lease}' has no entry for {month}: `bill` that month first.")
    out.write_text(statement_html(known, found), encoding="utf-8")
    typer.echo(f"{out} written")


@rent_app.command("what-if")
def what_if(
    settings: Settings,
    card: Annotated[str, typer.Argument(metavar="CARD", help="Of the price list's cards.")],
    version: Annotated[int, typer.Option(min=1, help="Of the card.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Price all hours of the ledger with one card, and compare with what was billed."""
    from iot.rent.ledger import entries
    from iot.rent.money import money_text
    from iot.rent.what_if import what_if as compared
    from iot.units import RateCardId

    with _open(settings) as (telemetry, connection, cards):
        found = list(entries(connection))
        wanted = cards.version(RateCardId(card), version)
        result = compared(found, _leases(telemetry), wanted)
    if as_json:
        by_lease = {name: list(pair) for name, pair in result.by_lease().items()}
        typer.echo(
            json.dumps(
                {
                    "currency": wanted.currency,
                    "billed_minor": result.billed_minor,
                    "would_minor": result.would_minor,
                    "by_lease": by_lease,
                }
            )
        )
        return
    typer.echo(
        f"billed {money_text(result.billed_minor, wanted.currency)}, with '{card}' it would have "
        f"been {money_text(result.would_minor, wanted.currency)}"
    )


def _show(found: list[RentEntry], as_json: bool) -> None:
    from iot.rent.money import money_text

    for entry in found:
        content = entry.content
        shown: dict[str, Any] = {
            "number": entry.number,
            "lease": content.lease,
            "month": content.month,
            "kind": content.kind.value,
            "amount_minor": content.amount_minor,
            "currency": content.currency,
            "card": f"{content.card}/{content.card_version}",
            "digest": entry.digest,
        }
        if as_json:
            typer.echo(json.dumps(shown))
        else:
            amount = money_text(content.amount_minor, content.currency)
            typer.echo(
                f"{entry.number:>6}  {content.month}  {content.lease:<24} {content.kind.value:<12}"
                f"{amount:>16}"
            )

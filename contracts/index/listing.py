"""A portfolio laid out for a reader or a machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.index.phrases import money, utc
from contracts.index.portfolio import (
    By,
    ageing,
    concentration,
    exposures,
    loans_by_status,
    of_token,
    outstanding,
    outstanding_by_token,
    rates,
)
from contracts.index.snapshot import Snapshot

_LONGEST = 10  # accounts a table


def portfolio_json(snapshot: Snapshot) -> dict[str, Any]:
    """Every view as one JSON object; amounts are whole minor units, times unix seconds."""
    owed = {by: outstanding(snapshot, by) for by in By}
    by_token = outstanding_by_token(snapshot)
    return {
        "at": snapshot.at,
        "block": None if snapshot.tip is None else snapshot.tip.number,
        "tokens": {
            address: dataclasses.asdict(token) for address, token in snapshot.tokens.items()
        },
        "outstanding": {
            "token": by_token,
            **{
                str(by): {token: dict(of_token(owed[by], token)) for token in by_token} for by in By
            },
        },
        "ageing": {
            token: {str(bucket): amount for bucket, amount in buckets.items()}
            for token, buckets in ageing(snapshot).items()
        },
        "concentration": {
            token: {
                str(by): dataclasses.asdict(concentration(of_token(owed[by], token))) for by in By
            }
            for token in by_token
        },
        "exposures": {str(by): exposures(snapshot, by) for by in By},
        "loans": {
            str(status): dataclasses.asdict(total)
            for status, total in loans_by_status(snapshot).items()
        },
        "rates": {token: dataclasses.asdict(rate) for token, rate in rates(snapshot).items()},
    }


def print_portfolio(snapshot: Snapshot, console: Console | None = None) -> None:
    """Every view as tables, a token after the other."""
    console = console or Console()
    block = "nothing" if snapshot.tip is None else f"block {snapshot.tip.number}"
    console.print(f"As of {utc(snapshot.at)}; indexed up to {block}", highlight=False)
    owed = {by: outstanding(snapshot, by) for by in By}
    ages = ageing(snapshot)
    for token, total in outstanding_by_token(snapshot).items():
        words = snapshot.tokens.get(token)
        title = f"Outstanding: {money(total, words)} (token {token})"
        _table(
            console,
            title,
            ("days past due", "amount"),
            [(str(bucket), money(amount, words)) for bucket, amount in ages[token].items()],
        )
        for by in By:
            amounts = of_token(owed[by], token)
            if amounts:
                spread = concentration(amounts)
                _table(
                    console,
                    f"Outstanding by {by}: {spread.parties} in all, HHI {spread.hhi:.3f}, largest "
                    f"5 hold {spread.top[5]:.0%}",
                    (str(by), "amount"),
                    [(name, money(sum_, words)) for name, sum_ in list(amounts.items())[:_LONGEST]],
                )
    _print_lending(snapshot, console)


def _print_lending(snapshot: Snapshot, console: Console) -> None:
    words = snapshot.tokens.get(snapshot.pool_token or "")
    for by in By:
        lent = list(exposures(snapshot, by).items())[:_LONGEST]
        if lent:
            _table(
                console,
                f"Open advances by {by}",
                (str(by), "amount"),
                [(account, money(amount, words)) for account, amount in lent],
            )
    _table(
        console,
        "Loans",
        ("status", "loans", "principal", "open"),
        [
            (
                str(status),
                f"{total.count:,}",
                money(total.principal, words),
                money(total.open_principal, words),
            )
            for status, total in loans_by_status(snapshot).items()
        ],
    )
    for token, rate in rates(snapshot).items():
        of = snapshot.tokens.get(token)
        rows = [
            ("default rate", f"{rate.default_rate:.2%}", money(rate.defaulted, of)),
            ("loss rate", f"{rate.loss_rate:.2%}", money(rate.lost, of)),
            ("dilution", f"{rate.dilution_rate:.2%}", money(rate.diluted, of)),
        ]
        _table(console, "Since the beginning", ("", "share", "amount"), rows)


def _table(
    console: Console, title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> None:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    for row in rows:
        # Text, since a token's symbol is a stranger's and no markup.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)

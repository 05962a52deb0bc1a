"""Commands of the lending policy: check a file, try it on a portfolio, hash a blocked list."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

policy_app = typer.Typer(
    name="policy",
    help="The lending policy: check a file, and what it would decide over a portfolio.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PolicyFile = Annotated[Path, typer.Argument(help="A policy file (TOML).")]
Today = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The day of the decisions; without it, today (UTC)."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")
]


@policy_app.command()
def check(
    file: PolicyFile,
    strict: Annotated[bool, typer.Option(help="Fail where there is anything to look at.")] = False,
    today: Today = None,
    as_json: AsJson = False,
) -> None:
    """Say in plain words what a policy does, and where it has gaps, overlaps or a wrong order.

    A policy that does not parse is refused with the place and what would be right.
    """
    import json

    from federation.errors import InputError
    from server.desk.policy.challenger import PolicyPair
    from server.desk.policy.description import describe
    from server.desk.policy.findings import findings

    pair = PolicyPair.load(file)
    policy = pair.champion
    found = findings(policy, _day(today))
    if as_json:
        content = {
            "policy": policy.label,
            "digest": policy.digest,
            "findings": [{"where": one.where, "sentence": one.sentence} for one in found],
        }
        sys.stdout.write(json.dumps(content) + "\n")
    else:
        for line in describe(policy):
            sys.stdout.write(line + "\n")
        if pair.challenger is not None and policy.challenger is not None:
            sys.stdout.write(
                f"\n{pair.challenger.label} decides on {policy.challenger.share:%} of the "
                "borrowers as the challenger.\n"
            )
        sys.stdout.write("\nTo look at:\n" if found else "\nNothing to look at.\n")
        for one in found:
            sys.stdout.write(f"  {one.where}: {one.sentence}\n")
    if strict and found:
        raise InputError(f"{file}: {len(found)} findings; mend them, or check without --strict")


@policy_app.command()
def simulate(
    file: PolicyFile,
    portfolio: Annotated[
        Path,
        typer.Option(
            help="CSV or Parquet with 'probability' or 'log_odds', facts, and 'label' or "
            "'defaulted' where known; or a run's BANK/test-scores.parquet."
        ),
    ],
    versus: Annotated[Path | None, typer.Option(help="A challenger's policy file.")] = None,
    product: Annotated[
        str, typer.Option(help="Of all rows; else the column 'product', or the policy's first.")
    ] = "",
    score: Annotated[
        str, typer.Option(help="The column of log-odds, where a run has several trainings.")
    ] = "",
    fact: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for all rows; may be given again.")
    ] = None,
    today: Today = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
) -> None:
    """What a policy would decide over a portfolio: approvals, bad rates, profit by cut-off.

    With --versus, also who is decided otherwise by the other policy, and what it brings.
    """
    import json

    from federation.errors import InputError
    from server.desk.policy.comparison import compare
    from server.desk.policy.lending_policy import LendingPolicy
    from server.desk.policy.portfolio import read_portfolio
    from server.desk.policy.simulation import simulate as run_policy
    from server.desk.policy.simulation_report import as_json as report_json
    from server.desk.policy.simulation_report import as_text

    given = {}
    for one in fact or []:
        name, sign, value = one.partition("=")
        if not sign:
            raise InputError("--fact: must be NAME=VALUE, such as days_to_due=60")
        given[name.strip()] = value.strip()
    day = _day(today)
    policies = [LendingPolicy.load(one) for one in (file, versus) if one is not None]
    read = [read_portfolio(portfolio, policy, product, score, given) for policy in policies]
    runs = [run_policy(policy, rows, day) for policy, rows in zip(policies, read, strict=True)]
    comparison = compare(*runs) if len(runs) == 2 else None
    if as_json:
        content = report_json(read[0], policies, runs, comparison, day)
        sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
    else:
        for line in as_text(read[0], policies, runs, comparison):
            sys.stdout.write(line + "\n")
    if html is not None:
        from clients.vault import write_private
        from server.desk.policy.simulation_page import render

        write_private(html, render(read[0], policies, runs, comparison, day).encode())
        if not as_json:
            sys.stdout.write(f"Wrote {html}\n")


@policy_app.command("hash-ids")
def hash_ids(
    ids: Annotated[Path, typer.Argument(help="Borrower ids, one a line.")],
    key_file: Annotated[Path, typer.Option(help="64 hexadecimal digits: openssl rand -hex 32.")],
    rule: Annotated[
        str, typer.Option(help="How ids are normalised; as in the party's manifest.")
    ] = "casefold",
) -> None:
    """Print a blocked list of keyed hashes, which says nothing to those without the key."""
    from federation.errors import InputError
    from federation.identifiers import IdentifierRule, normalise_one
    from server.desk.policy.blocked import hash_ids as hashes
    from server.desk.policy.blocked import load_key

    if rule not in list(IdentifierRule):
        raise InputError(f"--rule: must be one of {', '.join(IdentifierRule)}")
    key = load_key(key_file)
    try:
        lines = ids.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{ids}: cannot be read; it must be a UTF-8 file, an id a line") from None
    normalised = (normalise_one(line.strip(), IdentifierRule(rule)) for line in lines)
    for line in hashes(normalised, key):
        sys.stdout.write(line + "\n")


def _day(today: datetime | None) -> date:
    from server.desk.policy.adapter import today_utc

    return today_utc() if today is None else today.date()

"""`veilscore chain status` and `anchor`: what the chain says, and what it is to remember."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.gateway.cli_options import (
    DEFAULT_FEE_CAP,
    AsJson,
    Confirmations,
    DeploymentFile,
    FeeCap,
    Journal,
    OptionalKeystore,
    PasswordCredential,
    PasswordFd,
    PasswordFile,
    Rpc,
    sending,
    tell,
)


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(status)
    app.command()(anchor)


def status(
    rpc: Rpc,
    deployment: DeploymentFile,
    receivable: Annotated[
        int | None, typer.Argument(min=1, help="A receivable's number: leaf, terms and loan.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="An account: balance and roles.")] = None,
    bank: Annotated[
        str | None, typer.Option(help="A bank: its money and terms; with --account, its limits.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a receivable with its loan, an account's roles, a bank's limits, or the deployment."""
    from contracts.gateway.gateway import Gateway
    from contracts.gateway.solidity_values import checked_address
    from contracts.gateway.status_listing import print_status, status_of

    chosen = {
        name: checked_address(text, f"--{name}")
        for name, text in (("account", account), ("bank", bank))
        if text is not None
    }
    gateway = Gateway.open(deployment, rpc)
    found = status_of(gateway, receivable, chosen.get("account"), chosen.get("bank"))
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        print_status(found, gateway)


def anchor(
    record: Annotated[
        Path, typer.Argument(help="A hash-chained record: a privacy ledger, a disclosure log.")
    ],
    rpc: Rpc,
    deployment: DeploymentFile,
    stream: Annotated[
        str | None, typer.Option(help="The stream's name; the file's name if not given.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check that the file holds what was anchored.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(help="With --verify: who anchored, if not the keystore's.")
    ] = None,
    keystore: OptionalKeystore = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """Anchor the head of a record on chain, so that its past can't be rewritten unseen.

    Only a digest leaves. The record is verified first, and must extend what was anchored before.
    """
    from contracts.gateway.anchoring import anchor_call, read_record, standing
    from contracts.gateway.errors import KeystoreError
    from contracts.gateway.gateway import Gateway
    from contracts.gateway.keystore import address_of
    from contracts.gateway.solidity_values import checked_address

    content, name = read_record(record), stream or record.name
    if verify:
        if account is None and keystore is None:
            raise KeystoreError("Name --account: who anchored the record.")
        who = (
            checked_address(account, "--account") if account is not None else address_of(keystore)  # type: ignore[arg-type]
        )
        found = standing(Gateway.open(deployment, rpc).anchor, who, name, content)
        said = (
            f"{record} holds what was anchored: the first {found.anchored_entries} of "
            f"{found.entries} entries, on {found.anchored_at:%Y-%m-%d %H:%M:%S} UTC"
            if found.anchored_at
            else f"Nothing of stream {name!r} is anchored by {who}"
        )
        facts = {"entries": found.entries, "anchored_entries": found.anchored_entries}
        tell(said, None, as_json, account=who, stream=name, **facts)
        if found.anchored_at is None:
            raise typer.Exit(2)
        return
    if keystore is None:
        raise KeystoreError("Name --keystore: the account that anchors.")
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        call = anchor_call(gateway.anchor, gateway.account, name, content)
        reference = f"anchor/{call.digest(gateway.chain.chain_id, gateway.account)}" if call else ""
        receipt = gateway.submit(call, reference) if call else None
    said = (
        f"Anchored {content.head.length} entries of {record} in stream {name!r}"
        if receipt
        else f"{record} is anchored with all its {content.head.length} entries"
    )
    told = {"entries": content.head.length, "digest": content.head.digest, "new": bool(receipt)}
    tell(said, receipt, as_json, stream=name, **told)

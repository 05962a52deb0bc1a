"""`veilscore chain deploy|key|admit|confirm|finance|repay`, and the commands beside them.

Heavy libraries are imported in the commands, so that help is instant.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from contracts.gateway import cli_bank, cli_keys, cli_records
from contracts.gateway.cli_options import (
    DEFAULT_FEE_CAP,
    AsJson,
    Confirmations,
    DeploymentFile,
    FeeCap,
    Journal,
    Keystore,
    OptionalKeystore,
    PasswordCredential,
    PasswordFd,
    PasswordFile,
    Reference,
    Rpc,
    journal_beside,
    policy_of,
    progress,
    sending,
    signer_of_options,
    tell,
)


def add_commands(app: typer.Typer) -> None:
    """Add this folder's commands."""
    cli_keys.add_commands(app)
    app.command()(deploy)
    app.command()(admit)
    app.command()(confirm)
    app.command()(finance)
    app.command()(repay)
    cli_bank.add_commands(app)
    cli_records.add_commands(app)


def deploy(
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    token: Annotated[
        str | None, typer.Option(help="Address of the deposit token that debts are paid in.")
    ] = None,
    mock_token: Annotated[
        bool,
        typer.Option("--mock-token", help="Deploy play money too; on development chains only."),
    ] = False,
    pauser: Annotated[
        str | None, typer.Option(help="Who can pause; the operator itself if not named.")
    ] = None,
    admin_delay: Annotated[
        int, typer.Option(min=0, help="Seconds that a change of the operator takes.")
    ] = 86_400,
    chain_id: Annotated[
        int | None, typer.Option(help="The chain that it must be; another is refused.")
    ] = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
) -> None:
    """Deploy registry, attestations, pool, orders and anchor, and wire them.

    The account becomes the operator, who admits debtors and banks. Interrupted, run it again: it
    goes on where it was. It writes the deployment file that the other commands read.
    """
    from contracts.gateway.connection import Chain
    from contracts.gateway.deployment import Plan
    from contracts.gateway.deployment import deploy as run
    from contracts.gateway.errors import DeploymentError
    from contracts.gateway.solidity_values import checked_address
    from contracts.gateway.transactions import Sender

    if (token is None) != mock_token:
        raise DeploymentError("Name the deposit token by --token, or --mock-token for play money.")
    plan = Plan(
        token and checked_address(token, "--token"),  # type: ignore[arg-type]
        admin_delay,
        pauser and checked_address(pauser, "--pauser"),  # type: ignore[arg-type]
    )
    signer = signer_of_options(keystore, password_file, password_fd, password_credential)
    with progress("Connecting") as step:
        chain = Chain.open(rpc, chain_id)
        policy = policy_of(fee_cap, confirmations)
        sender = Sender(chain, signer, journal_beside(keystore, journal), policy)
        made = run(sender, plan, deployment, step)
    for name, address in made.contracts.items():
        sys.stdout.write(f"{name:<13}{address}\n")
    sys.stdout.write(f"Wrote {deployment} (chain {made.chain_id}).\n")


class Kind(StrEnum):
    """Whom or what the operator admits."""

    DEBTOR = "debtor"
    BANK = "bank"
    TOKEN = "token"  # nosec B105


def admit(
    kind: Annotated[Kind, typer.Argument(help="debtor, bank or token.")],
    address: Annotated[str, typer.Argument(help="Its address.")],
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    reference: Reference,
    limit: Annotated[
        str, typer.Option(help="A bank's limit in all; a token's smallest receivable.")
    ] = "0",
    no_more: Annotated[bool, typer.Option("--no-more", help="End the admission.")] = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """As the operator, admit a debtor, a bank with its limit, or a token."""
    from contracts.gateway.deposit_token import minor_units
    from contracts.gateway.solidity_values import checked_address
    from contracts.units import TokenMinor

    account = checked_address(address, "The address")
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        amount = minor_units(limit, gateway.decimals)
        if kind is Kind.DEBTOR:
            call = gateway.registry.admit_debtor(account, not no_more)
        elif kind is Kind.BANK:
            call = gateway.pool.admit_bank(account, TokenMinor(0) if no_more else amount)
        else:
            call = gateway.registry.admit_token(account, not no_more, amount)
        receipt = gateway.submit(call, reference)
    done = "No more admitted" if no_more else "Admitted"
    tell(f"{done}: {kind} {account}", receipt, as_json, kind=str(kind), address=account)


def confirm(
    rpc: Rpc,
    deployment: DeploymentFile,
    draft: Annotated[
        Path | None,
        typer.Option(help="A draft of an invoice, a line of `veilscore chain documents --json`."),
    ] = None,
    supplier: Annotated[str | None, typer.Option(help="The supplier's address.")] = None,
    debtor_keystore: Annotated[
        Path | None, typer.Option(help="The debtor's key: signs that the debt is owed.")
    ] = None,
    debtor_password_file: Annotated[
        Path | None, typer.Option(help="The file of the debtor's password, mode 600.")
    ] = None,
    face: Annotated[str | None, typer.Option(help="Without a draft: the amount owed.")] = None,
    due: Annotated[str | None, typer.Option(help="Without a draft: day it is due.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Without a draft: 0x, 64 digits.")] = None,
    document: Annotated[
        str | None, typer.Option(help="Without a draft: document's SHA-256.")
    ] = None,
    dispute_days: Annotated[int, typer.Option(min=0, help="Days to dispute in; 0 waives.")] = 0,
    valid_days: Annotated[int, typer.Option(min=1, help="Days that the signature is valid.")] = 14,
    signed: Annotated[
        Path | None,
        typer.Option(help="What the debtor signed: written when it signs, else read."),
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
    """Register an invoice: the debtor signs that it owes, and anybody submits that.

    The debtor: --draft (or --face, --due, --fingerprint, --document), --supplier,
    --debtor-keystore and --signed FILE. The supplier: --signed FILE and --keystore. Both at once
    works too, where one person has both keys.
    """
    from contracts.gateway import confirming
    from contracts.gateway.errors import MessageError

    if debtor_keystore is not None:
        fields = confirming.Fields(draft, face, due, fingerprint, document)
        signer = signer_of_options(debtor_keystore, debtor_password_file, None, None)
        terms = confirming.Terms(supplier, dispute_days, valid_days)
        message = confirming.sign(rpc, deployment, signer, fields, terms)
        if signed is not None:
            confirming.write_new(signed, message)
            sys.stderr.write(f"Wrote {signed}, signed by {signer.address}.\n")
        elif keystore is None:
            sys.stdout.write(message.to_json())
    elif signed is not None and keystore is not None:
        message = confirming.read(signed)
    else:
        raise MessageError(
            "Name --debtor-keystore to sign, or --signed with --keystore to submit what was signed."
        )
    if keystore is None:
        return
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        receivable, receipt = confirming.submit(gateway, message, str(signed or "The draft"))
    tell(f"Confirmed: receivable {receivable}", receipt, as_json, receivable=receivable)


def finance(
    receivable: Annotated[int, typer.Argument(min=1, help="The receivable's number.")],
    amount: Annotated[str, typer.Argument(help="The advance, such as 80.00.")],
    attestation: Annotated[
        Path, typer.Argument(help="The bank's signed attestation (a JSON file).")
    ],
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """Turn a receivable into money, on a bank's attestation; the payout comes at once.

    The attestation is used once, so this command pays once however often it is run.
    """
    from contracts.gateway.paying import finance as run
    from contracts.gateway.refusal import show_amount

    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        payout, receipt = run(gateway, receivable, amount, attestation)
        shown = f"{show_amount(payout, gateway.decimals)} {gateway.symbol}"
    facts = {"receivable": receivable, "payout_minor": payout}
    tell(f"Paid out on receivable {receivable}: {shown}", receipt, as_json, **facts)


def repay(
    receivable: Annotated[int, typer.Argument(min=1, help="The receivable's number.")],
    amount: Annotated[str, typer.Argument(help="What to pay, such as 100.00.")],
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    reference: Reference,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """Pay a receivable, whole or in part, to whoever holds it; usually its debtor does.

    Where the registry may not take the amount yet, exactly that is approved first.
    """
    from contracts.gateway.paying import repay as run
    from contracts.gateway.refusal import show_amount

    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        paid, remaining, receipt = run(gateway, receivable, amount, reference)
        shown, left = (show_amount(part, gateway.decimals) for part in (paid, remaining))
    facts = {"receivable": receivable, "paid_minor": paid, "remaining_minor": remaining}
    tell(f"Paid {shown} on receivable {receivable}; {left} remain", receipt, as_json, **facts)

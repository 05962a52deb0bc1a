"""`veilscore chain bank …`: a bank's money, limits, terms and scoring keys in the pool."""

from __future__ import annotations

from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Annotated

import typer

from contracts.gateway.cli_options import (
    DEFAULT_FEE_CAP,
    AsJson,
    Confirmations,
    DeploymentFile,
    FeeCap,
    Journal,
    Keystore,
    PasswordCredential,
    PasswordFd,
    PasswordFile,
    Reference,
    Rpc,
    sending,
    tell,
)

bank_app = typer.Typer(
    help="A bank's money, limits, terms and scoring keys.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(bank_app, name="bank")


class Whose(StrEnum):
    """Whose limit."""

    DEBTOR = "debtor"
    SUPPLIER = "supplier"


@bank_app.command()
def deposit(
    amount: Annotated[str, typer.Argument(help="What to pay in, such as 1000000.00.")],
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
    """Pay money into the pool, to lend; exactly that is approved first where it is not."""
    from contracts.gateway.deposit_token import minor_units

    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        minor = minor_units(amount, gateway.decimals)
        pool, call = gateway.pool.address, gateway.pool.deposit(minor)
        new = gateway.sender.journal.find(reference) is None
        if new and gateway.token.allowance(gateway.account, pool) < minor:
            gateway.submit(gateway.token.approve(pool, minor), f"{reference}/approve")
        receipt = gateway.submit(call, reference)
    tell(f"Paid in: {amount}", receipt, as_json, deposited_minor=minor)


@bank_app.command()
def limit(
    whose: Annotated[Whose, typer.Argument(help="debtor or supplier.")],
    address: Annotated[str, typer.Argument(help="Its address.")],
    amount: Annotated[str, typer.Argument(help="What may be lent at most; 0 for nothing.")],
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
    """Set what the bank lends on a debtor or to a supplier at most."""
    from contracts.gateway.deposit_token import minor_units
    from contracts.gateway.solidity_values import checked_address

    account = checked_address(address, "The address")
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        minor = minor_units(amount, gateway.decimals)
        pool = gateway.pool
        set_limit = pool.set_debtor_limit if whose is Whose.DEBTOR else pool.set_supplier_limit
        receipt = gateway.submit(set_limit(account, minor), reference)
    facts = {"whose": str(whose), "address": account, "limit_minor": minor}
    tell(f"Limit of {whose} {account}: {amount}", receipt, as_json, **facts)


@bank_app.command()
def terms(
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    reference: Reference,
    max_advance_bps: Annotated[int, typer.Option(min=0, max=10_000, help="Of a claim.")] = 8_000,
    penalty_rate_bps: Annotated[
        int, typer.Option(min=0, max=10_000, help="A year, on overdue principal.")
    ] = 1_200,
    late_fee_bps: Annotated[int, typer.Option(min=0, max=10_000, help="Once, after grace.")] = 100,
    grace_days: Annotated[int, typer.Option(min=0, help="Before a default.")] = 10,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """Set what the bank lends on from now on; 100 basis points are 1%."""
    from contracts.gateway.structs import LendingTerms
    from contracts.units import BasisPoints

    wanted = LendingTerms(
        BasisPoints(max_advance_bps),
        BasisPoints(penalty_rate_bps),
        BasisPoints(late_fee_bps),
        grace_days * 86_400,
    )
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        receipt = gateway.submit(gateway.pool.set_terms(wanted), reference)
    tell("The terms are set", receipt, as_json, max_advance_bps=max_advance_bps)


@bank_app.command()
def signer(
    address: Annotated[str, typer.Argument(help="The address of the scoring key.")],
    rpc: Rpc,
    deployment: DeploymentFile,
    keystore: Keystore,
    reference: Reference,
    until: Annotated[
        str | None, typer.Option(help="The last day on which it may sign, 2026-12-31.")
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Withdraw it, for good: all it signed is void.")
    ] = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
    journal: Journal = None,
    fee_cap: FeeCap = DEFAULT_FEE_CAP,
    confirmations: Confirmations = 1,
    as_json: AsJson = False,
) -> None:
    """Let a scoring key attest for the bank until a day, or withdraw it."""
    from contracts.gateway.drafts import day
    from contracts.gateway.errors import ValueRefused
    from contracts.gateway.solidity_values import checked_address

    account = checked_address(address, "The address")
    if (until is None) != revoke:
        raise ValueRefused("Name --until and the last day, or --revoke.")
    secret = (password_file, password_fd, password_credential)
    with sending(rpc, deployment, keystore, secret, journal, fee_cap, confirmations) as gateway:
        if revoke:
            call = gateway.attestations.revoke_signer(account)
        else:
            end = datetime.combine(day(until, "--until"), time(23, 59, 59, tzinfo=UTC))
            call = gateway.attestations.authorise(account, end)
        receipt = gateway.submit(call, reference)
    done = "Withdrawn" if revoke else "Authorised"
    tell(f"{done}: {account}", receipt, as_json, signer=account, revoked=revoke)

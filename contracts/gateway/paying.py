"""Financing and paying as the command line does them: what is needed is approved first, exactly."""

from __future__ import annotations

from pathlib import Path

from contracts.gateway.deposit_token import minor_units
from contracts.gateway.errors import MessageError
from contracts.gateway.gateway import Gateway
from contracts.gateway.receipts import Receipt
from contracts.gateway.refusal import show_amount
from contracts.gateway.signed_message import for_contract, read_signed
from contracts.gateway.structs import Attestation
from contracts.units import ReceivableId, TokenMinor


def finance(gateway: Gateway, number: int, amount: str, path: Path) -> tuple[TokenMinor, Receipt]:
    """Finance a receivable by an attestation's file; payout and receipt.

    Raises:
        MessageError: the attestation is for another chain, contract, claim or supplier.
        ContractRefusal: pool or attestation contract refuses.
    """
    receivable = ReceivableId(number)
    principal = minor_units(amount, gateway.decimals)
    signed = read_signed(path, Attestation)
    attestation = signed.typed.message
    if not isinstance(attestation, Attestation):
        raise MessageError(f"{path}: not an attestation.")
    signature = for_contract(signed, gateway.attestations.typed(attestation), str(path))
    if attestation.claim != receivable:
        raise MessageError(
            f"{path}: for receivable {attestation.claim}, not {receivable}; ask the bank for one."
        )
    if attestation.subject != gateway.account:
        raise MessageError(
            f"{path}: for the supplier {attestation.subject}; the keystore's account is "
            f"{gateway.account}."
        )
    reference = f"finance/{attestation.bank}/{attestation.nonce}"
    call = gateway.pool.finance(receivable, principal, attestation, signature)
    if gateway.sender.journal.find(reference) is None:
        holder = gateway.registry.holder(receivable)
        pool = gateway.pool.address
        registry = gateway.registry
        if (
            holder == gateway.account
            and registry.approved(receivable) != pool
            and not registry.is_approved_for_all(holder, pool)
        ):
            gateway.submit(registry.approve(pool, receivable), f"{reference}/approve")
    receipt = gateway.submit(call, reference)
    return gateway.pool.payout_of(receipt), receipt


def repay(
    gateway: Gateway, number: int, amount: str, reference: str
) -> tuple[TokenMinor, TokenMinor, Receipt]:
    """Pay a receivable; what was paid, what remains, and the receipt.

    Raises:
        MessageError: more than remains, before anything is approved.
        ContractRefusal: the registry or the token refuses.
    """
    receivable = ReceivableId(number)
    paid = minor_units(amount, gateway.decimals)
    call = gateway.registry.pay(receivable, paid)
    if gateway.sender.journal.find(reference) is None:
        remaining = gateway.registry.remaining(receivable)
        if paid > remaining:
            gateway.sender.dry_run(call)  # the registry's own refusal, which says how much remains
            raise MessageError(
                f"Receivable {receivable}: {show_amount(remaining, gateway.decimals)} remain."
            )
        registry = gateway.registry.address
        if gateway.token.allowance(gateway.account, registry) < paid:
            gateway.submit(gateway.token.approve(registry, paid), f"{reference}/approve")
    receipt = gateway.submit(call, reference)
    event = gateway.registry.contract.one_event(receipt, "ReceivablePaid")
    return paid, TokenMinor(int(event["remaining"])), receipt

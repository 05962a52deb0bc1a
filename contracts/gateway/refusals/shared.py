"""Refusals that several of our contracts share."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.units import Address, Digest, ReceivableId

__all__ = [
    "AttestationMismatch",
    "DueDatePassed",
    "FingerprintTaken",
    "NotHolder",
    "NotTheBank",
    "NotTheSupplier",
    "OrderAdvanceOpen",
    "OrdersAlreadySet",
    "SignatureExpired",
    "SignatureInvalid",
    "ZeroAddress",
    "ZeroAmount",
]


class ZeroAmount(ContractRefusal, solidity="ZeroAmount()"):
    """An amount is 0."""

    sentence = "{where}: the amount is 0; it must be more."


class ZeroAddress(ContractRefusal, solidity="ZeroAddress()"):
    """An address is 0."""

    sentence = "{where}: an address is 0; name an account."


class NotHolder(ContractRefusal, solidity="NotHolder(uint256 id, address caller)"):
    """The caller does not hold the leaf."""

    id: ReceivableId
    caller: Address
    sentence = "Receivable {id} is not held by {caller}; only its holder may do this."


class DueDatePassed(ContractRefusal, solidity="DueDatePassed(uint40 dueDate)"):
    """The due date is past."""

    due_date: datetime
    sentence = "The due date {due_date} is past; it must be in the future."


class OrdersAlreadySet(ContractRefusal, solidity="OrdersAlreadySet(address orders)"):
    """The order contract is set for good."""

    orders: Address
    sentence = "The order contract is {orders} already; it is set once, for good."


class OrderAdvanceOpen(
    ContractRefusal,
    solidity="OrderAdvanceOpen(address supplier, address debtor)",
):
    """An order is live between the two, or its advance open."""

    supplier: Address
    debtor: Address
    sentence = (
        "{supplier} has an order of {debtor} that has not ended, whose delivery must not be "
        "financed twice; convert that order, or repay it and let it lapse, first."
    )


class FingerprintTaken(
    ContractRefusal,
    solidity="FingerprintTaken(bytes32 fingerprint, uint256 id)",
):
    """The document is registered already."""

    fingerprint: Digest
    id: int
    sentence = (
        "The document with fingerprint {fingerprint} is registered already, under {id}; a "
        "document is registered once."
    )


class SignatureExpired(ContractRefusal, solidity="SignatureExpired(uint40 deadline)"):
    """A signature's deadline is past."""

    deadline: datetime
    sentence = "The signature was for use until {deadline}; ask the signer for a new one."


class SignatureInvalid(ContractRefusal, solidity="SignatureInvalid(address signer)"):
    """A signature is not its signer's."""

    signer: Address
    sentence = (
        "The signature is not {signer}'s over exactly these terms, this chain and this "
        "contract; ask for a new one."
    )


class AttestationMismatch(ContractRefusal, solidity="AttestationMismatch()"):
    """An attestation is for something else."""

    sentence = (
        "The attestation is for another supplier, claim, bank or contract; ask the bank for "
        "one that names these."
    )


class NotTheBank(ContractRefusal, solidity="NotTheBank(uint256 id, address caller)"):
    """The caller is not the bank of the loan."""

    id: int
    caller: Address
    sentence = "{caller} is not the bank that lent on {id}; only that bank may do this."


class NotTheSupplier(ContractRefusal, solidity="NotTheSupplier(uint256 id, address caller)"):
    """The caller is not the supplier."""

    id: int
    caller: Address
    sentence = "{caller} is not the supplier of {id}; only the supplier may do this."

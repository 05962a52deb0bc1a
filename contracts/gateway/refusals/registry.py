"""Refusals of ReceivableRegistry."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import ReceivableStatus
from contracts.units import Address, Digest, OrderId, ReceivableId, TokenMinor

__all__ = [
    "BelowDustFloor",
    "DebtorNotAdmitted",
    "DifferentRoots",
    "DisputeWindowClosed",
    "FaceTooLarge",
    "NotCancellable",
    "NotDebtor",
    "NotDisputed",
    "NotLive",
    "NothingHeld",
    "OnlyOrders",
    "OnlyPoolTakes",
    "OverCredit",
    "Overpayment",
    "PartCount",
    "PartsDoNotSum",
    "PartsMismatch",
    "PayerIsHolder",
    "PoolHoldsLeaves",
    "RevisionStale",
    "TokenNotAdmitted",
    "TokenTookFee",
    "TooDeep",
]


class DebtorNotAdmitted(ContractRefusal, solidity="DebtorNotAdmitted(address debtor)"):
    """The debtor is not admitted."""

    debtor: Address
    sentence = (
        "The debtor {debtor} is not admitted; the operator admits debtors (`veilscore chain "
        "admit`)."
    )


class TokenNotAdmitted(ContractRefusal, solidity="TokenNotAdmitted(address token)"):
    """The token is not admitted."""

    token: Address
    sentence = "The token {token} is not admitted here; use the deposit token of the deployment."


class OnlyPoolTakes(ContractRefusal, solidity="OnlyPoolTakes(address pool)"):
    """A leaf goes to a pool by finance() only."""

    pool: Address
    sentence = "A receivable goes to the pool {pool} only by financing it, not by a transfer."


class PoolHoldsLeaves(ContractRefusal, solidity="PoolHoldsLeaves(address pool)"):
    """A pool that is to be admitted holds receivables already."""

    pool: Address
    sentence = (
        "{pool} holds receivables already, of which it would know no loan; deploy a new pool and "
        "admit that one."
    )


class FaceTooLarge(ContractRefusal, solidity="FaceTooLarge(uint96 face, uint96 most)"):
    """An invoice is of more than the registry takes."""

    face: TokenMinor
    most: TokenMinor
    sentence = "An invoice of {face} is more than the {most} that the registry takes."


class RevisionStale(ContractRefusal, solidity="RevisionStale(bytes32 fingerprint, uint32 current)"):
    """The confirmation's revision is not the current one."""

    fingerprint: Digest
    current: int
    sentence = (
        "The confirmation's revision is not {current}, which this document has now; let the "
        "debtor sign again."
    )


class OnlyOrders(ContractRefusal, solidity="OnlyOrders(uint256 order)"):
    """An invoice on an order comes through the order contract."""

    order: OrderId
    sentence = (
        "The confirmation names order {order}; it is converted there, not confirmed by itself."
    )


class NotDebtor(ContractRefusal, solidity="NotDebtor(uint256 id, address caller)"):
    """The caller is not the debtor."""

    id: ReceivableId
    caller: Address
    sentence = "{caller} is not the debtor of receivable {id}; only the debtor may do this."


class NotLive(ContractRefusal, solidity="NotLive(uint256 id, uint8 status)"):
    """The leaf is not live."""

    id: ReceivableId
    status: ReceivableStatus
    sentence = "Receivable {id} is {status}, not live."


class NotDisputed(ContractRefusal, solidity="NotDisputed(uint256 id, uint8 status)"):
    """The leaf is not disputed."""

    id: ReceivableId
    status: ReceivableStatus
    sentence = "Receivable {id} is {status}, not disputed."


class DisputeWindowClosed(
    ContractRefusal,
    solidity="DisputeWindowClosed(uint256 id, uint40 disputeUntil)",
):
    """The time to dispute is over."""

    id: ReceivableId
    dispute_until: datetime
    sentence = "Receivable {id} could be disputed until {dispute_until}; that is over."


class PartsDoNotSum(
    ContractRefusal,
    solidity="PartsDoNotSum(uint256 id, uint256 parts, uint256 remaining)",
):
    """A split's parts are not the whole."""

    id: ReceivableId
    parts: TokenMinor
    remaining: TokenMinor
    sentence = (
        "Receivable {id}: the parts sum to {parts}; they must sum to exactly the {remaining} "
        "that remain."
    )


class PartsMismatch(ContractRefusal, solidity="PartsMismatch(uint256 faces, uint256 holders)"):
    """A split has not one holder a part."""

    faces: int
    holders: int
    sentence = "{faces} parts and {holders} holders; each part needs one holder."


class PartCount(ContractRefusal, solidity="PartCount(uint256 count)"):
    """Too few or too many parts."""

    count: int
    sentence = "{count} parts are too few or too many; 2 to 16 are allowed."


class BelowDustFloor(ContractRefusal, solidity="BelowDustFloor(uint256 amount, uint96 dustFloor)"):
    """A leaf would be too small."""

    amount: TokenMinor
    dust_floor: TokenMinor
    sentence = "{amount} is below the smallest amount of a receivable, {dust_floor}."


class TooDeep(ContractRefusal, solidity="TooDeep(uint256 id)"):
    """The leaf was split too often."""

    id: ReceivableId
    sentence = (
        "Receivable {id} was split as often down the chain as allowed (8 times); it can be "
        "transferred or paid."
    )


class DifferentRoots(ContractRefusal, solidity="DifferentRoots(uint256 first, uint256 second)"):
    """Leaves of different invoices do not merge."""

    first: ReceivableId
    second: ReceivableId
    sentence = (
        "Receivables {first} and {second} are of different invoices; only leaves of one "
        "invoice merge."
    )


class Overpayment(
    ContractRefusal,
    solidity="Overpayment(uint256 id, uint256 amount, uint96 remaining)",
):
    """More is paid than remains."""

    id: ReceivableId
    amount: TokenMinor
    remaining: TokenMinor
    sentence = (
        "Receivable {id}: {amount} is more than the {remaining} that remain; pay {remaining} "
        "at most."
    )


class OverCredit(
    ContractRefusal,
    solidity="OverCredit(uint256 id, uint256 amount, uint96 remaining)",
):
    """More is credited than remains."""

    id: ReceivableId
    amount: TokenMinor
    remaining: TokenMinor
    sentence = "Receivable {id}: a credit of {amount} is more than the {remaining} that remain."


class PayerIsHolder(ContractRefusal, solidity="PayerIsHolder(uint256 id)"):
    """The holder can't pay itself."""

    id: ReceivableId
    sentence = (
        "Receivable {id}: the payer holds it; somebody else must pay, or give it up as a credit."
    )


class TokenTookFee(
    ContractRefusal,
    solidity="TokenTookFee(address token, uint256 expected, uint256 received)",
):
    """The token kept part of a transfer."""

    token: Address
    expected: TokenMinor
    received: TokenMinor
    sentence = (
        "The token {token} passed on {received} of {expected}; a deposit token must not take a fee."
    )


class NothingHeld(ContractRefusal, solidity="NothingHeld(address token, address holder)"):
    """No payment is held for the account."""

    token: Address
    holder: Address
    sentence = "No payment in {token} is held for {holder}."


class NotCancellable(ContractRefusal, solidity="NotCancellable(uint256 id)"):
    """The invoice can't be cancelled any more."""

    id: ReceivableId
    sentence = (
        "Receivable {id} can't be cancelled: it was split, paid in part, or is no whole "
        "invoice; credit it instead."
    )

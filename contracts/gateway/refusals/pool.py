"""Refusals of FinancingPool."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import LoanStatus
from contracts.units import Address, ReceivableId, TokenMinor

__all__ = [
    "AdvanceOverCap",
    "AlreadyFinanced",
    "BankLimit",
    "BankNotAdmitted",
    "DebtorLimit",
    "DiscountTakesAll",
    "DisputeWindowOpen",
    "LiquidityShort",
    "LoanNotOpen",
    "NotFinanceable",
    "NothingOwed",
    "OnlyRegistry",
    "PayoutBelow",
    "PoolNothingHeld",
    "PoolOnlyOrders",
    "PoolTokenTookFee",
    "RecourseOpen",
    "SupplierLimit",
    "TermsOutOfRange",
    "TooEarlyToDefault",
    "WrongToken",
]


class AdvanceOverCap(ContractRefusal, solidity="AdvanceOverCap(uint256 principal, uint256 cap)"):
    """More is asked than may be advanced."""

    principal: TokenMinor
    cap: TokenMinor
    sentence = (
        "An advance of {principal} is more than the {cap} that attestation and bank allow on "
        "this receivable."
    )


class AlreadyFinanced(ContractRefusal, solidity="AlreadyFinanced(uint256 id)"):
    """The claim is financed."""

    id: ReceivableId
    sentence = "Receivable {id} is financed already."


class BankLimit(
    ContractRefusal,
    solidity="BankLimit(address bank, uint256 exposure, uint96 limit)",
):
    """The bank's limit is reached."""

    bank: Address
    exposure: TokenMinor
    limit: TokenMinor
    sentence = "The bank {bank} would have lent {exposure}, over its limit of {limit}."


class BankNotAdmitted(ContractRefusal, solidity="BankNotAdmitted(address bank)"):
    """The bank is not admitted."""

    bank: Address
    sentence = (
        "The bank {bank} is not admitted; the operator admits banks (`veilscore chain admit`)."
    )


class DebtorLimit(
    ContractRefusal,
    solidity="DebtorLimit(address bank, address debtor, uint256 exposure, uint96 limit)",
):
    """The debtor's limit is reached."""

    bank: Address
    debtor: Address
    exposure: TokenMinor
    limit: TokenMinor
    sentence = (
        "The bank {bank} would have lent {exposure} on debtor {debtor}, over its limit of {limit}."
    )


class SupplierLimit(
    ContractRefusal,
    solidity="SupplierLimit(address bank, address supplier, uint256 exposure, uint96 limit)",
):
    """The supplier's limit is reached."""

    bank: Address
    supplier: Address
    exposure: TokenMinor
    limit: TokenMinor
    sentence = (
        "The bank {bank} would have lent {exposure} to supplier {supplier}, over its limit "
        "of {limit}."
    )


class DiscountTakesAll(
    ContractRefusal,
    solidity="DiscountTakesAll(uint256 discount, uint256 principal)",
):
    """Nothing would be paid out."""

    discount: TokenMinor
    principal: TokenMinor
    sentence = (
        "The discount of {discount} takes all of the advance of {principal}; ask for more or "
        "a shorter term."
    )


class DisputeWindowOpen(ContractRefusal, solidity="DisputeWindowOpen(uint256 id, uint40 until)"):
    """The debtor may still dispute."""

    id: ReceivableId
    until: datetime
    sentence = "Receivable {id} can be disputed until {until}; it can be financed after that."


class LiquidityShort(
    ContractRefusal,
    solidity="LiquidityShort(address bank, uint256 asked, uint96 free)",
):
    """The bank has not enough free money."""

    bank: Address
    asked: TokenMinor
    free: TokenMinor
    sentence = "The bank {bank} has {free} free in the pool, less than the {asked} asked for."


class LoanNotOpen(ContractRefusal, solidity="LoanNotOpen(uint256 id, uint8 status)"):
    """The loan is not in the state for this."""

    id: ReceivableId
    status: LoanStatus
    sentence = (
        "The loan on receivable {id} is {status}; it must be open (or, for a write-off, defaulted)."
    )


class NotFinanceable(ContractRefusal, solidity="NotFinanceable(uint256 id)"):
    """The claim can't be financed now."""

    id: ReceivableId
    sentence = (
        "Receivable {id} can't be financed: it must be live, undisputed and its debtor "
        "another account than its holder."
    )


class PoolNothingHeld(ContractRefusal, solidity="NothingHeld(address holder)"):
    """No payment is held for the account."""

    holder: Address
    sentence = "The pool holds no payment for {holder}."


class NothingOwed(ContractRefusal, solidity="NothingOwed(uint256 id)"):
    """Nothing is owed."""

    id: ReceivableId
    sentence = "Nothing is owed on receivable {id}."


class PoolOnlyOrders(ContractRefusal, solidity="OnlyOrders(address caller)"):
    """Only the order contract may call."""

    caller: Address
    sentence = "{caller} is not the order contract, which alone may do this."


class OnlyRegistry(ContractRefusal, solidity="OnlyRegistry(address caller)"):
    """Only the registry may call."""

    caller: Address
    sentence = "{caller} is not the registry, which alone may do this."


class PayoutBelow(ContractRefusal, solidity="PayoutBelow(uint256 payout, uint256 minimum)"):
    """The payout is too small."""

    payout: TokenMinor
    minimum: TokenMinor
    sentence = "The payout of {payout} is below the {minimum} that it must be."


class RecourseOpen(ContractRefusal, solidity="RecourseOpen(address supplier, uint64 loans)"):
    """The supplier owes on defaulted loans."""

    supplier: Address
    loans: int
    sentence = (
        "The supplier {supplier} stands in for {loans} defaulted loans; they are to be paid first."
    )


class TermsOutOfRange(ContractRefusal, solidity="TermsOutOfRange()"):
    """A bank's terms are out of range."""

    sentence = (
        "The terms are out of range: shares are 0 to 100.00%, and the grace whole days within "
        "what the pool allows."
    )


class PoolTokenTookFee(
    ContractRefusal,
    solidity="TokenTookFee(uint256 expected, uint256 received)",
):
    """The token kept part of a transfer."""

    expected: TokenMinor
    received: TokenMinor
    sentence = (
        "The deposit token passed on {received} of {expected}; a deposit token must not take a fee."
    )


class TooEarlyToDefault(ContractRefusal, solidity="TooEarlyToDefault(uint256 id, uint256 from)"):
    """Due date and grace are not over."""

    id: ReceivableId
    from_: datetime
    sentence = "The loan on receivable {id} can be declared in default from {from_} on."


class WrongToken(ContractRefusal, solidity="WrongToken(address expected, address token)"):
    """The claim is in another token."""

    expected: Address
    token: Address
    sentence = "The receivable is in the token {token}; this pool lends {expected}."

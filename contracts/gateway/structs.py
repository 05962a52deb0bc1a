"""The contracts' structs as frozen dataclasses: same fields, same order, Python's types.

Each states its Solidity type, so ABI coding, EIP-712 signing and JSON all follow from it; a test
compares them with the committed ABI.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from contracts.gateway.solidity_values import (
    Account,
    Amount,
    Hash,
    LeafAmount,
    Moment,
    OptionalMoment,
    Seconds32,
    Seconds40,
    Share,
)
from contracts.units import OrderId, ReceivableId


class ReceivableStatus(IntEnum):
    """What became of a leaf."""

    NONE = 0
    LIVE = 1
    DISPUTED = 2
    SPLIT = 3
    MERGED = 4
    SETTLED = 5
    CANCELLED = 6


class LoanStatus(IntEnum):
    """What became of a loan on a receivable."""

    NONE = 0
    OPEN = 1
    DEFAULTED = 2
    WRITTEN_OFF = 3
    SETTLED = 4


class OrderStatus(IntEnum):
    """What became of a financed purchase order."""

    NONE = 0
    ACCEPTED = 1
    OPEN = 2
    CONVERTED = 3
    REPAID = 4
    DEFAULTED = 5
    WRITTEN_OFF = 6
    LAPSED = 7


@dataclass(frozen=True)
class Confirmation:
    """What the debtor signs: that it owes `face` to the supplier, payable on `due_date`.

    Attributes:
        dispute_window: seconds after confirmation in which the debtor may dispute; 0 waives it.
        shipped_at: when goods left, None where that is not known.
        fingerprint: the invoice's network-wide salted fingerprint.
        revision: how often this fingerprint was cancelled before.
        document_hash: SHA-256 of the document.
        order: the purchase order that this invoice fulfils, or 0.
        deadline: until when the signature may be used.
    """

    supplier: Account
    debtor: Account
    token: Account
    face: Amount
    due_date: Moment
    dispute_window: Seconds40
    shipped_at: OptionalMoment
    fingerprint: Hash
    revision: Annotated[int, "uint32"]
    document_hash: Hash
    order: Annotated[OrderId, "uint256"]
    deadline: Moment


@dataclass(frozen=True)
class DisputeSettlement:
    """What the debtor signs to end a dispute: `credit` falls away, the rest is owed.

    `dispute` is the dispute's number on this leaf (`Leaf.disputes`), so that no signature serves
    twice.
    """

    id: Annotated[ReceivableId, "uint256"]
    dispute: Annotated[int, "uint8"]
    credit: Amount
    deadline: Moment


@dataclass(frozen=True)
class Attestation:
    """What a bank's scoring key signs about one claim of one supplier; used once.

    Attributes:
        consumer: the only contract that may use it (the pool, or the order contract).
        subject: the supplier.
        claim: the receivable's or order's number.
        model_digest: SHA-256 of the model that scored.
        score_band: 1 (best) to 255.
        advance_cap_bps: how much of the claim may be advanced.
        rate_bps: discount rate a year.
        nonce: single use, in any order, the bank's own.
    """

    bank: Account
    consumer: Account
    subject: Account
    claim: Annotated[int, "uint256"]
    model_digest: Hash
    score_band: Annotated[int, "uint8"]
    advance_cap_bps: Share
    rate_bps: Share
    recourse: Annotated[bool, "bool"]
    nonce: Annotated[int, "uint64"]
    issued_at: Moment
    expiry: Moment


@dataclass(frozen=True)
class PurchaseOrder:
    """What the buyer signs about an order."""

    supplier: Account
    buyer: Account
    value: Amount
    deliver_by: Moment
    upfront_bps: Share
    fingerprint: Hash
    document_hash: Hash
    deadline: Moment


@dataclass(frozen=True)
class Delivery:
    """What the buyer signs on delivery: the value delivered in all by now."""

    order: Annotated[OrderId, "uint256"]
    delivered_value: Amount
    document_hash: Hash
    deadline: Moment


@dataclass(frozen=True)
class Leaf:
    """One leaf: what it was worth when made, what is gone from it, how often it was disputed."""

    face: LeafAmount
    paid: LeafAmount
    credited: LeafAmount
    root: Annotated[ReceivableId, "uint40"]
    depth: Annotated[int, "uint8"]
    disputes: Annotated[int, "uint8"]
    status: Annotated[ReceivableStatus, "uint8"]


@dataclass(frozen=True)
class ReceivableTerms:
    """What all leaves of one invoice have in common; unknown invoices have None for times."""

    debtor: Account
    due_date: OptionalMoment
    confirmed_at: OptionalMoment
    token: Account
    dispute_until: OptionalMoment
    fingerprint: Hash


@dataclass(frozen=True)
class LendingTerms:
    """What a bank lends on; a loan keeps the terms of its day."""

    max_advance_bps: Share
    penalty_rate_bps: Share
    late_fee_bps: Share
    grace_seconds: Seconds32


@dataclass(frozen=True)
class BankAccount:
    """A bank in the pool: free money, money lent, its limit, its terms."""

    liquidity: Amount
    exposure: Amount
    limit: Amount
    terms: LendingTerms


@dataclass(frozen=True)
class CreditLine:
    """What a bank lends to one debtor or supplier; `recourse`: loans in default with recourse."""

    limit: Amount
    exposure: Amount
    recourse: Annotated[int, "uint64"]


@dataclass(frozen=True)
class Loan:
    """A loan on one receivable; one that never was has status NONE and None for times."""

    bank: Account
    due_date: OptionalMoment
    grace_seconds: Seconds32
    penalty_rate_bps: Share
    status: Annotated[LoanStatus, "uint8"]
    supplier: Account
    principal: Amount
    interest_due: Amount
    accrued_at: OptionalMoment
    late_fee_bps: Share
    fee_due: Amount
    recourse: Annotated[bool, "bool"]


@dataclass(frozen=True)
class Order:
    """A financed purchase order."""

    supplier: Account
    deliver_by: OptionalMoment
    upfront_bps: Share
    rate_bps: Share
    status: Annotated[OrderStatus, "uint8"]
    buyer: Account
    value: Amount
    bank: Account
    facility: Amount
    delivered: Amount
    drawn: Amount
    principal: Amount
    accrued_at: OptionalMoment
    grace_seconds: Seconds32
    interest_due: Amount
    fingerprint: Hash


@dataclass(frozen=True)
class AnchorHead:
    """Where an account's stream of digests ends; sequence 0 and None: nothing was anchored."""

    digest: Hash
    sequence: Annotated[int, "uint64"]
    anchored_at: OptionalMoment

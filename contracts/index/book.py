"""The state that events add up to: invoices, leaves, loans and orders, as values in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class LeafStatus(StrEnum):
    """What became of a leaf, as in IReceivableRegistry."""

    LIVE = "live"
    DISPUTED = "disputed"
    SPLIT = "split"
    MERGED = "merged"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class LoanStatus(StrEnum):
    """What became of a loan, as in IFinancingPool."""

    OPEN = "open"
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    SETTLED = "settled"


class OrderStatus(StrEnum):
    """What became of a purchase order, as in IOrderFinancing."""

    ACCEPTED = "accepted"
    OPEN = "open"
    CONVERTED = "converted"
    REPAID = "repaid"
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    LAPSED = "lapsed"


LIVE = (LeafStatus.LIVE, LeafStatus.DISPUTED)
"""Leaves on which something is owed."""

EXPOSED_LOANS = (LoanStatus.OPEN, LoanStatus.DEFAULTED)
"""Loans whose open principal counts against a bank's limits."""

EXPOSED_ORDERS = (OrderStatus.OPEN, OrderStatus.DEFAULTED)
"""Orders whose open advance does."""


@dataclass(slots=True)
class Invoice:
    """A row of `invoices`."""

    root: int
    debtor: str
    supplier: str
    token: str
    face: int
    due_date: int
    confirmed_at: int
    dispute_until: int
    shipped_at: int
    fingerprint: str
    document_hash: str
    order_id: str | None
    block_number: int
    log_index: int
    cancelled_at: int | None = None


@dataclass(slots=True)
class Leaf:
    """A row of `leaves`."""

    id: int
    root: int
    parent: int | None
    depth: int
    face: int
    holder: str
    created_at: int
    ended_at: int | None = None
    status: str = LeafStatus.LIVE
    paid: int = 0
    credited: int = 0

    @property
    def remaining(self) -> int:
        """What is owed on it while it lives."""
        return self.face - self.paid - self.credited


@dataclass(slots=True)
class Loan:
    """A row of `loans`."""

    id: int
    bank: str
    supplier: str
    debtor: str
    principal: int
    open_principal: int
    discount: int
    due_date: int
    financed_at: int
    status: str
    recourse: bool


@dataclass(slots=True)
class Order:
    """A row of `orders`."""

    id: str
    supplier: str
    buyer: str
    value: int
    deliver_by: int
    fingerprint: str
    document_hash: str
    accepted_at: int
    bank: str | None = None
    facility: int = 0
    delivered: int = 0
    drawn: int = 0
    owed_principal: int = 0
    status: str = OrderStatus.ACCEPTED
    receivable: int | None = None


@dataclass(slots=True)
class Book:
    """As much of the state as the events at hand concern.

    Attributes:
        pools: contracts that hold leaves as collateral.
        touched_...: ids of rows that are new or changed.
    """

    pools: set[str] = field(default_factory=set)
    invoices: dict[int, Invoice] = field(default_factory=dict)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    loans: dict[int, Loan] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    touched_invoices: set[int] = field(default_factory=set)
    touched_leaves: set[int] = field(default_factory=set)
    touched_loans: set[int] = field(default_factory=set)
    touched_orders: set[str] = field(default_factory=set)

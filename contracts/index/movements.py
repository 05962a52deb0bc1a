"""Facts with a time, the rows of `movements`: what happened, to whom, how much.

| kind | leaf | actor | counterparty | amount | extra |
|---|---|---|---|---|---|
| confirmed | the new leaf | debtor | supplier | face | due date (unix seconds) |
| transferred | it | from | to | what remains of it | |
| split (one leg a child) | the child | who split | the child's holder | its face | parent's id |
| merged (one leg a parent) | the parent | who merged | | what remained of it | new leaf's id |
| disputed, dispute_withdrawn | it | debtor | | what remains of it | |
| dispute_settled (a credited follows) | it | holder | debtor | what is credited | |
| credited | it | holder | debtor | what is credited | what remains |
| cancelled | it | holder | debtor | what was owed | |
| paid | it | payer | holder | what is paid | what remains |
| settled | it | | holder | 0 | |
| financed | it | supplier | bank | principal | discount |
| repaid | it | | bank | principal | fee and interest |
| loan_settled | it | | bank | 0 | |
| repurchased | it | supplier | bank | all that is paid | principal released; 0 after a loss |
| defaulted | it | bank | supplier | open principal | |
| written_off | it | bank | supplier | principal lost | |
| recovered | it | | bank | what the bank gets | what the supplier gets |
| order_accepted | | supplier | buyer | value | deliver by (unix seconds) |
| facility_opened | | supplier | bank | facility | rate, basis points a year |
| drawn | | supplier | bank | amount | open advance after it |
| order_paid_back | | | bank | principal | interest |
| order_converted | the invoice's | supplier | bank | what is retired | principal in it |
| order_defaulted, order_lost | | bank | supplier | open advance | |

`supplier` is whose fact it is: the holder at that time, or the borrower while a pool holds the
leaf.
A leaf's way into a pool and back is no `transferred`: `financed` and `loan_settled` tell of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

from contracts.index.book import Book, Leaf
from contracts.index.decoding import Event


class MovementKind(StrEnum):
    """What happened."""

    CONFIRMED = "confirmed"
    TRANSFERRED = "transferred"
    SPLIT = "split"
    MERGED = "merged"
    DISPUTED = "disputed"
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    DISPUTE_SETTLED = "dispute_settled"
    CREDITED = "credited"
    CANCELLED = "cancelled"
    PAID = "paid"
    SETTLED = "settled"
    FINANCED = "financed"
    REPAID = "repaid"
    LOAN_SETTLED = "loan_settled"
    REPURCHASED = "repurchased"
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    RECOVERED = "recovered"
    ORDER_ACCEPTED = "order_accepted"
    FACILITY_OPENED = "facility_opened"
    DRAWN = "drawn"
    ORDER_PAID_BACK = "order_paid_back"
    ORDER_CONVERTED = "order_converted"
    ORDER_DEFAULTED = "order_defaulted"
    ORDER_LOST = "order_lost"


class Movement(TypedDict):
    """A row of `movements`."""

    block_number: int
    log_index: int
    leg: int
    at: int
    kind: str
    root: int | None
    leaf: int | None
    order_id: str | None
    debtor: str | None
    supplier: str | None
    actor: str | None
    counterparty: str | None
    bank: str | None
    amount: int | None
    extra: int | None


def account_of(book: Book, leaf: Leaf) -> str:
    """Whose leaf it is in substance: the borrower's while a pool holds it, else the holder's."""
    if leaf.holder in book.pools and leaf.id in book.loans:
        return book.loans[leaf.id].supplier
    return leaf.holder


def movement(
    event: Event,
    kind: MovementKind,
    *,
    leg: int = 0,
    root: int | None = None,
    leaf: int | None = None,
    order_id: str | None = None,
    debtor: str | None = None,
    supplier: str | None = None,
    actor: str | None = None,
    counterparty: str | None = None,
    bank: str | None = None,
    amount: int | None = None,
    extra: int | None = None,
) -> Movement:
    """A fact that an event tells."""
    return {
        "block_number": event.block_number,
        "log_index": event.log_index,
        "leg": leg,
        "at": event.at,
        "kind": kind.value,
        "root": root,
        "leaf": leaf,
        "order_id": order_id,
        "debtor": debtor,
        "supplier": supplier,
        "actor": actor,
        "counterparty": counterparty,
        "bank": bank,
        "amount": amount,
        "extra": extra,
    }

"""What is known before the cut, in columns: one array a column, one position a row.

Accounts are codes into `Facts.accounts`; claims and invoices are positions in `Facts.claims` and
`Facts.invoices`. Amounts are int64 minor units, times int64 unix seconds. `order` sorts rows as the
chain did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.units import Address, UnixSeconds

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Invoices:
    """Confirmed invoices."""

    debtor: Integers
    supplier: Integers
    face: Integers
    due: Integers
    confirmed: Integers


@dataclass(frozen=True)
class Claims:
    """Leaves: the invoice behind each, what it was worth when made, and who had it first.

    `giver` is whoever passed it on to its first holder by a split, and that holder itself where it
    came otherwise. `is_live` says that it had not ended before the cut.
    """

    invoice: Integers
    face: Integers
    made: Integers
    giver: Integers
    first_holder: Integers
    is_live: Flags


@dataclass(frozen=True)
class Transfers:
    """Claims that changed hands whole; those to and from a pool, as a loan's security, are none."""

    claim: Integers
    order: Integers
    at: Integers
    giver: Integers
    receiver: Integers
    amount: Integers


@dataclass(frozen=True)
class Amounts:
    """An amount of a claim at a time: payments, credits, cancelled rests, disputes (amount 0)."""

    claim: Integers
    at: Integers
    amount: Integers


@dataclass(frozen=True)
class Loans:
    """Loans taken on claims."""

    claim: Integers
    order: Integers
    at: Integers
    borrower: Integers
    principal: Integers


@dataclass(frozen=True)
class LoanEnds:
    """What took principal away: `amount` of it, or all of it (`is_end`)."""

    claim: Integers
    order: Integers
    amount: Integers
    is_end: Flags


@dataclass(frozen=True)
class Facts:
    """All facts strictly before the cut.

    Attributes:
        cut: midnight UTC.
        accounts: addresses, no two alike; a code is a position here.
    """

    cut: UnixSeconds
    accounts: tuple[Address, ...]
    invoices: Invoices
    claims: Claims
    transfers: Transfers
    payments: Amounts
    credits: Amounts
    cancellations: Amounts
    disputes: Amounts
    loans: Loans
    loan_ends: LoanEnds


def day_of(seconds: Integers) -> Integers:
    """The calendar day (UTC) of a time, in days since 1970."""
    return seconds // DAY_SECONDS

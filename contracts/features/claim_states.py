"""What every claim had come to by the cut: its owner, what is left of it, how late it was paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.features.facts import Facts, Flags, Integers, day_of


@dataclass(frozen=True)
class ClaimStates:
    """One entry a claim.

    Attributes:
        owner: the firm that held it last; a loan's security is its borrower's.
        debtor: the firm that owes it.
        remaining: minor units left to be paid; 0 of an ended claim.
        due: unix seconds.
        days_late: days from the due date to the cut, 0 where it was not due before.
    """

    owner: Integers
    debtor: Integers
    remaining: Integers
    due: Integers
    days_late: Integers


@dataclass(frozen=True)
class Lateness:
    """What fell due before the cut: payments, and rests still open; one entry each.

    Attributes:
        claim: position.
        amount: minor units.
        days: late; 0 is on time. An open rest is at least 1 day late.
    """

    claim: Integers
    amount: Integers
    days: Integers


def claim_states(facts: Facts, firm: Integers) -> ClaimStates:
    """Work out the state of every claim.

    Args:
        facts: before the cut.
        firm: the firm of every account, by the account's code.
    """
    claims = facts.claims
    owner = firm[claims.first_holder]
    moved = facts.transfers
    # Of several values for one place numpy keeps the last.
    in_order = np.argsort(moved.order, kind="stable")
    owner[moved.claim[in_order]] = firm[moved.receiver[in_order]]
    remaining = claims.face.copy()
    for gone in (facts.payments, facts.credits):
        np.subtract.at(remaining, gone.claim, gone.amount)
    remaining[~claims.is_live] = 0
    due = facts.invoices.due[claims.invoice]
    late = np.maximum(day_of(np.asarray([facts.cut]))[0] - day_of(due), 0)
    return ClaimStates(owner, firm[facts.invoices.debtor[claims.invoice]], remaining, due, late)


def lateness(facts: Facts, states: ClaimStates) -> Lateness:
    """Return how late each amount was that fell due before the cut."""
    is_due = states.due < facts.cut
    paid = facts.payments
    kept = is_due[paid.claim]
    claim, amount = paid.claim[kept], paid.amount[kept]
    days = np.maximum(day_of(paid.at[kept]) - day_of(states.due[claim]), 0)
    is_open: Flags = is_due & (states.remaining > 0)
    rest = np.flatnonzero(is_open)
    return Lateness(
        np.concatenate((claim, rest)),
        np.concatenate((amount, states.remaining[rest])),
        np.concatenate((days, states.days_late[rest])),
    )

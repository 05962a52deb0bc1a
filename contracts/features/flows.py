"""What came to each firm from others, and what the graph of who owes whom says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.features.facts import Facts, Flags, Integers


@dataclass(frozen=True)
class Flows:
    """Incoming claims, one entry each: invoices confirmed, then claims passed on.

    Attributes:
        firm: to whom it came.
        giver: from whom; of an invoice its debtor.
        debtor: who owes it.
        invoice: position.
        at: unix seconds.
        face: minor units.
        is_confirmed: whether it is an invoice.
    """

    firm: Integers
    giver: Integers
    debtor: Integers
    invoice: Integers
    at: Integers
    face: Integers
    is_confirmed: Flags


def incoming(facts: Facts, firm: Integers) -> Flows:
    """Collect what came in; moves within one firm, and claims on oneself, are left out.

    Args:
        facts: before the cut.
        firm: the firm of every account, by the account's code.
    """
    invoices, claims, moved = facts.invoices, facts.claims, facts.transfers
    split = np.flatnonzero(claims.giver != claims.first_holder)
    count = len(invoices.face)
    invoice = np.concatenate(
        (np.arange(count), claims.invoice[split], claims.invoice[moved.claim])
    ).astype(np.int64)
    receiver = np.concatenate((invoices.supplier, claims.first_holder[split], moved.receiver))
    giver = np.concatenate((invoices.debtor, claims.giver[split], moved.giver))
    at = np.concatenate((invoices.confirmed, claims.made[split], moved.at))
    face = np.concatenate((invoices.face, claims.face[split], moved.amount))
    to, by, debtor = firm[receiver], firm[giver], firm[invoices.debtor[invoice]]
    kept = (to != by) & (to != debtor)
    return Flows(
        to[kept],
        by[kept],
        debtor[kept],
        invoice[kept],
        at[kept],
        face[kept],
        (np.arange(len(invoice)) < count)[kept],
    )


def tiers(flows: Flows, firms: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the fewest steps from a core debtor to each firm; NaN where no way leads there.

    A core debtor owes, and no claim ever came to it. It has no tier itself.
    """
    is_core = np.zeros(firms, dtype=np.bool_)
    is_core[flows.debtor] = True
    is_core[flows.firm] = False
    pairs = np.unique(flows.giver * firms + flows.firm)
    giver, receiver = pairs // firms, pairs % firms
    tier = np.full(firms, np.nan)
    reached, front, steps = is_core.copy(), is_core, 0
    while front.any():
        steps += 1
        found = np.zeros(firms, dtype=np.bool_)
        found[receiver[front[giver]]] = True
        front = found & ~reached
        tier[front] = steps
        reached |= front
    return tier


def reciprocity(flows: Flows, firms: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the share of each firm's counterparties with claims both ways; NaN without any."""
    claims_on = np.unique(flows.firm * firms + flows.debtor)
    owes_to = np.unique(flows.debtor * firms + flows.firm)
    both = np.intersect1d(claims_on, owes_to, assume_unique=True)
    either = np.union1d(claims_on, owes_to)
    counted = np.bincount(either // firms, minlength=firms).astype(np.float64)
    counted[counted == 0] = np.nan
    return np.bincount(both // firms, minlength=firms) / counted

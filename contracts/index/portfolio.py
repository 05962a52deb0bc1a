"""What a portfolio of receivables looks like: who owes and lends how much, how late, how bad.

Amounts are whole minor units of one token, which every key or value names; shares and rates are
plain fractions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.index.book import EXPOSED_LOANS, EXPOSED_ORDERS, Leaf, LoanStatus
from contracts.index.movements import MovementKind
from contracts.index.snapshot import FactSum, Snapshot
from contracts.units import Address, TokenMinor

DAY: Final = 86_400


class By(StrEnum):
    """Whose amounts are added up."""

    DEBTOR = "debtor"
    SUPPLIER = "supplier"
    BANK = "bank"


class AgeBucket(StrEnum):
    """Days past the due date; a day that has begun counts."""

    NOT_DUE = "not due"
    UP_TO_30 = "1-30"
    UP_TO_60 = "31-60"
    UP_TO_90 = "61-90"
    OVER_90 = "over 90"


@dataclass(frozen=True)
class Concentration:
    """How much of a total falls on few.

    Attributes:
        parties: how many there are.
        hhi: Herfindahl-Hirschman index, the sum of squared shares: 1/parties to 1; 0 of nothing.
        top: shares of the largest 1, 5 and 10.
        largest: who is the largest; None where nothing is owed.
    """

    parties: int
    hhi: float
    top: Mapping[int, float]
    largest: Address | None


@dataclass(frozen=True)
class StatusTotal:
    """Loans of one status.

    Attributes:
        count: how many.
        principal: at their start.
        open_principal: of it, not yet paid back; 0 of loans that are settled or written off.
    """

    count: int
    principal: TokenMinor
    open_principal: TokenMinor


@dataclass(frozen=True)
class Rates:
    """How the portfolio has done since the beginning, in one token.

    Attributes:
        financed: principal of all loans.
        defaulted: principal that was open when loans were declared in default.
        lost: principal written off, less what was recovered afterwards (never below 0).
        diluted: what holders gave up (credit notes) or cancelled.
        confirmed: face of all invoices.
        default_rate: share of loans, by number, that were declared in default.
        loss_rate: lost / financed.
        dilution_rate: diluted / confirmed.
    """

    financed: TokenMinor
    defaulted: TokenMinor
    lost: TokenMinor
    diluted: TokenMinor
    confirmed: TokenMinor
    default_rate: float
    loss_rate: float
    dilution_rate: float


def outstanding(snapshot: Snapshot, by: By) -> dict[tuple[Address, str], TokenMinor]:
    """What is still owed on live leaves, by account and token.

    Of a leaf that a pool holds, the supplier is the borrower. By bank, only leaves with a loan that
    is not settled count.
    """
    totals: dict[tuple[Address, str], int] = defaultdict(int)
    for leaf in snapshot.leaves:
        account = _account(snapshot, leaf, by)
        if account is not None:
            totals[Address(account), snapshot.invoices[leaf.root].token] += leaf.remaining
    return _ordered(totals)


def outstanding_by_token(snapshot: Snapshot) -> dict[str, TokenMinor]:
    """What is still owed on live leaves, by token."""
    totals: dict[str, int] = defaultdict(int)
    for leaf in snapshot.leaves:
        totals[snapshot.invoices[leaf.root].token] += leaf.remaining
    return {token: TokenMinor(amount) for token, amount in sorted(totals.items())}


def ageing(snapshot: Snapshot) -> dict[str, dict[AgeBucket, TokenMinor]]:
    """What is still owed, by token and by days past due; every bucket is there."""
    totals: dict[str, dict[AgeBucket, int]] = {}
    for leaf in snapshot.leaves:
        invoice = snapshot.invoices[leaf.root]
        buckets = totals.setdefault(invoice.token, dict.fromkeys(AgeBucket, 0))
        buckets[age_bucket(snapshot.at - invoice.due_date)] += leaf.remaining
    return {
        token: {bucket: TokenMinor(amount) for bucket, amount in totals[token].items()}
        for token in sorted(totals)
    }


def age_bucket(seconds_past_due: int) -> AgeBucket:
    """The bucket of a claim; at the due second itself it is not late."""
    days = -(-seconds_past_due // DAY)
    if days <= 0:
        return AgeBucket.NOT_DUE
    if days <= 30:
        return AgeBucket.UP_TO_30
    if days <= 60:
        return AgeBucket.UP_TO_60
    return AgeBucket.UP_TO_90 if days <= 90 else AgeBucket.OVER_90


def exposures(snapshot: Snapshot, by: By) -> dict[Address, TokenMinor]:
    """Open principal of loans and of order advances, by account, in the pool's token.

    It is what counts against limits: of a written-off loan, nothing.
    """
    totals: dict[Address, int] = defaultdict(int)
    for loan in snapshot.loans.values():
        if loan.status in EXPOSED_LOANS:
            accounts = {By.BANK: loan.bank, By.DEBTOR: loan.debtor, By.SUPPLIER: loan.supplier}
            totals[Address(accounts[by])] += loan.open_principal
    for order in snapshot.orders:
        if order.status in EXPOSED_ORDERS and order.bank is not None:
            accounts = {By.BANK: order.bank, By.DEBTOR: order.buyer, By.SUPPLIER: order.supplier}
            totals[Address(accounts[by])] += order.owed_principal
    return {
        account: TokenMinor(amount)
        for account, amount in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
        if amount
    }


def concentration(amounts: Mapping[Address, int]) -> Concentration:
    """How concentrated amounts are on accounts; pass one token's amounts only."""
    ordered = sorted((amount for amount in amounts.values() if amount > 0), reverse=True)
    total = sum(ordered)
    if not total:
        return Concentration(0, 0.0, dict.fromkeys((1, 5, 10), 0.0), None)
    return Concentration(
        parties=len(ordered),
        hhi=sum(amount * amount for amount in ordered) / (total * total),
        top={count: sum(ordered[:count]) / total for count in (1, 5, 10)},
        largest=min(amounts, key=lambda account: (-amounts[account], account)),
    )


def of_token(
    amounts: Mapping[tuple[Address, str], TokenMinor], token: str
) -> dict[Address, TokenMinor]:
    """One token's amounts of `outstanding`."""
    return {account: amount for (account, of), amount in amounts.items() if of == token}


def loans_by_status(snapshot: Snapshot) -> dict[LoanStatus, StatusTotal]:
    """Loans by status, every status; of several loans on one leaf, the latest."""
    found: dict[LoanStatus, list[tuple[int, int]]] = {status: [] for status in LoanStatus}
    for loan in snapshot.loans.values():
        found[LoanStatus(loan.status)].append((loan.principal, loan.open_principal))
    return {
        status: StatusTotal(
            len(amounts),
            TokenMinor(sum(principal for principal, _ in amounts)),
            TokenMinor(sum(left for _, left in amounts)),
        )
        for status, amounts in found.items()
    }


def rates(snapshot: Snapshot) -> dict[str, Rates]:
    """Default, loss and dilution, by token, from all facts up to the moment."""
    return {
        token: _rates({kind: fact for (of, kind), fact in snapshot.sums.items() if of == token})
        for token in sorted({token for token, _ in snapshot.sums})
    }


def _rates(sums: Mapping[MovementKind, FactSum]) -> Rates:
    def of(kind: MovementKind) -> FactSum:
        return sums.get(kind, FactSum())

    financed, confirmed = of(MovementKind.FINANCED), of(MovementKind.CONFIRMED)
    # A repurchase that released no principal was one of a loan that had been written off.
    recovered = of(MovementKind.RECOVERED).amount + of(MovementKind.REPURCHASED).zero_extra
    lost = max(0, of(MovementKind.WRITTEN_OFF).amount - recovered)
    diluted = of(MovementKind.CREDITED).amount + of(MovementKind.CANCELLED).amount
    defaulted = of(MovementKind.DEFAULTED)
    return Rates(
        financed=TokenMinor(financed.amount),
        defaulted=TokenMinor(defaulted.amount),
        lost=TokenMinor(lost),
        diluted=TokenMinor(diluted),
        confirmed=TokenMinor(confirmed.amount),
        default_rate=_share(defaulted.count, financed.count),
        loss_rate=_share(lost, financed.amount),
        dilution_rate=_share(diluted, confirmed.amount),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _account(snapshot: Snapshot, leaf: Leaf, by: By) -> str | None:
    loan = snapshot.loans.get(leaf.id)
    is_pledged = loan is not None and loan.status != LoanStatus.SETTLED
    if by is By.DEBTOR:
        return snapshot.invoices[leaf.root].debtor
    if by is By.SUPPLIER:
        return loan.supplier if loan is not None and is_pledged else leaf.holder
    return loan.bank if loan is not None and is_pledged else None


def _ordered(totals: Mapping[tuple[Address, str], int]) -> dict[tuple[Address, str], TokenMinor]:
    """The largest first; ties by account."""
    items: Iterable[tuple[tuple[Address, str], int]] = totals.items()
    return {
        key: TokenMinor(amount)
        for key, amount in sorted(items, key=lambda item: (item[0][1], -item[1], item[0][0]))
    }

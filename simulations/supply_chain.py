"""A seeded population of a supply chain: who supplies whom, what is owed, and what becomes of it.

Core enterprises owe suppliers of tier 1, who pass parts of their claims on to tiers 2 and 3. A
latent quality of each supplier and each debtor, and for some suppliers a decline in the last half
year, drive late payments, credit notes, disputes, and how often claims are financed. The same
quality drives the labels of `simulations.supply_chain_bank`.

Everything is drawn at once in arrays; a claim is one position in all arrays of `Claims`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DAY = 86_400
NEVER = np.iinfo(np.int64).max
HISTORY_DAYS = 730
DECLINE_DAYS = 180
# Rows of 'movements' that one invoice leads to, measured; sets how many invoices are drawn.
ROWS_AN_INVOICE = 5.65
_TIER_SHARES = (0.6, 0.3, 0.1)
_MOST_DEBTORS = 6


@dataclass(frozen=True)
class SupplyChainPlan:
    """What is drawn.

    Attributes:
        suppliers: firms that are owed.
        events: rows of 'movements' wanted, reached within a few percent.
        cut: the date as of which features are meant; the history begins two years before.
        days_after: how far the history goes on after the cut.
        seed: of everything.
    """

    suppliers: int = 10_000
    events: int = 1_000_000
    cut: date = date(2026, 1, 1)
    days_after: int = 1
    seed: int = 1

    @property
    def cut_at(self) -> int:
        """Unix seconds of the cut."""
        return int(datetime.combine(self.cut, time(), UTC).timestamp())

    @property
    def until(self) -> int:
        """Unix seconds of the history's end."""
        return self.cut_at + self.days_after * DAY

    @property
    def begin(self) -> int:
        """Unix seconds of the history's beginning."""
        return self.cut_at - HISTORY_DAYS * DAY


@dataclass(frozen=True)
class Firms:
    """Suppliers (by number from 0) and core debtors, and what nobody sees of them.

    Attributes:
        tier: 1 to 3, a supplier each.
        quality: standard normal, a supplier each; `debtor_quality` a core debtor each.
        decline: how far quality falls over the half year before the cut, 0 for most.
        debtors: core debtors of suppliers of tier 1, int64 (suppliers, 6); the first
            `debtor_count` of each row count.
        buyers_of: suppliers that pass claims on, one entry a link; `passed_to` to whom.
    """

    tier: Integers
    quality: Floats
    debtor_quality: Floats
    decline: Floats
    debtors: Integers
    debtor_count: Integers
    buyers_of: Integers
    passed_to: Integers

    def quality_at(self, supplier: Integers, at: Integers, cut_at: int) -> Floats:
        """Quality of suppliers at times."""
        share = np.clip((at - cut_at) / (DECLINE_DAYS * DAY) + 1, 0, 1)
        return self.quality[supplier] - self.decline[supplier] * share

    def one_below(self, supplier: Integers, rng: np.random.Generator) -> Integers:
        """A supplier of the next tier to pass a claim on to, for each; -1 where there is none."""
        begin = np.searchsorted(self.buyers_of, supplier, side="left")
        count = np.searchsorted(self.buyers_of, supplier, side="right") - begin
        chosen = begin + np.floor(rng.random(len(supplier)) * count).astype(np.int64)
        found = np.full(len(supplier), -1, dtype=np.int64)
        found[count > 0] = self.passed_to[chosen[count > 0]]
        return found


@dataclass(frozen=True)
class Invoices:
    """Confirmed invoices, by time."""

    supplier: Integers
    debtor: Integers
    face: Integers
    confirmed: Integers
    due: Integers


@dataclass(frozen=True)
class Claims:
    """Claims (leaves), one position each; times are unix seconds, NEVER of what did not happen.

    Attributes:
        invoice, parent: positions; a root's parent is -1.
        depth: splits above it.
        holder: the supplier that had it first; `giver` the one that split it off for that.
        owner: the supplier that had it last; another one where it was `passed_at`.
        disputed_at, credited_at, credit: a dispute and how it was settled, or (`is_note`) a credit
            note without one.
        cancelled_at, split_at: ends.
        financed_at, principal, discount: the loan on it.
        paid_at, paid: (claims, 2), the payments and their amounts.
        defaulted_at, written_off_at: of the loan.
    """

    invoice: Integers
    parent: Integers
    depth: Integers
    holder: Integers
    giver: Integers
    owner: Integers
    face: Integers
    made: Integers
    passed_at: Integers
    disputed_at: Integers
    credited_at: Integers
    credit: Integers
    cancelled_at: Integers
    split_at: Integers
    financed_at: Integers
    principal: Integers
    discount: Integers
    paid_at: Integers
    paid: Integers
    defaulted_at: Integers
    written_off_at: Integers


@dataclass(frozen=True)
class SupplyChain:
    """All of it."""

    plan: SupplyChainPlan
    firms: Firms
    invoices: Invoices
    claims: Claims


def sigmoid(x: Floats | float) -> Floats:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, dtype=np.float64))))


def draw_firms(plan: SupplyChainPlan, rng: np.random.Generator) -> Firms:
    """Draw the firms and who deals with whom."""
    count, core = plan.suppliers, max(8, plan.suppliers // 50)
    quality = rng.normal(size=count)
    tier = rng.choice((1, 2, 3), size=count, p=_TIER_SHARES).astype(np.int64)
    # The better a firm, the more customers it has.
    debtors = 1 + rng.binomial(_MOST_DEBTORS - 1, sigmoid(-0.6 + 0.6 * quality))
    givers, takers = [], []
    for level in (2, 3):
        above, below = np.flatnonzero(tier == level - 1), np.flatnonzero(tier == level)
        if above.size and below.size:
            links = rng.integers(1, 4, size=below.size)
            takers.append(np.repeat(below, links))
            givers.append(rng.choice(above, size=int(links.sum())))
    giver = np.concatenate(givers) if givers else np.empty(0, np.int64)
    taker = np.concatenate(takers) if takers else np.empty(0, np.int64)
    order = np.argsort(giver, kind="stable")
    return Firms(
        tier=tier,
        quality=quality,
        debtor_quality=rng.normal(size=core),
        decline=np.where(rng.random(count) < 0.15, rng.gamma(3.0, 0.5, size=count), 0.0),
        debtors=rng.integers(core, size=(count, _MOST_DEBTORS)),
        debtor_count=debtors.astype(np.int64),
        buyers_of=giver[order].astype(np.int64),
        passed_to=taker[order].astype(np.int64),
    )


def draw_invoices(plan: SupplyChainPlan, firms: Firms, rng: np.random.Generator) -> Invoices:
    """Draw invoices on working days, 8 to 18 h UTC, sorted by time."""
    count = max(1, round(plan.events / ROWS_AN_INVOICE))
    direct = np.flatnonzero(firms.tier == 1)
    activity = np.exp(rng.normal(0.15 * firms.quality[direct], 0.6))
    supplier = rng.choice(direct, size=count, p=activity / activity.sum())
    days = (plan.until - plan.begin) // DAY
    day = plan.begin // DAY + rng.integers(days, size=count)
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
    day -= np.maximum(weekday - 4, 0)
    confirmed = np.maximum(day * DAY + rng.integers(8 * 3600, 18 * 3600, size=count), plan.begin)
    order = np.argsort(confirmed, kind="stable")
    supplier, confirmed = supplier[order], confirmed[order]
    column = np.floor(rng.random(count) * firms.debtor_count[supplier]).astype(np.int64)
    tenor = rng.choice((30, 45, 60, 90, 120), size=count, p=(0.25, 0.15, 0.3, 0.2, 0.1))
    return Invoices(
        supplier=supplier,
        debtor=firms.debtors[supplier, column],
        face=np.exp(rng.normal(15.2, 0.8, size=count)).astype(np.int64) + 100_000,
        confirmed=confirmed,
        due=(confirmed // DAY + tenor + 1) * DAY - 1,  # the last second of the due date
    )


def draw_supply_chain(plan: SupplyChainPlan) -> SupplyChain:
    """Draw a supply chain; the same plan gives the same one."""
    from simulations.supply_chain_claims import draw_claims

    rng = np.random.default_rng(plan.seed)
    firms = draw_firms(plan, rng)
    invoices = draw_invoices(plan, firms, rng)
    return SupplyChain(plan, firms, invoices, draw_claims(plan, firms, invoices, rng))

"""Features of all firms at once, from the facts before a cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.features.claim_states import ClaimStates, Lateness, claim_states, lateness
from contracts.features.definitions import NAMES, definition_of
from contracts.features.facts import DAY_SECONDS, Facts, Flags, Integers, day_of
from contracts.features.flows import Flows, incoming, reciprocity, tiers
from contracts.units import Address

Values = npt.NDArray[np.float64]
RECENT_DAYS = 90
YEAR_DAYS = 365
# The most days late of each bucket; what is later falls into the last one.
_AGEING = {"ageing_not_due": 0, "ageing_1_30": 30, "ageing_31_60": 60, "ageing_61_90": 90}
_OLDEST = "ageing_over_90"


@dataclass(frozen=True)
class SupplierFeatures:
    """Features by name, one value a supplier; NaN is missing.

    Attributes:
        suppliers: their names, one a row: an address, or the firm's name that was given.
        columns: float64, by feature.
    """

    suppliers: tuple[str, ...]
    columns: Mapping[str, Values]


def features_of(
    facts: Facts,
    *,
    firms: Mapping[Address, str] | None = None,
    names: Sequence[str] = NAMES,
) -> SupplierFeatures:
    """Compute features.

    Args:
        facts: before the cut.
        firms: the firm of each account, where rows are firms; several accounts of one firm count
            as one. The rows are then these firms, in the order in which they first appear here,
            whether facts name them or not. Other accounts count as firms of their own, and have no
            row. None: the rows are all accounts that ever had an incoming claim, by address.
        names: of the features wanted.

    Raises:
        FeatureError: a name is unknown.
    """
    for name in names:
        definition_of(name)
    rows, firm, count = _firms(facts.accounts, firms)
    base = _Base(facts, firm, count)
    if firms is None:
        had_claims = np.unique(base.flows.firm)
        order = sorted(had_claims.tolist(), key=facts.accounts.__getitem__)
        rows = {facts.accounts[code]: code for code in order}
    picked = np.fromiter(rows.values(), dtype=np.int64, count=len(rows))
    columns: dict[str, Values] = {}
    for group, compute in _GROUPS.items():
        if any(name in names for name in group):
            columns |= compute(base)
    return SupplierFeatures(tuple(rows), {name: columns[name][picked] for name in names})


def _firms(
    accounts: tuple[Address, ...], firms: Mapping[Address, str] | None
) -> tuple[dict[str, int], Integers, int]:
    """Return the firms' codes by name, the firm of every account, and how many codes there are."""
    firm = np.arange(len(accounts), dtype=np.int64)
    if firms is None:
        return {}, firm, len(accounts)
    rows: dict[str, int] = {}
    for name in firms.values():
        rows.setdefault(name, len(accounts) + len(rows))
    for code, account in enumerate(accounts):
        if account in firms:
            firm[code] = rows[firms[account]]
    return rows, firm, len(accounts) + len(rows)


class _Base:
    """What several features share, worked out once."""

    def __init__(self, facts: Facts, firm: Integers, count: int) -> None:
        self.facts = facts
        self.firm = firm
        self.count = count
        self.flows: Flows = incoming(facts, firm)
        self.states: ClaimStates = claim_states(facts, firm)
        self.late: Lateness = lateness(facts, self.states)
        # A claim on oneself is nothing that one is owed.
        self.is_owed: Flags = self.states.owner != self.states.debtor
        remaining = np.where(self.is_owed, self.states.remaining, 0)
        self.outstanding = self.sum(self.states.owner, remaining)

    def sum(self, firm: Integers, weights: npt.NDArray[np.generic]) -> Values:
        """Sum weights by firm."""
        sums: Values = np.bincount(firm, weights=weights, minlength=self.count).astype(np.float64)
        return sums

    def since(self, days: int) -> int:
        """The unix seconds so many days before the cut."""
        return self.facts.cut - days * DAY_SECONDS


def _ratio(part: Values, whole: Values) -> Values:
    """Divide; NaN where the whole is 0."""
    missing = np.full(len(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=missing, where=whole > 0), dtype=np.float64)


def _outstanding(base: _Base) -> dict[str, Values]:
    facts = base.facts
    loans, ends = facts.loans, facts.loan_ends
    # The last loan of every claim; what came after it took principal away.
    in_order = np.argsort(loans.order, kind="stable")
    last = np.full(len(facts.claims.face), -1, dtype=np.int64)
    last[loans.claim[in_order]] = in_order
    loan = last[ends.claim]
    counts = (loan >= 0) & (ends.order >= loans.order[loan]) if len(loans.order) else loan >= 0
    is_open = np.zeros(len(loans.order), dtype=np.bool_)
    is_open[last[last >= 0]] = True
    is_open[loan[counts & ends.is_end]] = False
    principal = loans.principal.copy()
    np.subtract.at(principal, loan[counts], ends.amount[counts])
    open_principal = np.where(is_open, np.maximum(principal, 0), 0)
    advanced = base.sum(base.firm[loans.borrower], open_principal)
    return {
        "outstanding": base.outstanding,
        "advance_share": _ratio(advanced, base.outstanding),
    }


def _past_due(base: _Base) -> dict[str, Values]:
    late, states = base.late, base.states
    kept = base.is_owed[late.claim]
    claim, days = late.claim[kept], late.days[kept]
    amount = late.amount[kept].astype(np.float64)
    owner, due = states.owner[claim], states.due[claim]

    def mean(part: Flags) -> Values:
        weights = base.sum(owner[part], amount[part])
        return _ratio(base.sum(owner[part], amount[part] * days[part]), weights)

    every = np.ones(len(claim), dtype=np.bool_)
    recent = due >= base.since(RECENT_DAYS)
    before = ~recent & (due >= base.since(YEAR_DAYS))
    most = np.full(base.count, -1.0)
    np.maximum.at(most, owner, days.astype(np.float64))
    most[most < 0] = np.nan
    fell_due = base.sum(owner, amount)
    return {
        "past_due_days_mean": mean(every),
        "past_due_days_max": most,
        "past_due_days_trend": mean(recent) - mean(before),
        "on_time_share": _ratio(base.sum(owner, np.where(days == 0, amount, 0.0)), fell_due),
    }


def _dilution(base: _Base) -> dict[str, Values]:
    facts, states, flows = base.facts, base.states, base.flows
    diluted = np.zeros(base.count)
    for gone in (facts.credits, facts.cancellations):
        kept = base.is_owed[gone.claim]
        diluted += base.sum(states.owner[gone.claim[kept]], gone.amount[kept])
    invoices = max(len(facts.invoices.face), 1)
    disputed = facts.disputes.claim[base.is_owed[facts.disputes.claim]]
    pairs = np.unique(states.owner[disputed] * invoices + facts.claims.invoice[disputed])
    came = np.unique(flows.firm * invoices + flows.invoice)
    of_firm = np.bincount(came // invoices, minlength=base.count).astype(np.float64)
    return {
        "dilution_rate": _ratio(diluted, base.sum(flows.firm, flows.face)),
        "dispute_rate": _ratio(
            np.bincount(pairs // invoices, minlength=base.count).astype(np.float64), of_firm
        ),
    }


def _debtors(base: _Base) -> dict[str, Values]:
    flows, late, states = base.flows, base.late, base.states
    firm, debtor, face = _by_pair(base, np.ones(len(flows.face), dtype=np.bool_))
    owed_by, amount = states.debtor[late.claim], late.amount.astype(np.float64)
    on_time = np.where(late.days == 0, amount, 0.0)
    share = _ratio(base.sum(owed_by, on_time), base.sum(owed_by, amount))[debtor]
    known = ~np.isnan(share)
    weight = base.sum(firm[known], face[known])
    quality = _ratio(base.sum(firm[known], face[known] * share[known]), weight)
    distinct = np.bincount(firm, minlength=base.count).astype(np.float64)
    firm, _, face = _by_pair(base, flows.at >= base.since(YEAR_DAYS))
    squares, whole = base.sum(firm, face**2), base.sum(firm, face)
    return {
        "debtor_concentration": _ratio(squares, whole**2),
        "debtor_quality": quality,
        "debtors": distinct,
    }


def _by_pair(base: _Base, kept: Flags) -> tuple[Integers, Integers, Values]:
    """Incoming face by firm and debtor."""
    flows = base.flows
    key = flows.firm[kept] * base.count + flows.debtor[kept]
    pairs, place = np.unique(key, return_inverse=True)
    face = np.bincount(place, weights=flows.face[kept], minlength=len(pairs)).astype(np.float64)
    return pairs // base.count, pairs % base.count, face


def _tenor(base: _Base) -> dict[str, Values]:
    flows, invoices = base.flows, base.facts.invoices
    tenor = (invoices.due - invoices.confirmed)[flows.invoice] / DAY_SECONDS
    counted = np.bincount(flows.firm, minlength=base.count).astype(np.float64)
    return {
        "tenor_mean": _ratio(base.sum(flows.firm, tenor), counted),
        "tenor_weighted": _ratio(
            base.sum(flows.firm, tenor * flows.face), base.sum(flows.firm, flows.face)
        ),
    }


def _turnover(base: _Base) -> dict[str, Values]:
    flows, loans = base.flows, base.facts.loans

    def face(days: int, is_confirmed: bool) -> Values:
        kept = (flows.at >= base.since(days)) & (flows.is_confirmed == is_confirmed)
        return base.sum(flows.firm[kept], flows.face[kept])

    taken = base.firm[loans.borrower[loans.at >= base.since(YEAR_DAYS)]]
    return {
        "turnover_90": face(RECENT_DAYS, True),
        "turnover_365": face(YEAR_DAYS, True),
        "received_365": face(YEAR_DAYS, False),
        "financings_365": np.bincount(taken, minlength=base.count).astype(np.float64),
    }


def _ageing(base: _Base) -> dict[str, Values]:
    states = base.states
    bucket = np.searchsorted(list(_AGEING.values()), states.days_late)
    found: dict[str, Values] = {}
    for number, name in enumerate((*_AGEING, _OLDEST)):
        kept = (bucket == number) & base.is_owed
        found[name] = _ratio(base.sum(states.owner[kept], states.remaining[kept]), base.outstanding)
    return found


def _graph(base: _Base) -> dict[str, Values]:
    flows, cut = base.flows, base.facts.cut
    first = np.full(base.count, np.iinfo(np.int64).max)
    np.minimum.at(first, flows.firm, flows.at)
    known = first < cut
    age = np.full(base.count, np.nan)
    age[known] = cut // DAY_SECONDS - day_of(first[known])
    return {
        "tier": tiers(flows, base.count),
        "reciprocity": reciprocity(flows, base.count),
        "days_since_first": age,
    }


_GROUPS: dict[tuple[str, ...], Callable[[_Base], dict[str, Values]]] = {
    ("outstanding", "advance_share"): _outstanding,
    ("past_due_days_mean", "past_due_days_max", "past_due_days_trend", "on_time_share"): _past_due,
    ("dilution_rate", "dispute_rate"): _dilution,
    ("debtor_concentration", "debtor_quality", "debtors"): _debtors,
    ("tenor_mean", "tenor_weighted"): _tenor,
    ("turnover_90", "turnover_365", "received_365", "financings_365"): _turnover,
    (*_AGEING, _OLDEST): _ageing,
    ("tier", "reciprocity", "days_since_first"): _graph,
}

"""What a policy would have decided over a portfolio: every application by `assess`, then sums.

Approved means approved without a person: referrals count apart, and no expected profit is booked
for them. Rates and shares of the summary are floats for reading; amounts stay whole minor units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt

from server.desk.policy.decision import Application, Outcome
from server.desk.policy.facts import Facts
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.portfolio import Portfolio
from server.desk.policy.pricing import economics_of
from server.desk.policy.rounding import CONTEXT
from server.desk.policy.rules import BORROWER, Blocked, HardRule

APPROVED, REFERRED, DECLINED = 0, 1, 2
_CODES = {Outcome.APPROVE: APPROVED, Outcome.REFER: REFERRED, Outcome.DECLINE: DECLINED}
CUT_OFFS = 60

Whole = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One decision of a simulation, in short."""

    outcome: int
    rule: str
    grade: str
    limit: int
    rate: Decimal
    exposure: int
    expected_loss: int
    capital: int
    profit: int


@dataclass(frozen=True)
class Simulated:
    """A policy's decisions over a portfolio, in columns (n,).

    Attributes:
        policy: name and version; `digest`.
        grades: names, the safest first.
        rows: one a row of the portfolio.
        probabilities: as the policy reckons with them.
        outcome: APPROVED, REFERRED or DECLINED.
        limit, exposure, expected_loss, capital, profit: minor units, 0 where nothing is offered.
        rate: a year, 0 where nothing is offered.
        defaulted: observed; None where not known.
    """

    policy: str
    digest: str
    grades: tuple[str, ...]
    rows: Sequence[Row]
    probabilities: Reals
    outcome: npt.NDArray[np.int8]
    limit: Whole
    rate: Reals
    exposure: Whole
    expected_loss: Whole
    capital: Whole
    profit: Whole
    defaulted: npt.NDArray[np.bool_] | None

    @property
    def approved(self) -> npt.NDArray[np.bool_]:
        """Which are approved (n,)."""
        return np.asarray(self.outcome == APPROVED)

    def declined_by(self) -> dict[str, int]:
        """How many declines each rule made, the most first."""
        rules = Counter(row.rule for row in self.rows if row.outcome == DECLINED)
        return dict(rules.most_common())


@dataclass(frozen=True)
class Summary:
    """Sums over the approved ones of some applications.

    Attributes:
        applications, approved, referred: how many.
        expected_bad_rate: mean probability of the approved; None without any.
        observed_bad_rate: of the approved; None without outcomes.
        limit_minor, exposure_minor, expected_loss_minor, capital_minor, profit_minor: sums.
        yearly_rate: of the approved, weighted by limit.
    """

    applications: int
    approved: int
    referred: int
    expected_bad_rate: float | None
    observed_bad_rate: float | None
    limit_minor: int
    exposure_minor: int
    expected_loss_minor: int
    capital_minor: int
    profit_minor: int
    yearly_rate: float | None

    @property
    def approval_rate(self) -> float:
        """Share of the applications."""
        return self.approved / self.applications if self.applications else 0.0


@dataclass(frozen=True)
class CutOff:
    """What is left of the approvals if nobody above a probability is approved."""

    probability: float
    approved: int
    approval_rate: float
    expected_bad_rate: float
    observed_bad_rate: float | None
    profit_minor: int


def simulate(policy: LendingPolicy, portfolio: Portfolio, today: date) -> Simulated:
    """Decide on every row of a portfolio, exactly as `LendingPolicy.decide` does.

    Raises:
        FieldErrors, InputError: as `decide`.
    """
    policy.check_day(today)
    known: dict[object, Row] = {}
    rows: list[Row] = []
    reckoned = np.empty(portfolio.size)
    lists = [
        rule.test
        for rule in policy.rules
        if isinstance(rule, HardRule)
        and isinstance(rule.test, Blocked)
        and rule.test.subject == BORROWER
    ]
    with localcontext(CONTEXT):
        for number, probability in enumerate(portfolio.probabilities.tolist()):
            rounded = policy.rounded(probability)
            reckoned[number] = float(rounded)
            product, borrower = portfolio.products[number], portfolio.borrowers[number]
            facts = portfolio.facts_of(number)
            # The decision depends on nothing else, so equal rows are decided once.
            blocked = tuple(borrower in one.blocked for one in lists)
            key = (product, blocked, rounded, tuple(facts.values()))
            row = known.get(key)
            if row is None:
                application = Application(product, borrower, probability, facts)
                row = known[key] = _row(policy, application)
            rows.append(row)
    return Simulated(
        policy=policy.label,
        digest=policy.digest,
        grades=tuple(grade.name for grade in policy.grades),
        rows=rows,
        probabilities=reckoned,
        outcome=np.fromiter((row.outcome for row in rows), np.int8, len(rows)),
        limit=np.fromiter((row.limit for row in rows), np.int64, len(rows)),
        rate=np.fromiter((float(row.rate) for row in rows), np.float64, len(rows)),
        exposure=np.fromiter((row.exposure for row in rows), np.int64, len(rows)),
        expected_loss=np.fromiter((row.expected_loss for row in rows), np.int64, len(rows)),
        capital=np.fromiter((row.capital for row in rows), np.int64, len(rows)),
        profit=np.fromiter((row.profit for row in rows), np.int64, len(rows)),
        defaulted=portfolio.defaulted,
    )


def summary(simulated: Simulated, among: npt.NDArray[np.bool_] | None = None) -> Summary:
    """Sums over all applications, or over those of a mask (n,)."""
    chosen = np.ones(len(simulated.rows), dtype=bool) if among is None else among
    approved = chosen & simulated.approved
    count = int(approved.sum())
    limits = simulated.limit[approved]
    observed = None
    if count and simulated.defaulted is not None:
        observed = float(simulated.defaulted[approved].mean())
    return Summary(
        applications=int(chosen.sum()),
        approved=count,
        referred=int((chosen & (simulated.outcome == REFERRED)).sum()),
        expected_bad_rate=float(simulated.probabilities[approved].mean()) if count else None,
        observed_bad_rate=observed,
        limit_minor=_sum(limits),
        exposure_minor=_sum(simulated.exposure[approved]),
        expected_loss_minor=_sum(simulated.expected_loss[approved]),
        capital_minor=_sum(simulated.capital[approved]),
        profit_minor=_sum(simulated.profit[approved]),
        yearly_rate=(
            float((simulated.rate[approved] * limits).sum() / limits.sum()) if count else None
        ),
    )


def by_grade(simulated: Simulated) -> dict[str, Summary]:
    """Sums by grade; applications that a hard rule declined have none and are left out."""
    grades = np.array([row.grade for row in simulated.rows], dtype=object)
    return {name: summary(simulated, np.asarray(grades == name)) for name in simulated.grades}


def cut_offs(simulated: Simulated) -> list[CutOff]:
    """Approval rate, bad rate and profit at rising cut-offs, up to the riskiest approval.

    The policy's own decisions below the cut-off: what it declines stays declined. So the last
    cut-off is the policy itself, and a profit that falls on the way there says where it is too lax.
    """
    approved = np.flatnonzero(simulated.approved)
    if not len(approved):
        return []
    order = approved[np.argsort(simulated.probabilities[approved], kind="stable")]
    probabilities = simulated.probabilities[order]
    borders = np.unique(np.quantile(probabilities, np.linspace(0, 1, CUT_OFFS), method="higher"))
    ends = np.searchsorted(probabilities, borders, side="right")
    profit, expected = np.cumsum(simulated.profit[order]), np.cumsum(probabilities)
    bad = None if simulated.defaulted is None else np.cumsum(simulated.defaulted[order])
    return [
        CutOff(
            probability=float(border),
            approved=int(end),
            approval_rate=int(end) / len(simulated.rows),
            expected_bad_rate=float(expected[end - 1] / end),
            observed_bad_rate=None if bad is None else float(bad[end - 1] / end),
            profit_minor=int(profit[end - 1]),
        )
        for border, end in zip(borders, ends, strict=True)
    ]


def _row(policy: LendingPolicy, application: Application) -> Row:
    # The portfolio's reader has checked all facts.
    assessed = policy.assess_checked(application, Facts(application.facts))
    outcome, offer = _CODES[assessed.outcome], assessed.offer
    if offer is None:
        return Row(outcome, assessed.rule.id, assessed.grade, 0, Decimal(0), 0, 0, 0, 0)
    product = policy.products[application.product]
    economics = economics_of(product, offer.cost, offer.rate)
    return Row(
        outcome=outcome,
        rule=assessed.rule.id,
        grade=assessed.grade,
        limit=offer.limit,
        rate=offer.rate,
        exposure=economics.exposure_at_default_minor,
        expected_loss=economics.expected_loss_minor,
        capital=economics.capital_minor,
        profit=economics.profit_minor,
    )


def _sum(amounts: Whole) -> int:
    """A sum that cannot wrap: Python's own integers."""
    return sum(amounts.tolist())

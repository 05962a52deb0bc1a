"""A simulation as lines of text and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

from server.desk.policy.comparison import Comparison, Group
from server.desk.policy.lending_policy import Currency, LendingPolicy
from server.desk.policy.portfolio import Portfolio
from server.desk.policy.rounding import money
from server.desk.policy.simulation import (
    Simulated,
    Summary,
    by_grade,
    cut_offs,
    summary,
)


def as_json(
    portfolio: Portfolio,
    policies: list[LendingPolicy],
    runs: list[Simulated],
    comparison: Comparison | None,
    today: date,
) -> dict[str, Any]:
    """Everything that the simulation found; amounts in minor units, rates as shares."""
    return {
        "portfolio": portfolio.source,
        "applications": portfolio.size,
        "day": today.isoformat(),
        "assumed_facts": {name: list(facts) for name, facts in portfolio.assumed.items()},
        "unused_columns": list(portfolio.unused),
        "policies": [_policy_json(policy, run) for policy, run in zip(policies, runs, strict=True)],
        "comparison": None if comparison is None else _comparison_json(comparison),
    }


def as_text(
    portfolio: Portfolio,
    policies: list[LendingPolicy],
    runs: list[Simulated],
    comparison: Comparison | None,
) -> Iterator[str]:
    """Lines for the terminal."""
    yield f"{portfolio.size:,} applications from {portfolio.source}"
    yield from notes(portfolio)
    for policy, run in zip(policies, runs, strict=True):
        yield ""
        yield from _policy_text(policy, run)
    if comparison is not None:
        yield ""
        yield from comparison_text(comparison, policies[0].currency)


def notes(portfolio: Portfolio) -> Iterator[str]:
    """What was assumed about the portfolio."""
    for product, facts in portfolio.assumed.items():
        if facts:
            yield f"{product}: the policy's examples stand in for {', '.join(facts)}"
    if portfolio.unused:
        yield f"columns not used: {', '.join(portfolio.unused)}"


def comparison_text(comparison: Comparison, currency: Currency) -> Iterator[str]:
    """What changes from the champion to the challenger."""
    yield "Challenger against champion"
    for name, group in (
        ("approved by both", comparison.kept),
        ("swapped in", comparison.swapped_in),
        ("swapped out", comparison.swapped_out),
    ):
        yield f"  {name:<18}{group.count:>9,}{_group_text(group)}"
    yield (
        f"  of both: limits up {comparison.limit_raised:,}, down {comparison.limit_cut:,}; "
        f"rates up {comparison.rate_raised:,}, down {comparison.rate_cut:,}"
    )
    for (before, after), count in comparison.moves.items():
        if before != after and count:
            yield f"  {before} to {after}: {count:,}"
    change = money(comparison.profit_change_minor, currency.code, currency.digits)
    yield f"  expected profit changes by {change}"


def share(value: float | None) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if value is None else f"{value:.2%}".replace("%", " %")


def _policy_text(policy: LendingPolicy, run: Simulated) -> Iterator[str]:
    whole = summary(run)
    code, digits = policy.currency.code, policy.currency.digits
    yield f"{policy.label}"
    yield (
        f"  approved {whole.approved:,} ({share(whole.approval_rate)}), referred "
        f"{whole.referred:,}, declined {whole.applications - whole.approved - whole.referred:,}"
    )
    observed = ""
    if run.defaulted is not None:
        observed = f", observed {share(whole.observed_bad_rate)}"
    yield f"  bad rate of the approved: expected {share(whole.expected_bad_rate)}{observed}"
    yield (
        f"  limits {money(whole.limit_minor, code, digits)} at {share(whole.yearly_rate)} a year, "
        f"expected loss {money(whole.expected_loss_minor, code, digits)}, expected profit "
        f"{money(whole.profit_minor, code, digits)}"
    )
    best = max(cut_offs(run), key=lambda one: one.profit_minor, default=None)
    if best is not None:
        yield (
            f"  most profit at a cut-off of {share(best.probability)}: "
            f"{money(best.profit_minor, code, digits)}, approving {share(best.approval_rate)}"
        )
    yield f"  {'grade':<7}{'all':>9}{'approved':>10}{'limits ' + code:>20}{'rate':>9}{'bad':>9}"
    for name, one in by_grade(run).items():
        limit = money(one.limit_minor, "", digits).strip()
        yield (
            f"  {name:<7}{one.applications:>9,}{one.approved:>10,}{limit:>20}"
            f"{share(one.yearly_rate):>9}{share(one.expected_bad_rate):>9}"
        )
    for rule, count in run.declined_by().items():
        yield f"  declined by {rule}: {count:,}"


def _group_text(group: Group) -> str:
    if not group.count:
        return ""
    text = f", expected bad rate {share(group.expected_bad_rate)}"
    if group.observed_bad_rate is not None:
        text += f", observed {share(group.observed_bad_rate)}"
    return text


def _policy_json(policy: LendingPolicy, run: Simulated) -> dict[str, Any]:
    return {
        "policy": run.policy,
        "digest": run.digest,
        "currency": policy.currency.code,
        "minor_digits": policy.currency.digits,
        "total": _summary_json(summary(run)),
        "grades": {name: _summary_json(one) for name, one in by_grade(run).items()},
        "declined_by": run.declined_by(),
        "cut_offs": [asdict(one) for one in cut_offs(run)],
    }


def _summary_json(one: Summary) -> dict[str, Any]:
    return asdict(one) | {"approval_rate": one.approval_rate}


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    moves = [
        {"from": before, "to": after, "count": count}
        for (before, after), count in comparison.moves.items()
    ]
    return asdict(comparison) | {"moves": moves}

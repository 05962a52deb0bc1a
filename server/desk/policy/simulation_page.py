"""A simulation as one HTML page that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from federation.report.markup import Html, bullets, element, row, table
from federation.report.plots import GREY, drawn
from federation.report.stylesheet import STYLESHEET
from server.desk.policy.comparison import Comparison
from server.desk.policy.comparison_section import versus_section
from server.desk.policy.lending_policy import Currency, LendingPolicy
from server.desk.policy.portfolio import Portfolio
from server.desk.policy.simulation import CutOff, Simulated, Summary, by_grade, cut_offs, summary
from server.desk.policy.simulation_marks import (
    amount,
    captioned,
    cut_off_axes,
    grade_axes,
    percent,
    short,
)
from server.desk.policy.simulation_report import notes, share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#1b5e9b", "#c2691c")  # champion, challenger: apart for every common colour blindness
DASHES = ("-", (0, (6, 2)))
OBSERVED = "#8c3b7d"
ROLES = ("champion", "challenger")
FEWEST_OBSERVED = 50


def render(
    portfolio: Portfolio,
    policies: Sequence[LendingPolicy],
    runs: Sequence[Simulated],
    comparison: Comparison | None,
    today: date,
) -> str:
    """The page: totals, cut-offs, grades, and the challenger where there is one."""
    title = "What the lending policy would have decided"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Belt and braces beside escaping: this page may load and run nothing.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Html(STYLESHEET)),
    )
    versus = "" if len(policies) == 1 else f" against {policies[1].label}"
    masthead = element(
        "header",
        element("h1", title),
        element("p", f"{policies[0].label}{versus} · decided as on {today}"),
        element("p", f"{portfolio.size:,} applications from {portfolio.source}"),
    )
    curves = [cut_offs(run) for run in runs]
    sections = [
        _totals(portfolio, policies, runs),
        _by_cut_off(policies[0].currency, runs, curves),
        *(
            _grades(policy, run, place)
            for place, (policy, run) in enumerate(zip(policies, runs, strict=True))
        ),
    ]
    if comparison is not None:
        sections.append(versus_section(comparison, policies[0].currency))
    foot = element(
        "footer",
        *(
            element("p", policy.label, " · digest ", element("code", policy.digest))
            for policy in policies
        ),
    )
    body = element("body", masthead, element("main", *sections), foot)
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _totals(
    portfolio: Portfolio, policies: Sequence[LendingPolicy], runs: Sequence[Simulated]
) -> Html:
    observed = portfolio.defaulted is not None
    header = ["Policy", "approved", "referred", "declined", "expected bad rate"]
    header += ["observed bad rate"] if observed else []
    header += ["limits", "rate a year", "expected loss", "expected profit"]
    rows = []
    for policy, run in zip(policies, runs, strict=True):
        one, currency = summary(run), policy.currency
        declined = one.applications - one.approved - one.referred
        cells = [
            policy.label,
            f"{one.approved:,} ({share(one.approval_rate)})",
            f"{one.referred:,}",
            f"{declined:,}",
            share(one.expected_bad_rate),
            *([share(one.observed_bad_rate)] if observed else []),
            amount(one.limit_minor, currency),
            share(one.yearly_rate),
            amount(one.expected_loss_minor, currency),
            amount(one.profit_minor, currency),
        ]
        rows.append(row(cells, numeric=range(1, len(cells))))
    said = list(notes(portfolio))
    return element(
        "section",
        element("h2", "In all"),
        table(header, rows, numeric=range(1, len(header))),
        element(
            "p",
            f"Amounts in {policies[0].currency.code}. Bad rates, limits, loss and profit are those "
            "of approvals; referrals wait for a person. Profit is after expected loss and the "
            "capital charge, over the tenor.",
            class_="hint",
        ),
        bullets(said) if said else "",
    )


def _by_cut_off(
    currency: Currency, runs: Sequence[Simulated], curves: Sequence[list[CutOff]]
) -> Html:
    if not any(curves):
        return element("section", element("h2", "By cut-off"), element("p", "Nobody is approved."))
    scale = 10**currency.digits

    def approvals(figure: Figure) -> None:
        axes = figure.subplots()
        for i, curve in enumerate(curves):
            x, y = [one.probability for one in curve], [one.approval_rate for one in curve]
            axes.plot(x, y, color=COLOURS[i], linestyle=DASHES[i])
        axes.set_ylabel("approved, of all applications")
        cut_off_axes(axes, "xy")

    def bad_rates(figure: Figure) -> None:
        axes = figure.subplots()
        for i, curve in enumerate(curves):
            x, y = [one.probability for one in curve], [one.expected_bad_rate for one in curve]
            axes.plot(x, y, color=COLOURS[i], linestyle=DASHES[i])
            # Of a handful of approvals an observed rate says nothing.
            seen = [
                (one.probability, one.observed_bad_rate)
                for one in curve
                if one.observed_bad_rate is not None and one.approved >= FEWEST_OBSERVED
            ]
            if seen:
                axes.plot(*zip(*seen, strict=True), color=OBSERVED, linestyle=DASHES[i], lw=1.2)
        axes.set_ylabel("bad rate of the approved")
        cut_off_axes(axes, "xy")

    def profit(figure: Figure) -> None:
        axes = figure.subplots()
        for i, curve in enumerate(curves):
            if not curve:
                continue
            x, y = [one.probability for one in curve], [one.profit_minor / scale for one in curve]
            axes.plot(x, y, color=COLOURS[i], linestyle=DASHES[i])
            best = max(range(len(y)), key=y.__getitem__)
            axes.plot([x[best]], [y[best]], "o", color=COLOURS[i], markersize=5)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_ylabel(f"expected profit, {currency.code}")
        axes.yaxis.set_major_formatter(lambda value, position: short(value))
        cut_off_axes(axes, "x")

    observed = runs[0].defaulted is not None
    return element(
        "section",
        element("h2", "By cut-off"),
        _legend(runs, observed),
        element(
            "div",
            captioned(drawn("approvals", "Approval rate by cut-off", approvals), "Approvals."),
            captioned(
                drawn("bad-rates", "Bad rate by cut-off", bad_rates),
                f"How many of them fail; observed from {FEWEST_OBSERVED} approvals on."
                if observed
                else "How many of them fail.",
            ),
            captioned(
                drawn("profit", "Expected profit by cut-off", profit),
                "Profit; the dot is where it is highest.",
            ),
            class_="shapes",
        ),
        element(
            "p",
            "A cut-off takes away from the policy's approvals and adds none: where the line ends, "
            "the policy itself stops.",
            class_="hint",
        ),
    )


def _grades(policy: LendingPolicy, run: Simulated, place: int) -> Html:
    grades = by_grade(run)
    header = ["Grade", "applications", "approved", "approval rate", "expected bad rate"]
    header += ["limits", "rate a year", "expected loss", "capital", "profit", "profit on capital"]
    rows = [
        row(_grade_cells(name, one, policy.currency), numeric=range(1, len(header)))
        for name, one in grades.items()
    ]
    whole = summary(run)
    rows.append(
        row(
            _grade_cells("all", whole, policy.currency),
            numeric=range(1, len(header)),
            class_="total",
        )
    )
    declines = [
        row((rule, f"{count:,}"), numeric=(1,)) for rule, count in run.declined_by().items()
    ]
    scale = 10**policy.currency.digits

    names, places = list(grades), range(len(grades))

    def limits(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(places, [one.limit_minor / scale for one in grades.values()], color=COLOURS[place])
        axes.set_ylabel(f"approved limits, {policy.currency.code}")
        axes.yaxis.set_major_formatter(lambda value, position: short(value))
        grade_axes(axes, names)

    def rates(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(places, [one.yearly_rate or 0 for one in grades.values()], color=COLOURS[place])
        axes.set_ylabel("rate a year, by limit")
        percent(axes, "y")
        grade_axes(axes, names)

    return element(
        "section",
        element("h2", f"Grades of {policy.label}"),
        table(header, rows, numeric=range(1, len(header)), class_="compact"),
        element(
            "div",
            captioned(drawn(f"limits{place}", "Limits by grade", limits), "Limits."),
            captioned(drawn(f"yields{place}", "Rates by grade", rates), "Rates a year, by limit."),
            table(("Declined by rule", "applications"), declines, numeric=(1,), class_="compact"),
            class_="shapes",
        ),
    )


def _grade_cells(name: str, one: Summary, currency: Currency) -> list[str]:
    on_capital = one.profit_minor / one.capital_minor if one.capital_minor else None
    return [
        name,
        f"{one.applications:,}",
        f"{one.approved:,}",
        share(one.approval_rate if one.applications else None),
        share(one.expected_bad_rate),
        amount(one.limit_minor, currency),
        share(one.yearly_rate),
        amount(one.expected_loss_minor, currency),
        amount(one.capital_minor, currency),
        amount(one.profit_minor, currency),
        share(on_capital),
    ]


def _legend(runs: Sequence[Simulated], observed: bool) -> Html:
    entries = [
        (COLOURS[i], f"{ROLES[i]}: {run.policy}" if len(runs) > 1 else run.policy)
        for i, run in enumerate(runs)
    ]
    if observed:
        entries.append((OBSERVED, "observed bad rate"))
    return element(
        "div",
        *(
            element("span", element("i", style=f"background: {colour}"), name)
            for colour, name in entries
        ),
        class_="legend",
    )

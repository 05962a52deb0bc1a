"""The page's section on a challenger: swap set, moves, and what they bring."""

from __future__ import annotations

from federation.report.markup import Html, element, row, table
from server.desk.policy.comparison import NAMES, Comparison
from server.desk.policy.lending_policy import Currency
from server.desk.policy.rounding import money
from server.desk.policy.simulation_report import share


def versus_section(comparison: Comparison, currency: Currency) -> Html:
    """Of two policies over one portfolio."""
    groups = (
        ("approved by both", comparison.kept),
        ("swapped in (challenger only)", comparison.swapped_in),
        ("swapped out (champion only)", comparison.swapped_out),
    )
    swap_rows = [
        row(
            (name, f"{one.count:,}", share(one.expected_bad_rate), share(one.observed_bad_rate)),
            numeric=(1, 2, 3),
        )
        for name, one in groups
    ]
    move_rows = [
        row(
            (f"champion: {before}", *(f"{comparison.moves[before, after]:,}" for after in NAMES)),
            numeric=(1, 2, 3),
        )
        for before in NAMES
    ]
    return element(
        "section",
        element("h2", "Challenger against champion"),
        element(
            "p",
            "The challenger's expected profit differs by ",
            element(
                "strong",
                money(comparison.profit_change_minor, currency.code, currency.digits),
            ),
            f". Of those approved by both, limits rise for {comparison.limit_raised:,} and fall "
            f"for {comparison.limit_cut:,}; rates rise for {comparison.rate_raised:,} and fall for "
            f"{comparison.rate_cut:,}.",
        ),
        element(
            "div",
            table(
                ("", "applications", "expected bad rate", "observed bad rate"),
                swap_rows,
                numeric=(1, 2, 3),
                class_="compact",
            ),
            table(
                ("", *(f"challenger: {name}" for name in NAMES)),
                move_rows,
                numeric=(1, 2, 3),
                class_="compact",
            ),
            class_="pair",
        ),
    )

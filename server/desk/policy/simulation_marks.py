"""Figures, axes and amounts as the page of a simulation shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.report.markup import Html, element
from server.desk.policy.lending_policy import Currency
from server.desk.policy.rounding import money

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def captioned(svg: Html, caption: str) -> Html:
    """A drawing with its caption."""
    return element("figure", svg, element("figcaption", caption))


def cut_off_axes(axes: Axes, which: str) -> None:
    """Axes over the cut-off; `which` of x and y are shares."""
    axes.set_xlabel("cut-off (probability of default)")
    axes.set_xlim(left=0)
    axes.margins(y=0.08)
    percent(axes, which)


def grade_axes(axes: Axes, names: Sequence[str]) -> None:
    """Axes over grades, the safest first."""
    # Names are the policy's own and short; others would run into each other.
    brief = all(len(name) <= 3 for name in names)
    labels = names if brief else [str(place) for place in range(1, len(names) + 1)]
    axes.set_xticks(range(len(names)), list(labels))
    axes.set_xlabel("grade, the safest first")
    axes.grid(False, axis="x")


def amount(minor: int, currency: Currency) -> str:
    """Whole units: minor ones would only make a table of sums hard to read."""
    units = abs(minor) // 10**currency.digits
    return money(-units if minor < 0 else units, "", 0).strip()


def percent(axes: Axes, which: str) -> None:
    """Tick labels of shares; `which` of x and y."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.axis_name in which:
            axis.set_major_formatter(lambda value, position: f"{value * 100:g}%")


def short(value: float) -> str:
    """'250k' for 250,000: long tick labels would run into each other."""
    for suffix, scale in (("bn", 1e9), ("m", 1e6), ("k", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:g}{suffix}"
    return f"{value:g}"

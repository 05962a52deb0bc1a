"""A month's hours by day as one inline SVG: measured hours filled, estimates hatched, free pale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from federation.report.markup import Html, element, place
from iot.rent.breakdown import KeptDay

_WIDTH: Final = 720
_HEIGHT: Final = 210
_LEFT: Final = 34
_TOP: Final = 12
_BOTTOM: Final = 26
_PLOT: Final = _HEIGHT - _TOP - _BOTTOM
MEASURED, ESTIMATED, FREE = "#1b5e9b", "#c2691c", "#b9c9d8"
_GREY, _GRID = "#5a6672", "#e3e7eb"


def day_bars(days: Sequence[KeptDay]) -> Html:
    """Bars from the first to the last day given; the axis ends at a round number of hours."""
    most = max((day.measured + day.provisional for day in days), default=0) / 1_000
    step = next(step for step in (1, 2, 4, 6, 12) if most <= 4 * step or step == 12)
    top = max(step, math.ceil(most / step) * step)
    slot = (_WIDTH - _LEFT) / max(1, len(days))
    parts = [_hatch()]
    for hours in range(0, top + 1, step):
        y = _y(hours, top)
        parts.append(_line(_LEFT, y, _WIDTH, y))
        parts.append(_text(_LEFT - 6, y + 4, f"{hours} h", "end"))
    for place_, day in enumerate(days):
        left, width = _LEFT + place_ * slot + slot * 0.15, slot * 0.7
        measured = day.measured / 1_000
        colour = FREE if day.free else MEASURED
        bars = [
            _bar(left, width, 0, measured, top, colour),
            _bar(left, width, measured, measured + day.provisional / 1_000, top, "url(#estimate)"),
        ]
        parts.append(element("g", element("title", _said(day)), *bars))
        if day.day.day == 1 or day.day.day % 5 == 0 or place_ == 0:
            parts.append(_text(left + width / 2, _HEIGHT - 8, str(day.day.day), "middle"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label="Hours of work by day",
    )


def _said(day: KeptDay) -> str:
    hours = Decimal(day.measured).scaleb(-3)
    text = f"{day.day:%d %B}: {hours:.2f} h measured"
    if day.provisional:
        text += f", {Decimal(day.provisional).scaleb(-3):.2f} h estimated"
    return text + (", free of charge" if day.free else "")


def _y(hours: float, top: float) -> float:
    return _TOP + _PLOT * (1 - hours / top)


def _bar(left: float, width: float, low: float, high: float, top: float, fill: str) -> Html:
    if high <= low:
        return Html("")
    return element(
        "rect",
        x=f"{left:.1f}",
        y=f"{_y(high, top):.1f}",
        width=f"{width:.1f}",
        height=f"{_y(low, top) - _y(high, top):.1f}",
        fill=fill,
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> Html:
    return element(
        "line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", stroke=_GRID
    )


def _text(x: float, y: float, text: str, anchor: str) -> Html:
    attributes = {"text_anchor": anchor, "font_size": "12", "fill": _GREY}
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", **attributes)


def _hatch() -> Html:
    """Stripes, so that an estimate is told apart without colour."""
    stripes = place(
        element("rect", width="6", height="6", fill="#f6e3d3"),
        element("rect", width="2.5", height="6", fill=ESTIMATED),
    )
    pattern = element(
        "pattern",
        stripes,
        id="estimate",
        width="6",
        height="6",
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return element("defs", pattern)

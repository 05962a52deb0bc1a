"""Figures as small inline SVG, drawn by matplotlib without a display.

No name that a party chose is ever drawn: titles, legends and such names are HTML beside the
figure. matplotlib is imported when the first figure is drawn, since it takes a while.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from federation.report.figures import ModelCurves, ModelRole, RoundPoint, ShapeFunction
from federation.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for every common colour blindness; dashes tell models apart without any.
MODEL_COLOURS = {
    ModelRole.FEDERATED: "#1b5e9b",
    ModelRole.FEDERATED_PRIVATE: "#4fa3d9",
    ModelRole.FEDERATED_OTHER: "#7b5ea7",
    ModelRole.LABEL_PARTY_ALONE: "#c2691c",
    ModelRole.BANKS_ALONE: "#c2691c",
    ModelRole.POOLED: "#3c4650",
    ModelRole.BASELINE: "#8a949e",
}
MODEL_DASHES = {
    ModelRole.FEDERATED: (),
    ModelRole.FEDERATED_PRIVATE: (1.5, 1.5),
    ModelRole.FEDERATED_OTHER: (8, 1.5),
    ModelRole.LABEL_PARTY_ALONE: (6, 2),
    ModelRole.BANKS_ALONE: (6, 2),
    ModelRole.POOLED: (3, 2),
    ModelRole.BASELINE: (1, 2),
}
DEFAULTED = "#8c3b7d"
NOT_DEFAULTED = "#2f8f83"
INK, GREY, _GRID = "#1d2730", "#66727d", "#e3e7eb"
_SIZE = (4.6, 3.5)  # inches; the page scales figures to its columns

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "veilscore",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "figure.constrained_layout.use": True,
}


def roc(models: Sequence[ModelCurves]) -> Html:
    """ROC curves of all models over the diagonal of chance."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axes.text(0.62, 0.57, "chance", color=GREY, fontsize=8.5)
        for i, model in enumerate(models):
            # The first broad, later ones thin on top: curves that coincide both stay visible.
            axes.plot(
                model.roc.false_positive_rate,
                model.roc.true_positive_rate,
                linewidth=1.5 if i else 3.2,
                alpha=1.0 if i else 0.7,
                **_line(model.role),
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.005))
        axes.set_xlabel("others flagged (false positive rate)")
        axes.set_ylabel("defaulters found (true positive rate)")
        _percent(axes, "xy")

    return drawn("roc", "ROC curves", draw)


def ks(model: ModelCurves) -> Html:
    """Cumulative score distributions of both classes, and the largest gap between them."""

    def draw(figure: Figure) -> None:
        axes, curve = figure.subplots(), model.ks
        x = np.concatenate([[0.0], curve.threshold, [1.0]])
        ends = {}
        for name, share, colour in (
            ("defaulted", curve.defaulted, DEFAULTED),
            ("did not", curve.not_defaulted, NOT_DEFAULTED),
        ):
            axes.step(x, np.concatenate([[0.0], share, [1.0]]), where="post", color=colour)
            ends[name] = float(share[int(np.argmin(np.abs(curve.threshold - curve.at)))])
        low, high = sorted(ends.values())
        axes.plot([curve.at, curve.at], [low, high], color=INK, linewidth=1.6, marker="_")
        axes.set(xlim=(0, 1), ylim=(0, 1.005))
        axes.set_xlabel("predicted probability of default")
        axes.set_ylabel("share of class at or below")
        _percent(axes, "xy")

    return drawn("ks", "Cumulative score distributions of defaulters and others", draw)


def calibration(model: ModelCurves) -> Html:
    """Observed against predicted default rate with Wilson intervals."""

    def draw(figure: Figure) -> None:
        axes, bins = figure.subplots(), model.calibration
        top = min(1.0, 1.08 * float(max(bins.high.max(), bins.predicted.max())))
        axes.plot([0, top], [0, top], color=GREY, linewidth=0.8)
        axes.text(0.6 * top, 0.52 * top, "perfect", color=GREY, fontsize=8.5)
        axes.errorbar(
            bins.predicted,
            bins.observed,
            yerr=[bins.observed - bins.low, bins.high - bins.observed],
            fmt="o",
            markersize=4.5,
            capsize=2.5,
            linewidth=1.2,
            color=MODEL_COLOURS[model.role],
        )
        axes.set(xlim=(0, top), ylim=(0, top))
        axes.set_xlabel("mean predicted probability of default")
        axes.set_ylabel("observed default rate")
        _percent(axes, "xy")

    return drawn("calibration", "Observed against predicted default rate", draw)


def score_distribution(model: ModelCurves) -> Html:
    """Histograms of the score of both classes."""

    def draw(figure: Figure) -> None:
        axes, shares = figure.subplots(), model.distribution
        for values, colour in (
            (shares.not_defaulted, NOT_DEFAULTED),
            (shares.defaulted, DEFAULTED),
        ):
            axes.stairs(values, shares.edges, fill=True, color=colour, alpha=0.22)
            axes.stairs(values, shares.edges, color=colour, linewidth=1.4)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.set_xlabel("predicted probability of default")
        width = 100 / (len(shares.edges) - 1)
        axes.set_ylabel(f"share of class per {width:g}-point bin")
        _percent(axes, "xy")

    return drawn("distribution", "Score histograms of defaulters and others", draw)


def lift(models: Sequence[ModelCurves]) -> Html:
    """Lift by decile: bars for the first model, lines for the others."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        first = models[0].lift.lift
        deciles = np.arange(1, len(first) + 1)
        axes.bar(deciles, first, 0.72, color=MODEL_COLOURS[models[0].role])
        for model in models[1:]:
            axes.plot(
                np.arange(1, len(model.lift.lift) + 1),
                model.lift.lift,
                marker="o",
                markersize=3.5,
                markeredgecolor="white",
                markeredgewidth=0.6,
                **_line(model.role),
            )
        axes.axhline(1, color=INK, linewidth=0.8)
        axes.grid(False, axis="x")
        axes.set_xticks(deciles)
        axes.set_xlabel("decile of the score (1 = riskiest tenth)")
        axes.set_ylabel("lift (default rate ÷ average)")

    return drawn("lift", "Lift by decile of the score", draw)


def convergence(
    rounds: Sequence[RoundPoint],
    step: str = "round",
    number: int = 0,
    role: ModelRole = ModelRole.FEDERATED,
) -> Html:
    """Validation AUC and losses by round, where they are known (one of them must be).

    Args:
        rounds: of one training.
        step: what a round is called.
        number: of the figure on its page; 0 is the first.
        role: of the training's model.
    """
    colour = MODEL_COLOURS[role]
    training = [(p.round, p.train_loss) for p in rounds if p.train_loss is not None]
    judged = [(p.round, p.validation_loss) for p in rounds if p.validation_loss is not None]
    areas = [(p.round, p.validation_auc) for p in rounds if p.validation_auc is not None]
    losses = "log-loss (nats a borrower)" if judged else "training loss (nats a borrower)"
    panels = [
        ("validation AUC", [("", areas, "-")]),
        (losses, [("training", training, "-"), ("validation", judged, "--")]),
    ]
    panels = [(name, lines) for name, lines in panels if any(points for _, points, _ in lines)]
    size = 4 if len(rounds) <= 40 else 0

    def draw(figure: Figure) -> None:
        drawn_panels = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, lines) in zip(drawn_panels, panels, strict=True):
            for fold, points, dashes in lines:
                if points:
                    x, y = zip(*points, strict=True)
                    axes.plot(x, y, dashes, color=colour, marker="o", markersize=size, label=fold)
            if name == losses and judged:
                axes.legend(frameon=False)
            axes.set_xlabel(step)
            axes.set_ylabel(name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.margins(x=0.05, y=0.12)
            axes.ticklabel_format(axis="y", useOffset=False)

    return drawn(
        f"convergence{number}" if number else "convergence",
        f"Validation AUC and training loss by {step}",
        draw,
        (9.2, 2.7),
    )


def shape_function(number: int, shape: ShapeFunction) -> Html:
    """One feature's log-odds over its ordered bins; the outer bins are drawn one bin wide."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        edges = np.asarray(shape.edges, dtype=np.float64)
        width = float(np.median(np.diff(edges))) if len(edges) > 1 else 1.0
        outer = (
            np.concatenate([[edges[0] - width], edges, [edges[-1] + width]])
            if len(edges)
            else np.array([0.0, 1.0])
        )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.stairs(
            np.asarray(shape.contributions),
            outer,
            baseline=None,
            color=MODEL_COLOURS[ModelRole.FEDERATED],
            linewidth=1.7,
        )
        axes.set_ylabel("log-odds of default")
        axes.locator_params(axis="x", nbins=4)  # amounts are long: more would run together
        axes.margins(y=0.12)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(_short_number)

    return drawn(f"shape{number}", "Log-odds by value of the feature", draw, (3.6, 2.3))


def _line(role: ModelRole) -> dict[str, Any]:
    return {
        "color": MODEL_COLOURS[role],
        "linestyle": (0, MODEL_DASHES[role]) if MODEL_DASHES[role] else "-",
    }


def _percent(axes: Axes, which: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        if axis.axis_name in which:
            axis.set_major_formatter(lambda value, position: f"{value * 100:g}%")


def _short_number(value: float, position: float) -> str:
    """'250k' for 250,000: long tick labels would run into each other."""
    for suffix, scale in (("bn", 1e9), ("m", 1e6), ("k", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:g}{suffix}"
    return f"{value:g}"


def drawn(
    name: str, label: str, draw: Callable[[Figure], None], size: tuple[float, float] = _SIZE
) -> Html:
    """Draw on a fresh figure and return its SVG element, with ids that no other figure has."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure)
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    return _inline(text.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> Html:
    """An SVG file's element, fit to stand in a page: own ids, the page's font, no style for all."""
    body = re.sub(r"<style[^>]*>.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    body = body[body.index(">") + 1 :]
    used = set(re.findall(r'#([\w-]+)[")]', body))
    body = re.sub(
        r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body
    )
    body = re.sub(r'(url\(|href=")#', rf"\1#{name}-", body).replace("xlink:href", "href")
    body = re.sub(r"font-family: [^;\"]+; ?", "", body)
    body = re.sub(r"font: (?:(bold|\d{3}) )?([\d.]+px) [^;\"]+", _own_font, body)
    body = re.sub(r" transform=\"rotate\(-0[^\"]*\"", "", body)
    # Two decimals of a coordinate are enough; text between the tags keeps its digits.
    body = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\d\.\d\d)\d+", r"\1", m[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    return Html(f'<svg {box[0]} role="img" aria-label="{label}">{body}')


def _own_font(match: re.Match[str]) -> str:
    weight = f"font-weight: {match[1]}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}"

"""What privacy costs: test AUC against ε, as a picture that says whose privacy it is."""

from __future__ import annotations

import io
import math
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from federation.report.figures import ModelRole, PrivacySpend
from federation.report.plots import GREY, MODEL_COLOURS, MODEL_DASHES, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGE_FORMATS = ("png", "svg")
_SIZE = (7.2, 4.6)  # inches
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class PrivacyPoint:
    """The test AUC of trainings with one ε that differ by their seed.

    Attributes:
        epsilon: of each training; None: trained without differential privacy.
        aucs: one a seed, at least one.
    """

    epsilon: float | None
    aucs: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a point without a training."""
        if not self.aucs:
            raise ValueError("a point of the curve needs at least one training")

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.aucs)

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds (n - 1); 0 for one seed."""
        return statistics.stdev(self.aucs) if len(self.aucs) > 1 else 0.0


@dataclass(frozen=True)
class PrivacyReference:
    """A model without differential privacy to compare with, drawn as a level line."""

    name: str
    role: ModelRole
    auc: float


@dataclass(frozen=True)
class PrivacyCurve:
    """AUC against ε.

    Attributes:
        points: one an ε, smaller ones first; the one without privacy, if any, last.
        delta: of every private training.
        unit: whose data is protected, e.g. "one borrower's record".
        history: which releases each ε covers, e.g. "all rounds of one training".
        references: models to compare with.
        data: a sentence on where the data comes from.
        title: a few words over the picture.

    Raises:
        InputError: an ε or δ is no guarantee, or unit or history is empty.
    """

    points: tuple[PrivacyPoint, ...]
    delta: float
    unit: str
    history: str
    references: tuple[PrivacyReference, ...] = ()
    data: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        """Refuse an ε without its meaning, and points out of order."""
        if not self.points:
            raise ValueError("a curve needs at least one point")
        for point in self.points:
            if point.epsilon is not None:
                PrivacySpend(point.epsilon, self.delta, self.unit, self.history)
        order = [math.inf if point.epsilon is None else point.epsilon for point in self.points]
        if order != sorted(set(order)) or order[0] <= 0:
            raise ValueError("points must have different, positive and growing ε, none the last")

    @property
    def caption(self) -> str:
        """What the picture shows, with unit of privacy, δ and history."""
        seeds = sorted({len(point.aucs) for point in self.points})
        if seeds == [1]:
            runs = "One training a point."
        else:
            shown = "–".join(str(count) for count in {seeds[0]: 0, seeds[-1]: 0})
            runs = f"Dots: mean of {shown} seeds; bars: ± one standard deviation."
        spend = f"Unit of privacy: {self.unit}; δ = {self.delta:g}; ε covers {self.history}."
        return " ".join(part for part in (spend.replace("e-0", "e-"), runs, self.data) if part)


def privacy_image(curve: PrivacyCurve, image_format: str = "png") -> bytes:
    """The curve as a PNG or SVG file's content, with its caption in the picture.

    Args:
        curve: what to draw.
        image_format: "png" or "svg".
    """
    if image_format not in IMAGE_FORMATS:
        raise ValueError(f"'{image_format}' is not one of {', '.join(IMAGE_FORMATS)}")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Text as outlines in SVG: the file stands alone, so no page gives it a font.
    with rc_context(STYLE | {"svg.fonttype": "path"}):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
        figure = Figure(figsize=_SIZE, dpi=_DOTS_PER_INCH, layout=layout)
        axes = figure.subplots()
        axes.set_title(curve.title, loc="left", fontsize=10.5, pad=10)
        _draw(axes, curve)
        lines = textwrap.fill(curve.caption, width=106)
        figure.supxlabel(lines, x=0.02, ha="left", fontsize=8, color=GREY, linespacing=1.35)
        content = io.BytesIO()
        nothing = (
            dict.fromkeys(("Creator", "Date", "Format", "Type")) if image_format == "svg" else {}
        )
        figure.savefig(content, format=image_format, facecolor="white", metadata=nothing)
    return content.getvalue()


def _draw(axes: Axes, curve: PrivacyCurve) -> None:
    private = [point for point in curve.points if point.epsilon is not None]
    places = [float(point.epsilon or 0) for point in private]
    low, high = (places[0], places[-1]) if places else (1.0, 1.0)
    labels = [f"{place:g}" for place in places]
    axes.set_xscale("log")
    _error_bars(axes, places, private, ModelRole.FEDERATED_PRIVATE, "-")
    if len(private) < len(curve.points):
        # 'None' has no place on the axis of ε: it stands apart, behind the largest.
        beyond = high * 2.2
        places.append(beyond)
        labels.append("none")
        _error_bars(axes, [beyond], [curve.points[-1]], ModelRole.FEDERATED, "")
        axes.axvline(high * math.sqrt(2.2), color=GREY, linewidth=0.7, linestyle=(0, (2, 3)))
    right = places[-1] * 1.25
    axes.set_xlim(low / 1.25, right)
    axes.set_xticks(places, labels)
    axes.minorticks_off()
    axes.margins(y=0.14)
    axes.set_xlabel("ε (privacy budget of a training; smaller is more private)")
    axes.set_ylabel("test AUC")
    for reference in curve.references:
        dashes = MODEL_DASHES[reference.role]
        axes.axhline(
            reference.auc,
            color=MODEL_COLOURS[reference.role],
            linestyle=(0, dashes) if dashes else "-",
            linewidth=1.3,
            zorder=1,
        )
    _name_references(axes, curve.references)


def _error_bars(
    axes: Axes, places: Sequence[float], points: Sequence[PrivacyPoint], role: ModelRole, line: str
) -> None:
    axes.errorbar(
        places,
        [point.mean for point in points],
        yerr=[point.deviation for point in points],
        fmt=f"o{line}",
        markersize=5.5,
        capsize=3,
        elinewidth=1.2,
        color=MODEL_COLOURS[role],
        zorder=3,
    )


def _name_references(axes: Axes, references: Sequence[PrivacyReference]) -> None:
    """Write each line's name beside it, on the right, apart where lines are close."""
    bottom, top = axes.get_ylim()
    least = (top - bottom) * 0.06
    at = -math.inf
    for reference in sorted(references, key=lambda reference: reference.auc):
        at = max(reference.auc, at + least)
        axes.annotate(
            f"{reference.name} {reference.auc:.3f}",
            xy=(1, at),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=MODEL_COLOURS[reference.role],
        )

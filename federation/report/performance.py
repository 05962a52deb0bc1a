"""How the model ranks, calibrates, lifts and weighs its features."""

from __future__ import annotations

from collections.abc import Sequence

from federation.metrics import Stability
from federation.report import plots
from federation.report.figures import (
    ModelCurves,
    ModelRow,
    PartyImportance,
    ShapeFunction,
)
from federation.report.headline import ALONE_ROLES, estimate, swatch
from federation.report.markup import Html, element, place, row, table

_STABLE, _SHIFTED = 0.10, 0.25  # the customary readings of the index (Siddiqi 2006)


def ranking_section(curves: Sequence[ModelCurves], models: Sequence[ModelRow]) -> Html:
    """ROC and KS curves, and the metrics that the headline table leaves out."""
    if not curves:
        return empty("Ranking: ROC and KS", "ranking", "No curves came with this run.")
    first = curves[0]
    return element(
        "section",
        element("h2", "Ranking: ROC and KS"),
        element(
            "div",
            figure(
                "ROC curve",
                plots.roc(curves),
                "Nearer the upper left is better; the area under a curve is its AUC.",
                model_legend(curves),
            ),
            figure(
                place("KS curve: ", first.name),
                plots.ks(first),
                "KS is the widest gap between the two curves.",
                _class_legend(f"KS {first.ks.distance:.3f} at a score of {first.ks.at:.1%}"),
            ),
            class_="pair",
        ),
        _other_metrics(models),
        id="ranking",
    )


def _other_metrics(models: Sequence[ModelRow]) -> Html:
    rows = [
        row(
            (model.name, estimate(model.metrics.gini), estimate(model.metrics.brier)),
            numeric=(1, 2),
        )
        for model in models
    ]
    header = ("Model", "Gini (2 · AUC − 1)", "Brier score")
    return table(header, rows, numeric=(1, 2), class_="compact narrow")


def calibration_section(curves: Sequence[ModelCurves], measured: Stability | None) -> Html:
    """Calibration, score distribution and stability of the first model."""
    if not curves:
        return empty("Calibration", "calibration", "No curves came with this run.")
    first = curves[0]
    return element(
        "section",
        element("h2", "Calibration and score distribution"),
        element(
            "div",
            figure(
                place("Calibration: ", first.name),
                plots.calibration(first),
                "One dot a tenth of the test borrowers, by score; bars are 95% Wilson intervals. "
                "A dot above the line: more defaulted than the model predicted.",
                model_legend([first]),
            ),
            figure(
                place("Score distribution: ", first.name),
                plots.score_distribution(first),
                "The less the two overlap, the better the model separates.",
                _class_legend(),
            ),
            class_="pair",
        ),
        *([_stability(measured)] if measured is not None else []),
        id="calibration",
    )


def _stability(stability: Stability) -> Html:
    if stability.index < _STABLE:
        reading = f"below {_STABLE:.2f}: stable"
    elif stability.index <= _SHIFTED:
        reading = f"between {_STABLE:.2f} and {_SHIFTED:.2f}: some shift, look closer"
    else:
        reading = f"above {_SHIFTED:.2f}: shifted, the model needs review"
    return element(
        "p",
        "Population stability index of the score, training to test: ",
        element("strong", f"{stability.index:.4f}", class_="figure"),
        f" ({reading}).",
    )


def lift_section(curves: Sequence[ModelCurves]) -> Html:
    """Lift by decile, drawn and in numbers."""
    if not curves:
        return empty("Lift by decile", "lift", "No curves came with this run.")
    first = curves[0].lift
    # Pooled models would only hide the bars; the question here is what the partners add.
    drawn = [
        curves[0],
        *(curve for curve in curves[1:] if curve.role in ALONE_ROLES),
    ]
    numeric = (0, 1, 2, 3, 4, 5)
    rows = [
        row(
            (
                str(i + 1),
                f"{first.borrowers[i]:,}",
                f"{first.defaults[i]:,.0f}",
                f"{first.rate[i]:.1%}",
                f"{first.lift[i]:.2f}",
                f"{first.captured[i]:.1%}",
            ),
            numeric,
        )
        for i in range(len(first.lift))
    ]
    header = ("Decile", "borrowers", "defaults", "default rate", "lift", "defaults caught so far")
    return element(
        "section",
        element("h2", "Lift by decile"),
        element(
            "div",
            figure(
                "Lift",
                plots.lift(drawn),
                "Each tenth's default rate as a multiple of the average. Bars: the first model "
                "of the legend; at 1 there is no lift.",
                model_legend(drawn),
            ),
            element(
                "div",
                element("p", place("Deciles: ", curves[0].name), class_="title"),
                table(header, rows, numeric, class_="compact"),
            ),
            class_="pair",
        ),
        id="lift",
    )


def importance_section(
    parties: Sequence[PartyImportance], measure: str, shapes: Sequence[ShapeFunction]
) -> Html:
    """Features by party with bars on one scale, and the reader's own shape functions."""
    if not parties:
        sentence = "The main model is a network, which has no importance a feature."
        return empty("Importance by party", "importance", sentence)
    largest = max((f.importance for party in parties for f in party.features), default=0.0) or 1.0
    cards = []
    for party in parties:
        rows = [
            row((f.feature, _bar(f.importance / largest), f"{f.importance:.3f}"), numeric=(2,))
            for f in sorted(party.features, key=lambda f: -f.importance)
        ]
        cards.append(
            element(
                "article",
                element("h3", party.party, element("span", f"{len(rows)} features", class_="part")),
                table(("Feature", "", "importance"), rows, numeric=(2,), class_="compact bars"),
            )
        )
    drawn = [_shape(number, shape) for number, shape in enumerate(shapes)]
    return element(
        "section",
        element("h2", "Importance by party"),
        element("p", f"Importance: {measure}. All bars share one scale."),
        element("div", *cards, class_="cards"),
        *(
            [
                element("h3", "Shape functions of the reader's own features"),
                element("div", *drawn, class_="shapes"),
            ]
            if drawn
            else []
        ),
        id="importance",
    )


def _shape(number: int, shape: ShapeFunction) -> Html:
    unit = "" if shape.unit in ("", "1") else f" ({shape.unit})"
    parts = [element("figcaption", shape.feature, unit, class_="title")]
    if shape.contributions:
        parts += [
            plots.shape_function(number, shape),
            element("p", shape.feature, unit, class_="axis"),
        ]
    if shape.others:
        rows = [row((name, f"{value:+.3f}"), numeric=(1,)) for name, value in shape.others]
        parts.append(table(("bin", "log-odds"), rows, numeric=(1,), class_="compact"))
    return element("figure", *parts)


def _bar(share: float) -> Html:
    width = f"width:{min(max(share, 0.0), 1.0) * 100:.1f}%"
    return element("span", element("span", style=width), class_="bar")


def model_legend(models: Sequence[ModelCurves]) -> Html:
    return element(
        "p",
        *(element("span", swatch(model.role), model.name) for model in models),
        class_="legend",
    )


def _class_legend(*further: str) -> Html:
    return element(
        "p",
        *(
            element("span", element("i", style=f"background:{colour}"), name)
            for name, colour in (
                ("defaulted", plots.DEFAULTED),
                ("did not default", plots.NOT_DEFAULTED),
            )
        ),
        *(element("span", text, class_="figure") for text in further),
        class_="legend",
    )


def figure(title: str, svg: Html, note: str, legend: Html | None = None) -> Html:
    return element(
        "figure",
        element("p", title, class_="title"),
        legend if legend is not None else Html(""),
        svg,
        element("figcaption", note),
    )


def empty(title: str, anchor: str, sentence: str) -> Html:
    return element("section", element("h2", title), element("p", sentence), id=anchor)

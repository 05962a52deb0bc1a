"""The shape functions of one model part, for its owner: drawn, on a page of their own."""

from __future__ import annotations

from federation.additive.model_part import ModelPart
from federation.report.figures import FeatureImportance, PartyImportance, ShapeFunction
from federation.report.markup import Html, element
from federation.report.performance import importance_section
from federation.report.stylesheet import STYLESHEET

IMPORTANCE_MEASURE = (
    "mean absolute deviation of the feature's contribution to the log-odds over the borrowers of "
    "the fit, computed by its owner"
)


def shapes_of(part: ModelPart, most: int | None = None) -> list[ShapeFunction]:
    """The part's shape functions, the most important first; a pair's cells have no order."""
    by_feature = {
        binning.feature: (binning, weights)
        for binning, weights in zip(part.binnings, part.weights, strict=True)
    }
    shapes = []
    for shape in part.shape_functions()[:most]:
        if shape.feature not in by_feature:
            cells = tuple(zip(shape.bin_labels, shape.log_odds, strict=True))
            shapes.append(ShapeFunction(shape.label or shape.feature, unit="", others=cells))
            continue
        binning, weights = by_feature[shape.feature]
        ordered = binning.ordered_bins
        shapes.append(
            ShapeFunction(
                feature=shape.label or shape.feature,
                unit="",
                edges=binning.edges,
                contributions=tuple(weights[:ordered]),
                others=tuple(zip(binning.bin_labels()[ordered:], weights[ordered:], strict=True)),
            )
        )
    return shapes


def render_shapes(part: ModelPart) -> str:
    """One HTML document with every shape function of a part; opens without a network.

    It shows feature names and bin borders: it is for the part's owner, nobody else.
    """
    importance = PartyImportance(
        part.party,
        tuple(
            FeatureImportance(shape.label or shape.feature, shape.importance)
            for shape in part.shape_functions()
        ),
    )
    section = importance_section((importance,), IMPORTANCE_MEASURE, shapes_of(part))
    return part_page(part.party, part.training, part.session, section)


def part_page(party: str, training: str, session: str, section: Html) -> str:
    """One HTML document about a party's own model part."""
    title = f"Model part of {party}, training {training}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLESHEET)),
    )
    note = element(
        "p",
        f"Session {session}. For {party} only: the page shows its features and bins.",
    )
    main = element("main", element("h1", title), note, section)
    return "<!doctype html>\n" + element("html", head, element("body", main), lang="en") + "\n"

"""What each training gave away, in one table: made to be read in ten seconds."""

from __future__ import annotations

from collections.abc import Sequence

from federation.report.giveaway import TrainingGiveaway
from federation.report.headline import swatch
from federation.report.markup import Html, element, place, row, table

_READING = (
    "How much of a feature's bins was rebuilt is the share of their entropy that an attack on this "
    "very training's record worked out at the label party: 0% is no more than how full each bin "
    "is, 100% is every borrower's bin. It is a lower bound: a better attack may exist."
)


def giveaway_section(giveaways: Sequence[TrainingGiveaway], label_party: str) -> Html:
    """One row a training.

    Args:
        giveaways: the trainings.
        label_party: its name.
    """
    header = (
        "Model",
        "AUC",
        f"{label_party} learned of the partners' features",
        "The partners learned of the labels",
        "Given, in numbers",
        "Partners' bins rebuilt",
    )
    body = (
        (
            table(header, [_training(one) for one in giveaways], (1,), class_="giveaways"),
            element("p", _READING, class_="hint"),
        )
        if giveaways
        else (element("p", "What the trainings gave away was not recorded."),)
    )
    return element("section", element("h2", "What each model gave away"), *body, id="gave")


def _training(one: TrainingGiveaway) -> Html:
    name = place(
        element("span", swatch(one.role), element("span", one.name), class_="name"),
        element("span", one.sentence, class_="gist"),
    )
    numbers = element("span", *(element("span", line, class_="line") for line in one.numbers))
    return row(
        (name, f"{one.auc.value:.3f}", one.of_features, one.of_labels, numbers, _shares(one)),
        numeric=(1,),
    )


def _shares(one: TrainingGiveaway) -> Html:
    if not one.rebuilt:
        return element("span", one.not_rebuilt, class_="hint")
    several = len(one.rebuilt) > 1
    parts = []
    for partner in one.rebuilt:
        width = f"width:{partner.share * 100:.1f}%"
        parts += [
            element("span", f"{partner.share:.0%}", class_="share"),
            *([element("span", partner.party)] if several else []),
            element("span", element("span", style=width), class_="bar"),
            element("span", partner.how, class_="line hint"),
        ]
    return place(*parts)

"""How several banks' training went, how updates were added up, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.report.banks_figures import AggregationTerms, BankWork, Course, LossRound
from federation.report.figures import ModelRole, StageSeconds
from federation.report.headline import size
from federation.report.markup import Html, element, row, table
from federation.report.page import stages_table
from federation.report.performance import figure
from federation.report.plots import MODEL_COLOURS, MODEL_DASHES, drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRAINING, _VALIDATION = ModelRole.BANKS_ALONE, ModelRole.FEDERATED


def course_section(course: Course) -> Html:
    """Losses by round where there are any, how it ended, and the settings."""
    clipped = [f"{bank} {rounds}" for bank, rounds in course.clipped if rounds]
    norms = (
        f"Rounds in which an update was clipped to the norm bound: {', '.join(clipped)}."
        if clipped
        else "No update reached the norm bound."
    )
    picture = [_losses(course.losses)] if course.losses else []
    settings = [row(item) for item in course.settings]
    parts = (
        *picture,
        table(("Setting", "value"), settings, class_="compact narrow terms")
        if settings
        else Html(""),
    )
    return element(
        "section",
        element("h2", "Training"),
        element("p", course.sentence, " ", norms),
        element("div", *parts, class_="pair"),
        id="course",
    )


def _losses(losses: Sequence[LossRound]) -> Html:
    legend = element(
        "p",
        *(
            element("span", element("i", style=f"background:{MODEL_COLOURS[role]}"), name)
            for name, role in (("training", _TRAINING), ("validation", _VALIDATION))
        ),
        class_="legend",
    )
    note = (
        "Mean over the banks, weighted by their rows, as it was opened in each round's sum. "
        "Training: of each bank's local steps in the round; validation: of the model after the "
        "round, on rows that no step trains on. The dot marks the lowest."
    )
    return figure("Log-loss by round", _loss_plot(losses), note, legend)


def _loss_plot(losses: Sequence[LossRound]) -> Html:
    validation = [(one.round, one.validation) for one in losses if one.validation is not None]

    def draw(picture: Figure) -> None:
        axes = picture.subplots()
        axes.plot(
            [one.round for one in losses],
            [one.training for one in losses],
            color=MODEL_COLOURS[_TRAINING],
            linestyle=(0, MODEL_DASHES[_TRAINING]),
        )
        if validation:
            rounds, values = zip(*validation, strict=True)
            axes.plot(rounds, values, color=MODEL_COLOURS[_VALIDATION])
            best = min(validation, key=lambda point: point[1])
            axes.plot(*best, color=MODEL_COLOURS[_VALIDATION], marker="o", markersize=6)
        axes.set_xlabel("round")
        axes.set_ylabel("log-loss (nats a borrower)")
        axes.locator_params(axis="x", integer=True)
        axes.margins(x=0.03, y=0.1)
        axes.ticklabel_format(axis="y", useOffset=False)

    return drawn("losses", "Training and validation loss by round", draw)


def aggregation_section(aggregation: AggregationTerms) -> Html:
    """Parameters of the encrypted sums, and what an update weighs."""
    rows = [row(item) for item in aggregation.terms]
    if aggregation.parameters and aggregation.update_bytes:
        each = aggregation.update_bytes / aggregation.parameters
        rows += [
            row(("Model", f"{aggregation.parameters:,} parameters")),
            row(
                (
                    "One bank's update of one round",
                    f"{aggregation.update_bytes:,} bytes ({size(aggregation.update_bytes)}), "
                    f"{each:.1f} bytes a parameter",
                )
            ),
        ]
    return element(
        "section",
        element("h2", "Aggregation"),
        element(
            "p",
            "Every bank rounds its update to integers, hides it under masks that cancel in the "
            "sum, and encrypts it; the coordinator adds ciphertexts, for which it holds no key.",
        ),
        table(("Parameter", "value"), rows, class_="compact narrow terms"),
        id="aggregation",
    )


def work_section(stages: Sequence[StageSeconds], work: Sequence[BankWork]) -> Html:
    """Seconds by stage, and what the run cost each bank."""
    numeric = (1, 2, 3, 4, 5)
    rows = [
        row(
            (
                one.bank,
                f"{one.seconds:.1f}",
                f"{one.memory_mb:,.0f}",
                f"{one.bytes_sent:,}",
                f"{one.bytes_received:,}",
                str(one.process_id),
            ),
            numeric,
        )
        for one in work
    ]
    header = ("Bank", "seconds of work", "peak MB", "bytes sent", "bytes received", "process id")
    return element(
        "section",
        element("h2", "Timings and processes"),
        element(
            "p",
            "Flower carried the messages. Each order may come to another process of a bank's node: "
            "the last one is named. Banks that ran on this machine shared its processes.",
        ),
        element(
            "div",
            stages_table(stages),
            table(header, rows, numeric, class_="compact"),
            class_="pair",
        ),
        id="timings",
    )

"""What every report is: one HTML document with a masthead, a navigation, its sections, a foot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from federation.report.figures import PartyProcess, StageSeconds
from federation.report.markup import Html, element, place, row, table
from federation.report.stylesheet import STYLESHEET


class Heading(Protocol):
    """What the head of a report says."""

    @property
    def title(self) -> str:
        """Of the report."""

    @property
    def run_id(self) -> str:
        """Of the run."""

    @property
    def created(self) -> datetime:
        """When the run ended, in UTC."""

    @property
    def data_note(self) -> str:
        """Where the data comes from."""

    @property
    def simulated(self) -> bool:
        """Whether the data is simulated."""


def document(
    report: Heading,
    sections: Iterable[tuple[str, str]],
    bodies: Iterable[Html],
    owner: str,
    style: str = "",
) -> str:
    """A whole page: no script, font, picture or link from elsewhere.

    Args:
        report: what its head says.
        sections: anchors in the order of the page, with their names in the navigation.
        bodies: the sections.
        owner: whose figures these are, in words, for the foot.
        style: rules beside the stylesheet that all reports have.
    """
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
        element("title", f"{report.title} – {report.run_id}"),
        element("style", Html(STYLESHEET + style)),
    )
    navigation = element(
        "nav",
        *(element("a", name, href=f"#{anchor}") for anchor, name in sections),
        aria_label="Sections",
    )
    main = element("main", *bodies)
    body = element("body", _masthead(report), navigation, main, _foot(report.run_id, owner))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _masthead(report: Heading) -> Html:
    badge = [element("strong", "SIMULATED", class_="badge")] if report.simulated else []
    return element(
        "header",
        element("h1", report.title),
        element(
            "p",
            "Run ",
            element("code", report.run_id),
            f" · {report.created:%Y-%m-%d %H:%M:%S} UTC",
        ),
        element("p", *badge, report.data_note, class_="simulated" if report.simulated else "data"),
    )


def _foot(run: str, owner: str) -> Html:
    return element(
        "footer",
        element("p", place("veilscore · run ", element("code", run)), f" · {owner}"),
    )


def stages_table(stages: Sequence[StageSeconds]) -> Html:
    """Seconds by stage, and of all of them."""
    total = sum(stage.seconds for stage in stages)
    rows = [row((stage.stage, f"{stage.seconds:.2f}"), numeric=(1,)) for stage in stages]
    rows.append(row(("all stages", f"{total:.2f}"), numeric=(1,), class_="total"))
    return table(("Stage", "seconds"), rows, numeric=(1,), class_="compact")


def timings_section(
    stages: Sequence[StageSeconds], processes: Sequence[PartyProcess], transport: str
) -> Html:
    """Seconds by stage, the parties' processes, and how messages travelled."""
    rows = [row((process.party, str(process.process_id)), numeric=(1,)) for process in processes]
    return element(
        "section",
        element("h2", "Timings and processes"),
        element("p", f"Transport: {transport}."),
        element(
            "div",
            stages_table(stages),
            table(("Party", "process id"), rows, numeric=(1,), class_="compact"),
            class_="pair",
        ),
        id="timings",
    )

"""`render`: a `ReportInput` becomes one HTML file that opens without a network."""

from __future__ import annotations

from federation.report.disclosure import learned_section, ledger_section, sent_section
from federation.report.figures import ReportInput
from federation.report.glossary import glossary_section
from federation.report.headline import summary_section
from federation.report.markup import Html, element, place, row, table
from federation.report.performance import (
    calibration_section,
    convergence_section,
    importance_section,
    lift_section,
    ranking_section,
)
from federation.report.stylesheet import STYLESHEET

# Anchors in the order of the page, with their names in the navigation.
SECTIONS = (
    ("result", "Result"),
    ("sent", "What left"),
    ("learned", "What was learned"),
    ("ranking", "ROC and KS"),
    ("calibration", "Calibration"),
    ("lift", "Lift"),
    ("importance", "Importance"),
    ("convergence", "Convergence"),
    ("ledger", "Privacy ledger"),
    ("timings", "Timings"),
    ("glossary", "Glossary"),
)


def render(report: ReportInput) -> str:
    """The whole report as one HTML document: no script, font, picture or link from elsewhere.

    Every text of the input is escaped; figures are inline SVG. Deterministic in its input.
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
        element("style", Html(STYLESHEET)),
    )
    navigation = element(
        "nav",
        *(element("a", name, href=f"#{anchor}") for anchor, name in SECTIONS),
        aria_label="Sections",
    )
    main = element(
        "main",
        summary_section(report),
        sent_section(report),
        learned_section(report),
        ranking_section(report),
        calibration_section(report),
        lift_section(report.curves),
        importance_section(report.importance, report.importance_measure, report.shapes),
        convergence_section(report.rounds),
        ledger_section(report.ledger),
        _timings(report),
        glossary_section(),
    )
    body = element("body", _masthead(report), navigation, main, _foot(report))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _masthead(report: ReportInput) -> Html:
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


def _timings(report: ReportInput) -> Html:
    total = sum(stage.seconds for stage in report.stages)
    rows = [row((stage.stage, f"{stage.seconds:.2f}"), numeric=(1,)) for stage in report.stages]
    rows.append(row(("all stages", f"{total:.2f}"), numeric=(1,), class_="total"))
    processes = [
        row((process.party, str(process.process_id)), numeric=(1,)) for process in report.processes
    ]
    return element(
        "section",
        element("h2", "Timings and processes"),
        element("p", f"Transport: {report.transport}."),
        element(
            "div",
            table(("Stage", "seconds"), rows, numeric=(1,), class_="compact"),
            table(("Party", "process id"), processes, numeric=(1,), class_="compact"),
            class_="pair",
        ),
        id="timings",
    )


def _foot(report: ReportInput) -> Html:
    return element(
        "footer",
        element(
            "p",
            place("veilscore · run ", element("code", report.run_id)),
            " · aggregate figures of the label party's borrowers; its own document, "
            "not one to publish unread.",
        ),
    )

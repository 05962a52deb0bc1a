"""`render`: a `ReportInput` becomes one HTML file that opens without a network."""

from __future__ import annotations

from federation.report.convergence import convergence_section
from federation.report.disclosure import learned_section, ledger_section, sent_section
from federation.report.figures import ReportInput
from federation.report.giveaway_table import giveaway_section
from federation.report.glossary import glossary_section
from federation.report.headline import summary_section
from federation.report.page import document, timings_section
from federation.report.performance import (
    calibration_section,
    importance_section,
    lift_section,
    ranking_section,
)

# Anchors in the order of the page, with their names in the navigation.
SECTIONS = (
    ("result", "Result"),
    ("gave", "Given away"),
    ("sent", "What left"),
    ("learned", "Learned"),
    ("ranking", "ROC and KS"),
    ("calibration", "Calibration"),
    ("lift", "Lift"),
    ("importance", "Importance"),
    ("convergence", "Convergence"),
    ("ledger", "Privacy ledger"),
    ("timings", "Timings"),
    ("glossary", "Glossary"),
)

OWNER = (
    "aggregate figures of the label party's borrowers; its own document, not one to publish unread."
)


def render(report: ReportInput) -> str:
    """The whole report as one HTML document: no script, font, picture or link from elsewhere.

    Every text of the input is escaped; figures are inline SVG. Deterministic in its input.
    """
    bodies = (
        summary_section(report),
        giveaway_section(report.giveaways, report.label_party),
        sent_section(report.disclosures),
        learned_section(report.disclosures, report.direction),
        ranking_section(report.curves, report.models),
        calibration_section(report.curves, report.stability),
        lift_section(report.curves),
        importance_section(report.importance, report.importance_measure, report.shapes),
        convergence_section(report.rounds, report.step, report.courses),
        ledger_section(report.ledger),
        timings_section(report.stages, report.processes, report.transport),
        glossary_section(),
    )
    return document(report, SECTIONS, bodies, OWNER)

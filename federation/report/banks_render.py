"""`render_banks`: a `BanksReport` becomes one HTML file that opens without a network."""

from __future__ import annotations

from federation.report.banks_course import aggregation_section, course_section, work_section
from federation.report.banks_disclosure import (
    CAVEAT,
    DIRECTION,
    bank_ledgers_section,
    bank_messages_section,
)
from federation.report.banks_figures import BanksReport
from federation.report.banks_headline import bank_summary_section, banks_section
from federation.report.disclosure import learned_section
from federation.report.glossary import BANKS_TERMS, glossary_section
from federation.report.page import document
from federation.report.performance import calibration_section, lift_section, ranking_section

# Anchors in the order of the page, with their names in the navigation.
BANKS_SECTIONS = (
    ("result", "Result"),
    ("banks", "Banks"),
    ("ledger", "Privacy ledgers"),
    ("learned", "What was learned"),
    ("sent", "What left"),
    ("ranking", "ROC and KS"),
    ("calibration", "Calibration"),
    ("lift", "Lift"),
    ("course", "Training"),
    ("aggregation", "Aggregation"),
    ("timings", "Timings"),
    ("glossary", "Glossary"),
)
OWNER = (
    "figures of all banks' test borrowers side by side, exact and covered by no ε; only who may "
    "see every bank's may read it, not one to publish unread."
)
# Beside the stylesheet that all reports have.
BANKS_STYLE = """
.banks, .messages { min-width: 56rem; }
.ledgers { min-width: 58rem; }
.banks th, .banks td { padding-left: .35rem; padding-right: .35rem; }
.banks tbody th, .messages tbody th { white-space: nowrap; }
.banks thead th { white-space: normal; }
.banks thead th:nth-child(7) { width: 174px; text-align: center; }
.banks .swatch { display: inline-block; vertical-align: baseline; }
.count { display: block; color: var(--quiet); font-size: .85em; }
.ledgers .whole td { padding-bottom: .9rem; }
.ledgers .whole span { position: sticky; left: .4rem; display: inline-block;
  max-width: calc(100vw - 3rem); }
.terms td { overflow-wrap: anywhere; }
@media print {
  .banks, .messages, .ledgers { min-width: 0; }
  .banks .interval { display: block; }
  .banks thead th:nth-child(7) { width: 95px; }
  .banks tbody th, .messages tbody th { white-space: normal; }
}
"""


def render_banks(report: BanksReport) -> str:
    """The whole report as one HTML document: no script, font, picture or link from elsewhere.

    Every text of the input is escaped; figures are inline SVG. Deterministic in its input.
    """
    bodies = (
        bank_summary_section(report),
        banks_section(report.banks, report.within, report.left_out),
        bank_ledgers_section(report.ledgers),
        learned_section(report.sides, DIRECTION, CAVEAT),
        bank_messages_section(report.sent),
        ranking_section(report.curves, report.models),
        calibration_section(report.curves, None),
        lift_section(report.curves),
        course_section(report.course),
        aggregation_section(report.aggregation),
        work_section(report.stages, report.work),
        glossary_section(BANKS_TERMS),
    )
    return document(report, BANKS_SECTIONS, bodies, OWNER, BANKS_STYLE)

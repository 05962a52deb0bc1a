"""The report of a run: figures in, one self-contained HTML file out.

`render` takes the `ReportInput` of a vertical run, `render_banks` the `BanksReport` of several
banks.
"""

from federation.report.banks_figures import BanksReport
from federation.report.banks_render import render_banks
from federation.report.figures import (
    DisclosedMessages,
    FeatureImportance,
    LedgerLine,
    ModelCurves,
    ModelRole,
    ModelRow,
    PartyDisclosure,
    PartyImportance,
    PartyProcess,
    PrivacySpend,
    ReportInput,
    RoundPoint,
    ShapeFunction,
    StageSeconds,
    TrainingCourse,
    feature_label,
    model_curves,
)
from federation.report.giveaway import Rebuilt, TrainingGiveaway
from federation.report.render import render

__all__ = [
    "BanksReport",
    "DisclosedMessages",
    "FeatureImportance",
    "LedgerLine",
    "ModelCurves",
    "ModelRole",
    "ModelRow",
    "PartyDisclosure",
    "PartyImportance",
    "PartyProcess",
    "PrivacySpend",
    "Rebuilt",
    "ReportInput",
    "RoundPoint",
    "ShapeFunction",
    "StageSeconds",
    "TrainingCourse",
    "TrainingGiveaway",
    "feature_label",
    "model_curves",
    "render",
    "render_banks",
]

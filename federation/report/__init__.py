"""The report of a run: figures in (`ReportInput`), one self-contained HTML file out (`render`)."""

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
    feature_label,
    model_curves,
)
from federation.report.render import render

__all__ = [
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
    "ReportInput",
    "RoundPoint",
    "ShapeFunction",
    "StageSeconds",
    "feature_label",
    "model_curves",
    "render",
]

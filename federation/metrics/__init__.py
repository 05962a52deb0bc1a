"""How good a score is: scalar metrics, their bootstrap intervals, and the curves of a report.

Everything takes `labels` (n values, 1 = defaulted, 0 = did not) and `scores` (n values, a higher
score = more likely to default; a probability where a metric needs one). Only numpy is used.
"""

from federation.metrics.bootstrap import (
    Comparison,
    Estimate,
    MetricEstimates,
    bootstrap_intervals,
    compare_models,
)
from federation.metrics.curves import (
    Calibration,
    KsCurve,
    Lift,
    RocCurve,
    ScoreDistribution,
    Stability,
    calibration,
    ks_curve,
    lift,
    roc_curve,
    score_distribution,
    stability,
    wilson_interval,
)
from federation.metrics.scalars import auc, brier, gini, ks, log_loss

__all__ = [
    "Calibration",
    "Comparison",
    "Estimate",
    "KsCurve",
    "Lift",
    "MetricEstimates",
    "RocCurve",
    "ScoreDistribution",
    "Stability",
    "auc",
    "bootstrap_intervals",
    "brier",
    "calibration",
    "compare_models",
    "gini",
    "ks",
    "ks_curve",
    "lift",
    "log_loss",
    "roc_curve",
    "score_distribution",
    "stability",
    "wilson_interval",
]

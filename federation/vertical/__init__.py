"""A vertical session, start to finish: hello, plan, alignment, split, maps, trainings, closing.

Same borrowers, different columns: the label party and any number of feature parties. The roles here
only put the steps of the other rooms (`alignment`, `linear_maps`, `additive`) in order.
"""

from federation.vertical.feature_party import FeatureSessionResult, feature_party_session
from federation.vertical.label_party import LabelSessionResult, label_party_session
from federation.vertical.plan import SessionPlan, SplitPlan

__all__ = [
    "FeatureSessionResult",
    "LabelSessionResult",
    "SessionPlan",
    "SplitPlan",
    "feature_party_session",
    "label_party_session",
]

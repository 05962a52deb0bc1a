"""Differential privacy: mechanisms, events, accountants, and histories that span all runs."""

from federation.privacy.calibration import (
    check_target,
    noise_multiplier_for,
    release_noise_for_clients,
)
from federation.privacy.discrete_gaussian import discrete_gaussian_vector
from federation.privacy.events import (
    CLIENT,
    LABEL,
    RECORD,
    DistributedGaussian,
    Event,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
    Unit,
)
from federation.privacy.history import PrivacyHistory, check_run
from federation.privacy.ledger import Expenditure

__all__ = [
    "CLIENT",
    "LABEL",
    "RECORD",
    "DistributedGaussian",
    "Event",
    "Exact",
    "Expenditure",
    "GaussianRelease",
    "PrivacyHistory",
    "RandomisedResponse",
    "SampledGaussian",
    "Unit",
    "check_run",
    "check_target",
    "discrete_gaussian_vector",
    "noise_multiplier_for",
    "release_noise_for_clients",
]

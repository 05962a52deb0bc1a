"""Online scoring: points, served models, tags and masks of contributions. No I/O."""

from federation.scoring.points import Calibration, default_probability, scores_of, to_points
from federation.scoring.served_model import (
    Development,
    ServedModel,
    ServedVariant,
    alone_name,
    variant_name,
)

__all__ = [
    "Calibration",
    "Development",
    "ServedModel",
    "ServedVariant",
    "alone_name",
    "default_probability",
    "scores_of",
    "to_points",
    "variant_name",
]

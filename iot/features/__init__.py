"""What telemetry says of a lessee as of a date: features for the default model.

    from iot.features.computing import Records, features_of  # needs numpy
    from iot.features.reading import read_facts  # needs DuckDB

    facts = read_facts(archive, fleet, cut_of(date(2026, 1, 1)))
    features = features_of(facts, fleet, Records(alerts=read_alerts(archive)))
    features.columns["utilisation_30d"]

`iot.features.definitions` says what each feature means. Nothing that happened, arrived or was
written on or after the date counts.
"""

from __future__ import annotations

from datetime import date

from iot.features.definitions import (
    DEFINITIONS,
    NAMES,
    FeatureDefinition,
    definition_of,
    markdown_table,
)
from iot.features.errors import FeatureError
from iot.units import DAY, Millis

__all__ = [
    "DEFINITIONS",
    "NAMES",
    "FeatureDefinition",
    "FeatureError",
    "cut_of",
    "definition_of",
    "markdown_table",
]


def cut_of(as_of: date) -> Millis:
    """Return midnight UTC at the beginning of a date; only what came before it counts."""
    return Millis((as_of - date(1970, 1, 1)).days * DAY)

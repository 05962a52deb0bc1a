"""What the chain's history says of a supplier as of a date: features for the default model.

    from contracts.features.computing import features_of  # needs numpy
    from contracts.features.reading import read_facts  # needs SQLAlchemy

    with engine.connect() as connection:
        facts = read_facts(connection, cut_of(date(2026, 1, 1)))
    features = features_of(facts)
    features.columns["on_time_share"]

`contracts.features.definitions` says what each feature means. Nothing on or after the date counts.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from contracts.features.definitions import (
    DEFINITIONS,
    NAMES,
    FeatureDefinition,
    definition_of,
    markdown_table,
)
from contracts.features.errors import FeatureError
from contracts.units import UnixSeconds

__all__ = [
    "DEFINITIONS",
    "NAMES",
    "FeatureDefinition",
    "FeatureError",
    "cut_of",
    "definition_of",
    "markdown_table",
]


def cut_of(as_of: date) -> UnixSeconds:
    """Return midnight UTC at the beginning of a date; only what came before it counts."""
    return UnixSeconds(int(datetime.combine(as_of, time(), UTC).timestamp()))

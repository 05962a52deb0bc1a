"""Features of all lessees at once, from the facts before a cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from iot.features.definitions import NAMES, WINDOWS, definition_of
from iot.features.facts import Facts, Values
from iot.features.machine_features import (
    Span,
    fuel_features,
    hearing_features,
    site_features,
    work_features,
)
from iot.features.record_features import (
    ALERT_FEATURES,
    alert_features,
    alerts_before,
    rent_feature,
)
from iot.features.records import AlertFact, RentFact, RuleNames
from iot.fleet.fleet import Fleet
from iot.units import DAY, LesseeId, RateCardId


@dataclass(frozen=True)
class Records:
    """What is given beside machine-days; None is 'not given', and its features are missing.

    Attributes:
        base_price_minor: of an hour, by rate card, in minor units.
    """

    alerts: Sequence[AlertFact] | None = None
    rent: Sequence[RentFact] | None = None
    base_price_minor: Mapping[RateCardId, Decimal] | None = None
    rules: RuleNames = field(default_factory=RuleNames)


@dataclass(frozen=True)
class LesseeFeatures:
    """Features by name, one value a lessee; NaN is missing.

    Attributes:
        lessees: their names, one a row, in order.
        columns: float64, by feature.
    """

    lessees: tuple[LesseeId, ...]
    columns: Mapping[str, Values]


def features_of(
    facts: Facts, fleet: Fleet, records: Records | None = None, *, names: Sequence[str] = NAMES
) -> LesseeFeatures:
    """Compute features of every lessee that the fleet names.

    Args:
        facts: of `iot.features.reading.read_facts`, with the same fleet.
        fleet: whose leases say which alerts and rents are whose.
        records: alerts and rent; of them too only what was written before the cut counts.
        names: of the features wanted.

    Raises:
        FeatureError: a name is unknown, or the records contradict the fleet.
    """
    for name in names:
        definition_of(name)
    given = records or Records()
    found = _of_leases(facts)
    for window in WINDOWS:
        suffix = f"_{window}d"
        if any(name.endswith(suffix) for name in names):
            columns = _of_window(facts, fleet, given, window)
            found |= {f"{name}{suffix}": column for name, column in columns.items()}
    return LesseeFeatures(facts.lessees, {name: found[name] for name in names})


def _of_window(facts: Facts, fleet: Fleet, given: Records, window: int) -> dict[str, Values]:
    end = facts.cut // DAY
    span = Span(facts, end - window, end)
    found = {
        **work_features(span),
        **hearing_features(span),
        **fuel_features(span),
        **site_features(span),
    }
    missing = np.full(len(facts.lessees), np.nan)
    if given.alerts is None:
        found |= dict.fromkeys(ALERT_FEATURES, missing)
    else:
        found |= alert_features(span, alerts_before(facts, fleet, given.alerts, given.rules))
    if given.rent is None or given.base_price_minor is None:
        found["rent_per_hour_ratio"] = missing
    else:
        found |= rent_feature(span, fleet, given.rent, given.base_price_minor)
    return found


def _of_leases(facts: Facts) -> dict[str, Values]:
    leases = facts.leases
    count = len(facts.lessees)
    running = np.bincount(leases.lessee[leases.runs], minlength=count).astype(np.float64)
    first = np.full(count, np.inf)
    np.minimum.at(first, leases.lessee, leases.start.astype(np.float64))
    # Infinity is a lessee whose first lease has not begun.
    first[np.isinf(first)] = np.nan
    return {"machines": running, "tenure_days": (facts.cut - first) / DAY}

"""Features from alerts and rent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np

from iot.features.errors import FeatureError
from iot.features.facts import Facts, Flags, Integers, Values
from iot.features.machine_features import Span, ratio
from iot.features.records import AlertFact, RentFact, RuleNames
from iot.fleet.fleet import Fleet
from iot.units import DAY, HOUR, RateCardId

ALERT_FEATURES: Final = (
    *("fuel_alerts_per_100h", "hours_outside_zone", "zone_exits", "idle_machine_share"),
    "hours_to_acknowledge",
)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Alerts:
    """Alerts on leased machines that were written before the cut, in columns.

    Attributes:
        lessee, device: codes; the lease is the one that held when the alert opened.
        opened, until: milliseconds; until it was cleared, the lease ended, or the cut came.
        acknowledged: milliseconds; NaN: not before the cut.
        fuel, zone, idle: what they mean.
    """

    lessee: Integers
    device: Integers
    opened: Values
    until: Values
    acknowledged: Values
    fuel: Flags
    zone: Flags
    idle: Flags


def alerts_before(
    facts: Facts, fleet: Fleet, alerts: Sequence[AlertFact], names: RuleNames
) -> Alerts:
    """Take the alerts that count; what was written on or after the cut is not known.

    Raises:
        FeatureError: an alert is of a device that is not in the fleet, or ends before it opens.
    """
    lessees = {name: code for code, name in enumerate(facts.lessees)}
    devices = {name: code for code, name in enumerate(fleet.devices)}
    rows: list[tuple[Any, ...]] = []
    for alert in alerts:
        if alert.opened >= facts.cut:
            continue
        if alert.device not in devices:
            raise FeatureError(
                f"An alert is of device '{alert.device}', which the fleet does not list."
            )
        if min(alert.cleared or alert.opened, alert.acknowledged or alert.opened) < alert.opened:
            raise FeatureError(
                f"An alert of device '{alert.device}' was cleared or acknowledged before it opened."
            )
        lease = fleet.lease_at(alert.device, alert.opened)
        if lease is None:
            continue
        ends = (facts.cut, lease.end, alert.cleared)
        seen = alert.acknowledged is not None and alert.acknowledged < facts.cut
        rows.append(
            (
                lessees[lease.lessee],
                devices[alert.device],
                alert.opened,
                min(end for end in ends if end is not None),
                alert.acknowledged if seen else np.nan,
                *(alert.rule in rules for rules in (names.fuel, names.zone, names.idle)),
            )
        )
    columns = list(zip(*rows, strict=True)) or [()] * 8
    kinds = (np.int64, np.int64, np.float64, np.float64, np.float64, np.bool_, np.bool_, np.bool_)
    return Alerts(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def alert_features(span: Span, alerts: Alerts) -> dict[str, Values]:
    """Of a window that ends at the cut; missing where no machine was under lease in it."""
    begin = float(span.first * DAY)
    opened_here = alerts.opened >= begin
    leases = span.facts.leases
    had_lease = span.machine_days() > 0

    def where_leased(values: Values) -> Values:
        return np.where(had_lease, values, np.nan)

    hours = np.maximum(alerts.until - np.maximum(alerts.opened, begin), 0.0) / HOUR
    idle = alerts.idle & (alerts.until > begin)
    width = max(int(leases.device.max(initial=-1)), int(alerts.device.max(initial=-1))) + 1

    def machines(lessee: Integers, device: Integers) -> Values:
        pairs = np.unique(lessee * width + device)
        return span.total(pairs // max(width, 1))

    under = span.leased > 0
    seen = opened_here & ~np.isnan(alerts.acknowledged)
    waited = (alerts.acknowledged - alerts.opened)[seen] / HOUR
    fuel = span.total(alerts.lessee[opened_here & alerts.fuel])
    share = ratio(
        machines(alerts.lessee[idle], alerts.device[idle]),
        machines(leases.lessee[under], leases.device[under]),
    )
    return {
        "fuel_alerts_per_100h": ratio(100 * fuel, span.operating_hours()),
        "hours_outside_zone": where_leased(
            span.total(alerts.lessee[alerts.zone], hours[alerts.zone])
        ),
        "zone_exits": where_leased(span.total(alerts.lessee[opened_here & alerts.zone])),
        # A lease that ended on the window's first day has an alert, and no machine-day.
        "idle_machine_share": np.minimum(share, 1.0),
        "hours_to_acknowledge": ratio(
            span.total(alerts.lessee[seen], waited), span.total(alerts.lessee[seen])
        ),
    }


def rent_feature(
    span: Span,
    fleet: Fleet,
    entries: Sequence[RentFact],
    base_price_minor: Mapping[RateCardId, Decimal],
) -> dict[str, Values]:
    """Rent over the base price of the same hours; summed as Decimal, a float at the end.

    Raises:
        FeatureError: an entry's lease is not in the fleet, or its rate card has no price.
    """
    facts = span.facts
    lessee_of = {lease.id: lease.lessee for of in fleet.leases.values() for lease in of}
    paid = dict.fromkeys(facts.lessees, Decimal(0))
    usual = dict.fromkeys(facts.lessees, Decimal(0))
    first, end = (_EPOCH + timedelta(days=day) for day in (span.first, span.end))
    for entry in entries:
        if entry.written >= facts.cut or not first < entry.month_end <= end:
            continue
        price = base_price_minor.get(entry.rate_card)
        if entry.lease not in lessee_of or price is None:
            what = "lease" if entry.lease not in lessee_of else "base price of the rate card"
            raise FeatureError(f"A rent entry is of a {what} that is not given: '{entry.lease}'.")
        lessee = lessee_of[entry.lease]
        paid[lessee] += entry.amount_minor
        usual[lessee] += entry.hours * price
    values = [
        float(paid[name] / usual[name]) if usual[name] > 0 else np.nan for name in facts.lessees
    ]
    return {"rent_per_hour_ratio": np.array(values, np.float64)}

"""One machine's day, and the figures of it that are compared between machines of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from iot.units import DeviceId, Millis, ModelId

SHORTEST_HOURS: Final = 0.5
"""Below so many engine hours a rate per hour says nothing."""


class MachineDay(msgspec.Struct, frozen=True):
    """What one machine did on one day. None is 'not known', never 0.

    Attributes:
        model: of the machine; it is compared with days of this model only.
        day: the moment at which the day began.
        work_hours, idle_hours: engine on with work, and without, h.
        fuel_l: burnt, litres.
        distance_km: driven, km.
        starts: of the engine.
        night_share: of its engine hours that were outside the lease's working hours, 0 to 1.
    """

    model: ModelId
    device: DeviceId
    day: Millis
    work_hours: float | None = None
    idle_hours: float | None = None
    fuel_l: float | None = None
    distance_km: float | None = None
    starts: int | None = None
    night_share: float | None = None

    @property
    def engine_hours(self) -> float | None:
        """Work and idling, h."""
        if self.work_hours is None or self.idle_hours is None:
            return None
        return self.work_hours + self.idle_hours


@dataclass(frozen=True)
class Figure:
    """One figure of a day.

    Attributes:
        words: what it is, for a sentence.
        unit: such as 'L/h'; '' where there is none.
        least_spread: a spread below this is the meter's tick and not the machine's.
        of: the figure of a day; None where the day does not say.
    """

    words: str
    unit: str
    least_spread: float
    of: Callable[[MachineDay], float | None]


def _rate(amount: float | None, hours: float | None) -> float | None:
    if amount is None or hours is None or hours < SHORTEST_HOURS:
        return None
    return amount / hours


FIGURES: Final[Mapping[str, Figure]] = {
    "engine_hours": Figure("engine hours", "h", 0.5, lambda day: day.engine_hours),
    "idle_share": Figure(
        "share of engine hours idle", "", 0.03, lambda day: _rate(day.idle_hours, day.engine_hours)
    ),
    "fuel_rate": Figure(
        "fuel per engine hour", "L/h", 0.3, lambda day: _rate(day.fuel_l, day.engine_hours)
    ),
    "speed": Figure(
        "distance per engine hour",
        "km/h",
        0.3,
        lambda day: _rate(day.distance_km, day.engine_hours),
    ),
    "starts": Figure("engine starts", "", 1.0, lambda day: day.starts),
    "night_share": Figure(
        "share of engine hours out of hours", "", 0.03, lambda day: day.night_share
    ),
}
"""The figures by name. Rates, so that a short day is not unusual for being short in all of them."""

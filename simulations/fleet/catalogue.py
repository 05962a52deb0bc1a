"""Kinds of equipment that the simulated lessor owns: register entries and how they work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iot.fleet.fleet import Model
from iot.units import ModelId, RateCardId


@dataclass(frozen=True)
class Kind:
    """One equipment model of the simulation.

    Attributes:
        model: as the register has it.
        share: of the fleet.
        idle_burn: litres an hour of idling to those of work.
        crawl_kmh: how fast its odometer runs while it works.
        slosh_percent: standard deviation of the tank's reading at work.
        rate_card: what it is let by.
    """

    model: Model
    share: float
    idle_burn: float
    crawl_kmh: float
    slosh_percent: float
    rate_card: RateCardId


def _kind(
    name: str,
    share: float,
    tank_l: float | None,
    litres_per_hour: float | None,
    top_speed_kmh: float,
    crawl_kmh: float,
    rate_card: str,
) -> Kind:
    model = Model(ModelId(name), tank_l, litres_per_hour, top_speed_kmh)
    return Kind(model, share, 0.18, crawl_kmh, 1.5, RateCardId(rate_card))


KINDS: Final = (
    _kind("excavator-14", 0.20, 250.0, 11.0, 5.5, 0.2, "excavator"),
    _kind("excavator-22", 0.25, 400.0, 17.0, 5.5, 0.2, "excavator"),
    _kind("loader-18", 0.20, 300.0, 15.0, 38.0, 4.0, "loader"),
    _kind("dumper-30", 0.15, 360.0, 22.0, 50.0, 9.0, "loader"),
    _kind("roller-12", 0.12, 240.0, 10.0, 11.0, 2.5, "small"),
    # Electric: it has no tank and burns nothing, so that its fuel is never told.
    _kind("handler-e", 0.08, None, None, 25.0, 2.0, "small"),
)

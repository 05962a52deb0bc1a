"""What a simulation run is to hold: how long, how often machines report, what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from iot.errors import TelemetryError
from iot.units import DAY, Millis
from simulations.fleet.truth import Happening

MONDAY: Final = Millis(1_767_571_200_000)
"""2026-01-05T00:00:00Z."""

_LEAST_INTERVAL_S: Final = 10
_MOST_INTERVAL_S: Final = 600

RATES: Final[Mapping[Happening, float]] = MappingProxyType(
    {
        Happening.THEFT_TOWED: 0.06,
        Happening.THEFT_DRIVEN: 0.05,
        Happening.EXCURSION: 0.10,
        Happening.TRANSPORT: 0.0,
        Happening.SIPHONING: 0.30,
        Happening.FUEL_LEAK: 0.08,
        Happening.FUEL_DRIFT: 0.10,
        Happening.OFF_HOURS_USE: 0.30,
        Happening.ENGINE_IDLING: 0.15,
        Happening.IDLE: 0.15,
        Happening.SILENT: 0.20,
        Happening.TAMPER: 0.12,
        Happening.FROZEN_HOURS: 0.12,
        Happening.METER_JUMP: 0.06,
        Happening.DEVICE_REPLACED: 0.06,
        Happening.GPS_SPOOF: 0.06,
        Happening.FAULT: 0.30,
    }
)
"""Events of a kind, expected per machine and 30 days."""


class PlanInvalid(TelemetryError):
    """A simulation can't be run as it was asked for."""


@dataclass(frozen=True)
class Plan:
    """One run of the simulator.

    Attributes:
        seed: of everything; the same seed gives the same bytes.
        start: a midnight in UTC.
        days: how long.
        interval_s: between two readings of a machine that runs or moves, seconds.
        parked_interval_s: and of one that stands with its engine off; None: the same.
        rates: events of a kind, expected per machine and 30 days.
        hour_tick: of the hour meters, hours.
        duplicate_share: of the messages that arrive twice.
        late_share: of those that come seconds to minutes late, and out of order.
        dead_zones_a_day: short losses of the network, after which a burst comes.
        reboots_a_month: of a device, with nothing else wrong.
        skewed_share: of the devices whose clock is up to two minutes off, and drifts.
        bad_fix_share, no_fix_share: of fixes far off (and saying so), and of none at all.
    """

    seed: int = 1
    start: Millis = MONDAY
    days: int = 28
    interval_s: int = 60
    parked_interval_s: int | None = None
    rates: Mapping[Happening, float] = field(default_factory=lambda: RATES)
    hour_tick: float = 0.1
    duplicate_share: float = 0.02
    late_share: float = 0.01
    dead_zones_a_day: float = 0.15
    reboots_a_month: float = 1.5
    skewed_share: float = 0.1
    bad_fix_share: float = 0.003
    no_fix_share: float = 0.01

    def __post_init__(self) -> None:
        if self.start % DAY:
            raise PlanInvalid("The simulation's 'start' must be a midnight in UTC.")
        if not 1 <= self.days <= 3_660:
            raise PlanInvalid(f"The simulation's 'days' are {self.days}; 1 to 3660 are possible.")
        if not _LEAST_INTERVAL_S <= self.interval_s <= _MOST_INTERVAL_S:
            raise PlanInvalid(
                f"The simulation's 'interval_s' is {self.interval_s}; "
                f"{_LEAST_INTERVAL_S} to {_MOST_INTERVAL_S} seconds are possible."
            )
        parked = self.parked_interval_s
        if parked is not None and (parked < self.interval_s or parked % self.interval_s):
            raise PlanInvalid(
                f"The simulation's 'parked_interval_s' is {parked}; it must be a multiple of "
                f"'interval_s', {self.interval_s}."
            )

    @property
    def end(self) -> Millis:
        return Millis(self.start + self.days * DAY)

    @property
    def parked_every(self) -> int:
        """Of so many readings, a parked machine sends one."""
        return (self.parked_interval_s or self.interval_s) // self.interval_s


QUIET: Final[Mapping[Happening, float]] = MappingProxyType({})
"""Rates of a fleet to which nothing happens."""

"""Fuel against hours: the machine burns other than its work hours explain.

Judged over windows of working time, each giving litres per hour. An hour of idling counts for a
share of one of work, since it burns that share. A window is held against the median of the
machine's own windows, in units of their median absolute deviation (robust z), so that neither a few
odd windows nor a slow drift of wear move the yardstick; the maker's figure opens the list, so that
a new machine is judged from its first day, though less sharply.

Three things are told apart: too much or too little fuel for the hours (z); hours with no fuel; fuel
with no hours while the engine is reported off. Fuel with no hours while it is reported on is a
frozen counter, which has a rule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step

_TO_DEVIATION: Final = 1.4826
"""Standard deviation of a normal law to its median absolute deviation."""

_MAKERS_WINDOWS: Final = 5
"""The maker's figure weighs as much as so many windows."""

_TICK_HOURS: Final = 0.25
"""A move of the meter by no more than a tick or two."""

_NO_FUEL_L: Final = 0.5
"""A fuel counter that gained no more than its tick stood still."""


@dataclass(frozen=True)
class FuelAgainstHoursSettings:
    """Thresholds.

    Attributes:
        window_hours: of work; short ones feel the meters' ticks.
        idle_burn_share: what an hour of idling burns, to an hour of work.
        learning_windows, learning_share: with fewer windows of its own, the machine's deviation is
            taken for no less than this share of the median,
        spread_share: later for no less than this.
        open_z, clear_z: deviations from the median, up or down.
        kept_windows: the median is over the last so many.
        no_hours_l: burnt while the meter stands and the engine is off.
    """

    window_hours: float = 2.5
    idle_burn_share: float = 0.2
    learning_windows: int = 8
    learning_share: float = 0.12
    spread_share: float = 0.06
    open_z: float = 5.0
    clear_z: float = 3.0
    kept_windows: int = 31
    no_hours_l: float = 15.0


class FuelAgainstHoursMemory(msgspec.Struct, gc=False):
    """Counters where the window began (None: no window yet), the meter at its last move with the
    fuel counter then, and litres per hour of the last windows."""

    hours: float | None = None
    idle: float | None = None
    fuel_l: float = 0.0
    moved_hours: float = 0.0
    moved_fuel_l: float = 0.0
    windows: list[float] = []
    up: bool = False


class FuelAgainstHours(Untimed):
    """Robust z of litres per hour, window by window."""

    name = "fuel_against_hours"
    memory = FuelAgainstHoursMemory

    __slots__ = ("_no_hours_l", "_settings", "_window")

    def __init__(self, settings: FuelAgainstHoursSettings) -> None:
        self._settings = settings
        self._window = settings.window_hours
        self._no_hours_l = settings.no_hours_l

    def observe(self, memory: FuelAgainstHoursMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        hours = now.operating_hours
        fuel = now.fuel_used_l
        if hours is None or fuel is None:
            return None
        begun = memory.hours
        if begun is None or step.reset or step.impossible:
            self._begin(memory, step, hours, fuel)
            return None
        standing = fuel - memory.moved_fuel_l
        moved = hours - memory.moved_hours
        if moved == 0.0:
            if standing < self._no_hours_l or memory.up or now.engine_on is not False:
                return None
            return self._no_hours(memory, step, scene, standing)
        if moved < 0.0 or standing < 0.0:  # an epoch that began in a reading without counters
            self._begin(memory, step, hours, fuel)
            return None
        if (
            standing >= self._no_hours_l
            and moved <= _TICK_HOURS
            and standing >= self._most_standing_l(scene)
        ):
            # Fuel that a standing meter did not count is no rate; other rules have judged it.
            self._begin(memory, step, hours, fuel)
            return None
        memory.moved_hours = hours
        memory.moved_fuel_l = fuel
        if hours - begun < self._window:
            return None
        return self._close(memory, step, scene, hours - begun, fuel - memory.fuel_l)

    def _begin(self, memory: FuelAgainstHoursMemory, step: Step, hours: float, fuel: float) -> None:
        memory.hours = memory.moved_hours = hours
        memory.fuel_l = memory.moved_fuel_l = fuel
        memory.idle = step.now.idle_hours

    def _most_standing_l(self, scene: Scene) -> float:
        # A large machine burns many litres within one tick of its meter; never an hour's.
        return max(self._no_hours_l, scene.model.litres_per_hour or 0.0)

    def _no_hours(
        self, memory: FuelAgainstHoursMemory, step: Step, scene: Scene, standing: float
    ) -> Verdict | None:
        limit = self._most_standing_l(scene)
        if standing < limit:
            return None
        memory.up = True
        reason = f"{standing:.0f} L were burnt with the engine off and no hours gained."
        return Verdict(self.name, True, step.now.at, Severity.CONTACT, standing, limit, "L", reason)

    def _close(
        self,
        memory: FuelAgainstHoursMemory,
        step: Step,
        scene: Scene,
        ran: float,
        burnt: float,
    ) -> Verdict | None:
        settings = self._settings
        work = ran
        idle = step.now.idle_hours
        if memory.idle is not None:
            if idle is None:
                return None
            idled = min(max(0.0, idle - memory.idle), ran)
            work = ran - idled + settings.idle_burn_share * idled
            if work < self._window:  # much idling: the window grows until it holds enough work
                return None
        self._begin(memory, step, memory.moved_hours, memory.moved_fuel_l)
        if scene.model.tank_l is None:
            return None
        return self._judge(memory, step, scene, burnt / work, burnt <= _NO_FUEL_L)

    def _judge(
        self,
        memory: FuelAgainstHoursMemory,
        step: Step,
        scene: Scene,
        rate: float,
        no_fuel: bool,
    ) -> Verdict | None:
        settings = self._settings
        own = memory.windows
        maker = scene.model.litres_per_hour
        yardstick = own if maker is None else own + [maker] * _MAKERS_WINDOWS
        learning = len(own) < settings.learning_windows
        if no_fuel or not yardstick or (maker is None and learning):
            centre, sigma, z = (median(yardstick) if yardstick else 0.0), 0.0, 0.0
        else:
            centre = median(yardstick)
            least = settings.learning_share if learning else settings.spread_share
            spread = _TO_DEVIATION * median([abs(one - centre) for one in yardstick])
            sigma = max(spread, least * centre)
            z = (rate - centre) / sigma
        odd = no_fuel or abs(z) >= settings.open_z
        if not odd:
            own.append(rate)
            del own[: -settings.kept_windows]
        if odd and not memory.up:
            memory.up = True
            limit = centre + settings.open_z * sigma * (1.0 if z > 0 else -1.0)
            reason = (
                f"The machine burns {rate:.1f} L per work hour where its usual is {centre:.1f} L."
            )
            return Verdict(
                self.name, True, step.now.at, Severity.CONTACT, rate, limit, "L/h", reason
            )
        if memory.up and not odd and abs(z) < settings.clear_z:
            memory.up = False
            limit = centre + settings.clear_z * sigma * (1.0 if z > 0 else -1.0)
            reason = f"The machine burns its usual {rate:.1f} L per work hour again."
            return Verdict(
                self.name, False, step.now.at, Severity.CONTACT, rate, limit, "L/h", reason
            )
        return None

"""Tank balance: fuel leaves the tank that the engine did not burn.

What is in the tank plus what was burnt since the machine was made stays the same, however hard the
machine works; a refuel lifts it, siphoning lowers it. One reading of a tank is worth little: floats
slosh, by one or two percent of the tank. So readings are averaged in blocks (of five, without
the highest and the lowest), and the mean of the newest blocks is held against the mean of those
before: two blocks at once for much fuel, eight for little. A drop must exceed both litres and its
own standard error, taken from how much blocks scatter, and a share of what was burnt meanwhile,
since float and burn counter are never calibrated to each other exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import sqrt
from statistics import median
from typing import Final

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import HOUR

_BLOCK: Final = 5
_FEW: Final = 2
"""Blocks that show a large drop soon."""
_MANY: Final = 8
"""Blocks that show a small one, and that are held against."""
_LEAST_BEFORE: Final = 4
_KEPT: Final = 2 * _MANY + 1
_TO_DEVIATION: Final = 1.4826 / sqrt(2)
"""Standard deviation of blocks to the median step from one to the next."""


@dataclass(frozen=True)
class TankBalanceSettings:
    """Thresholds.

    Attributes:
        open_l: a drop of at least so much.
        open_z: and of so many of its standard errors.
        noise_percent: of the tank; a single reading's noise is taken for no less.
        burn_error_share: of the litres burnt meanwhile may be missing by calibration.
        review_l: missing since the alert opened.
        clear_hours: so long without another drop ends it.
    """

    open_l: float = 10.0
    open_z: float = 5.0
    noise_percent: float = 0.5
    burn_error_share: float = 0.03
    review_l: float = 100.0
    clear_hours: float = 6.0


class TankBalanceMemory(msgspec.Struct, gc=False):
    """readings: litres (tank plus burnt) of the block under way; blocks: means of blocks, burnt:
    the burn counter at their ends; fuel_l: that counter now; missing_l, quiet: since it opened."""

    readings: list[float] = []
    blocks: list[float] = []
    burnt: list[float] = []
    fuel_l: float = 0.0
    missing_l: float = 0.0
    quiet: int = 0
    up: int = 0


class TankBalance(Untimed):
    """A step down in litres in the tank plus litres burnt."""

    name = "tank_balance"
    memory = TankBalanceMemory

    __slots__ = ("_clear", "_open", "_settings")

    def __init__(self, settings: TankBalanceSettings) -> None:
        self._settings = settings
        self._open = settings.open_l
        self._clear = int(settings.clear_hours * HOUR)

    def observe(self, memory: TankBalanceMemory, step: Step, scene: Scene) -> Verdict | None:
        if memory.up:
            memory.quiet += step.elapsed
            if memory.quiet >= self._clear:
                return self._over(memory, step)
        now = step.now
        percent = now.fuel_remaining_percent
        fuel = now.fuel_used_l
        tank = scene.model.tank_l
        if percent is None or fuel is None or tank is None:
            return None
        if fuel < memory.fuel_l or step.reset:
            memory.readings, memory.blocks, memory.burnt = [], [], []
        memory.fuel_l = fuel
        readings = memory.readings
        readings.append(percent * tank * 0.01 + fuel)
        if len(readings) < _BLOCK:
            return None
        readings.sort()
        blocks = memory.blocks
        blocks.append((readings[1] + readings[2] + readings[3]) / 3)
        readings.clear()
        memory.burnt.append(fuel)
        return self._weigh(memory, step, tank) if len(blocks) >= _FEW + _LEAST_BEFORE else None

    def _weigh(self, memory: TankBalanceMemory, step: Step, tank_l: float) -> Verdict | None:
        blocks = memory.blocks
        if len(blocks) > _KEPT:
            del blocks[0]
            del memory.burnt[0]
        before = blocks[:-_FEW][-_MANY:]
        drop = sum(before) / len(before) - (blocks[-1] + blocks[-2]) / _FEW
        after = _FEW
        if self._holds(memory, drop, _FEW, len(before), tank_l):
            if abs(blocks[-1] - blocks[-2]) > max(self._open, abs(drop) / 4):
                return None  # it still falls, or a block lies across the step: the next will tell
        else:
            before = blocks[: -_MANY - 1]
            if len(before) < _LEAST_BEFORE:
                return None
            drop = sum(before) / len(before) - sum(blocks[-_MANY:]) / _MANY
            after = _MANY
            if not self._holds(memory, drop, _MANY, len(before), tank_l):
                return None
        # What follows is held against the level after the step, so that it counts once. Of a step
        # seen early, the block before the last may lie across it.
        keep = 1 if after == _FEW else _MANY
        del blocks[:-keep]
        del memory.burnt[:-keep]
        # More than the tank holds is a counter's error; a rise is a refuel.
        return self._missing(memory, step, drop) if 0.0 < drop <= tank_l else None

    def _holds(
        self, memory: TankBalanceMemory, drop: float, after: int, before: int, tank_l: float
    ) -> bool:
        """Whether a step down (or up) is more than noise."""
        size = abs(drop)
        if size < self._open:
            return False
        settings = self._settings
        blocks = memory.blocks
        # Three readings' mean: a block scatters by about half of what a reading does.
        least = settings.noise_percent * 0.01 * tank_l / 2
        # Slosh that lasts shows between blocks farther apart, not between neighbours.
        scatter = max(_scatter(blocks, apart) for apart in (1, 2, 3))
        sigma = max(least, _TO_DEVIATION * scatter)
        burnt = memory.burnt[-1] - memory.burnt[-min(len(blocks), after + before)]
        error = settings.open_z * sigma * sqrt(1 / after + 1 / before)
        return size >= max(self._open, error) + settings.burn_error_share * max(0.0, burnt)

    def _missing(self, memory: TankBalanceMemory, step: Step, drop: float) -> Verdict | None:
        memory.missing_l = memory.missing_l + drop if memory.up else drop
        memory.quiet = 0
        review = memory.missing_l >= self._settings.review_l
        severity = Severity.REVIEW if review else Severity.CONTACT
        if severity <= memory.up:
            return None
        memory.up = severity
        missing = memory.missing_l
        reason = f"{missing:.0f} L left the tank that the engine did not burn."
        return Verdict(self.name, True, step.now.at, severity, missing, self._open, "L", reason)

    def _over(self, memory: TankBalanceMemory, step: Step) -> Verdict:
        severity = Severity(memory.up)
        quiet = memory.quiet / HOUR
        clear = self._settings.clear_hours
        memory.up = 0
        reason = f"No more fuel left the tank for {quiet:.0f} h; {memory.missing_l:.0f} L did."
        return Verdict(self.name, False, step.now.at, severity, quiet, clear, "h", reason)


def _scatter(blocks: list[float], apart: int) -> float:
    """The median step between blocks so many places apart."""
    later = islice(blocks, apart, None)
    return median([abs(one - other) for one, other in zip(later, blocks, strict=False)])

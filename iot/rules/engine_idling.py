"""Engine idling: for hours of running, the engine did hardly any work.

Judged over the last two blocks of running time, by the machine's own meters, so that neither the
clock nor the rate of messages matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step


@dataclass(frozen=True)
class EngineIdlingSettings:
    """Thresholds.

    Attributes:
        block_hours: of running; two of them are judged. Meters tick in tenths, so below 1 h the
            ticks are felt.
        open_share: idle hours to operating hours from which on it is idling.
        clear_share: and below which it is over.
    """

    block_hours: float = 1.0
    open_share: float = 0.9
    clear_share: float = 0.5


class EngineIdlingMemory(msgspec.Struct, gc=False):
    """Meters where the block began, and what the block before it had; None: no meters yet."""

    hours: float | None = None
    idle: float = 0.0
    before_hours: float = 0.0
    before_idle: float = 0.0
    up: bool = False


class EngineIdling(Untimed):
    """Share of idle hours in the last two blocks of operating hours."""

    name = "engine_idling"
    memory = EngineIdlingMemory

    __slots__ = ("_block", "_clear", "_open")

    def __init__(self, settings: EngineIdlingSettings) -> None:
        self._block = settings.block_hours
        self._open = settings.open_share
        self._clear = settings.clear_share

    def observe(self, memory: EngineIdlingMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        hours = now.operating_hours
        idle = now.idle_hours
        if hours is None or idle is None:
            return None
        begun = memory.hours
        if begun is None or step.reset or step.impossible:
            memory.before_hours = 0.0
        else:
            ran = hours - begun
            if 0.0 <= ran < self._block:
                return None
            idled = idle - memory.idle
            if ran >= 0.0 and idled >= 0.0:
                return self._close(memory, step, ran, idled)
            memory.before_hours = 0.0
        memory.hours = hours
        memory.idle = idle
        return None

    def _close(
        self, memory: EngineIdlingMemory, step: Step, ran: float, idled: float
    ) -> Verdict | None:
        has_before = memory.before_hours > 0.0
        # The two meters tick apart, so a block may show a tick more of idling than of running.
        share = min(1.0, (memory.before_idle + idled) / (memory.before_hours + ran))
        memory.hours, memory.idle = step.now.operating_hours, step.now.idle_hours or 0.0
        memory.before_hours, memory.before_idle = ran, idled
        if not has_before:
            return None
        percent = f"{100 * share:.0f} percent of its last {2 * self._block:g} h of running"
        if not memory.up and share >= self._open:
            memory.up = True
            return Verdict(
                self.name,
                True,
                step.now.at,
                Severity.INFO,
                share,
                self._open,
                "share",
                f"The engine idled {percent}.",
            )
        if memory.up and share < self._clear:
            memory.up = False
            return Verdict(
                self.name,
                False,
                step.now.at,
                Severity.INFO,
                share,
                self._clear,
                "share",
                f"The engine idled only {percent}.",
            )
        return None

"""Tampered: the device says that its case or cable was opened."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import MINUTE


@dataclass(frozen=True)
class TamperedSettings:
    """Thresholds.

    Attributes:
        clear_minutes: without the sign for so long it is over.
    """

    clear_minutes: float = 60.0


class TamperedMemory(msgspec.Struct, gc=False):
    """quiet: milliseconds since the sign was last seen."""

    quiet: int = 0
    up: bool = False


class Tampered(Untimed):
    """At the first sign; a loose contact that comes and goes is one alert."""

    name = "tampered"
    memory = TamperedMemory

    __slots__ = ("_clear", "_clear_minutes")

    def __init__(self, settings: TamperedSettings) -> None:
        self._clear_minutes = settings.clear_minutes
        self._clear = int(settings.clear_minutes * MINUTE)

    def observe(self, memory: TamperedMemory, step: Step, scene: Scene) -> Verdict | None:
        now = step.now
        if now.tampered:
            memory.quiet = 0
            if memory.up:
                return None
            memory.up = True
            return Verdict(
                self.name,
                True,
                now.at,
                Severity.REVIEW,
                1.0,
                1.0,
                "signs",
                "The device's case or cable was opened.",
            )
        if not memory.up:
            return None
        memory.quiet += step.elapsed
        if memory.quiet < self._clear:
            return None
        memory.up = False
        minutes = memory.quiet / MINUTE
        return Verdict(
            self.name,
            False,
            now.at,
            Severity.REVIEW,
            minutes,
            self._clear_minutes,
            "min",
            f"The device's case and cable were in order for {minutes:.0f} min.",
        )

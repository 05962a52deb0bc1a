"""Out of region: the machine is outside the zone of its lease.

One fix proves nothing: beside tall walls fixes jump by hundreds of metres. It needs several in a
row over minutes, each farther out than its own accuracy and a margin; the way back in is judged by
a narrower margin, so that a machine on the border raises one alert, not hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import MINUTE


@dataclass(frozen=True)
class OutOfRegionSettings:
    """Thresholds.

    Attributes:
        open_fixes, open_minutes: so many fixes in a row over so long must be outside.
        open_m: outside means farther than the fix's accuracy and this.
        clear_m: back inside means no farther than this, whatever the accuracy.
        clear_fixes: and so many in a row.
        accuracy_m: of a fix that does not say.
        review_m, immobilise_m: farther than this (the least of three fixes) is worse.
    """

    open_fixes: int = 3
    open_minutes: float = 5.0
    open_m: float = 50.0
    clear_m: float = 20.0
    clear_fixes: int = 3
    accuracy_m: float = 25.0
    review_m: float = 2_000.0
    immobilise_m: float = 20_000.0


class OutOfRegionMemory(msgspec.Struct, gc=False):
    """since, fixes: of the run outside; last, older: metres of the two fixes before; back: fixes
    back inside while up."""

    since: int = 0
    fixes: int = 0
    last: float = 0.0
    older: float = 0.0
    back: int = 0
    up: int = 0


class OutOfRegion(Untimed):
    """Exit and return, with a margin and a wait each."""

    name = "out_of_region"
    memory = OutOfRegionMemory

    __slots__ = ("_immobilise_m", "_open", "_review_m", "_settings")

    def __init__(self, settings: OutOfRegionSettings) -> None:
        self._settings = settings
        self._open = int(settings.open_minutes * MINUTE)
        self._review_m = settings.review_m
        self._immobilise_m = settings.immobilise_m

    def observe(self, memory: OutOfRegionMemory, step: Step, scene: Scene) -> Verdict | None:
        outside_m = scene.outside_m
        if outside_m is None:
            return None
        if outside_m == 0.0 and not memory.up:
            if memory.fixes:
                memory.fixes = 0
            return None
        return self._weigh(memory, step, outside_m)

    def _weigh(self, memory: OutOfRegionMemory, step: Step, outside_m: float) -> Verdict | None:
        settings = self._settings
        now = step.now
        accuracy = now.accuracy_m if now.accuracy_m is not None else settings.accuracy_m
        if memory.up:
            memory.back = memory.back + 1 if outside_m <= settings.clear_m else 0
            if memory.back >= settings.clear_fixes:
                return self._clear(memory, step, outside_m)
        if outside_m <= accuracy + settings.open_m:
            memory.fixes = 0
            return None
        if not memory.fixes or now.at < memory.since:
            memory.since = now.at
            memory.last = memory.older = outside_m
        memory.fixes += 1
        metres = min(outside_m, memory.last, memory.older)
        memory.older, memory.last = memory.last, outside_m
        if memory.fixes < settings.open_fixes or now.at - memory.since < self._open:
            return None
        severity = Severity.CONTACT
        if metres > self._review_m:
            severity = Severity.IMMOBILISE if metres > self._immobilise_m else Severity.REVIEW
        if severity <= memory.up:
            return None
        memory.up = severity
        minutes = (now.at - memory.since) / MINUTE
        value = float(round(metres))
        reason = f"The machine is {value:.0f} m outside its zone, for {minutes:.0f} min."
        return Verdict(
            self.name, True, now.at, severity, value, accuracy + settings.open_m, "m", reason
        )

    def _clear(self, memory: OutOfRegionMemory, step: Step, outside_m: float) -> Verdict:
        severity = Severity(memory.up)
        memory.up = memory.fixes = memory.back = 0
        return Verdict(
            self.name,
            False,
            step.now.at,
            severity,
            float(round(outside_m)),
            self._settings.clear_m,
            "m",
            "The machine is back in its zone.",
        )

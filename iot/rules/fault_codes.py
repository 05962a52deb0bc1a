"""Fault codes: the machine reports faults of its own."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from iot.rules.rule import Scene, Severity, Verdict
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import MINUTE


@dataclass(frozen=True)
class FaultCodesSettings:
    """Thresholds.

    Attributes:
        open_samples: so many samples in a row must report a fault.
        contact_faults: from so many active codes on the lessee is contacted.
        clear_minutes: without any code for so long it is over.
    """

    open_samples: int = 1
    contact_faults: int = 3
    clear_minutes: float = 30.0


class FaultCodesMemory(msgspec.Struct, gc=False):
    """samples: in a row with codes; quiet: milliseconds without."""

    samples: int = 0
    quiet: int = 0
    up: int = 0


class FaultCodes(Untimed):
    """One alert while any code is active; codes themselves stay in the samples."""

    name = "fault_codes"
    memory = FaultCodesMemory

    __slots__ = ("_settings",)

    def __init__(self, settings: FaultCodesSettings) -> None:
        self._settings = settings

    def observe(self, memory: FaultCodesMemory, step: Step, scene: Scene) -> Verdict | None:
        faults = step.now.faults
        if not faults:
            if memory.up:
                return self._quiet(memory, step)
            if memory.samples:
                memory.samples = 0
            return None
        settings = self._settings
        memory.quiet = 0
        memory.samples += 1
        severity = Severity.CONTACT if len(faults) >= settings.contact_faults else Severity.INFO
        if memory.samples < settings.open_samples or severity <= memory.up:
            return None
        memory.up = severity
        # The codes are the device's own words: an alert's text counts them and repeats none.
        count = float(len(faults))
        reason = f"The machine reports {len(faults)} active fault codes."
        return Verdict(self.name, True, step.now.at, severity, count, 1.0, "codes", reason)

    def _quiet(self, memory: FaultCodesMemory, step: Step) -> Verdict | None:
        memory.quiet += step.elapsed
        minutes = memory.quiet / MINUTE
        clear = self._settings.clear_minutes
        if minutes < clear:
            return None
        severity = Severity(memory.up)
        memory.up = memory.samples = 0
        reason = f"The machine reported no fault code for {minutes:.0f} min."
        return Verdict(self.name, False, step.now.at, severity, minutes, clear, "min", reason)

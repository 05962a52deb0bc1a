"""Which happenings each rule is to find, from which size on, and how late it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from simulations.fleet.truth import Happening


@dataclass(frozen=True)
class Expectation:
    """What one rule is for.

    Attributes:
        finds: kinds, each with the size (in the kind's unit) from which on it must be found. An
            alert on a smaller one is right, and one that is missed is no loss.
        explains: kinds on which the rule may raise an alert, but need not.
        early_hours, late_hours: an alert belongs to a happening if it opens within it, or so long
            before its start or after its end.
    """

    finds: Mapping[Happening, float]
    explains: frozenset[Happening] = frozenset()
    early_hours: float = 0.1
    late_hours: float = 1.0


EXPECTATIONS: Final[Mapping[str, Expectation]] = MappingProxyType(
    {
        "idle_machine": Expectation(
            {Happening.IDLE: 24.5}, frozenset({Happening.IDLE_UNMETERED}), late_hours=3.0
        ),
        "silent_device": Expectation({Happening.SILENT: 6.5}),
        "engine_idling": Expectation({Happening.ENGINE_IDLING: 3.0}),
        "out_of_region": Expectation(
            {
                Happening.THEFT_TOWED: 120.0,
                Happening.THEFT_DRIVEN: 120.0,
                Happening.EXCURSION: 120.0,
            },
            frozenset({Happening.GPS_SPOOF}),
        ),
        "fuel_against_hours": Expectation(
            {Happening.FUEL_DRIFT: 40.0},
            frozenset({Happening.FROZEN_HOURS, Happening.METER_JUMP}),
            late_hours=48.0,
        ),
        "tank_balance": Expectation(
            {Happening.SIPHONING: 25.0, Happening.FUEL_LEAK: 25.0}, late_hours=6.0
        ),
        "moved_engine_off": Expectation(
            {Happening.THEFT_TOWED: 0.0},
            frozenset({Happening.THEFT_DRIVEN, Happening.TRANSPORT, Happening.GPS_SPOOF}),
        ),
        "off_hours_use": Expectation(
            {Happening.OFF_HOURS_USE: 0.5}, frozenset({Happening.METER_JUMP})
        ),
        "tampered": Expectation({Happening.TAMPER: 0.0}),
        "frozen_counter": Expectation({Happening.FROZEN_HOURS: 1.0}),
        "hours_backwards": Expectation({Happening.DEVICE_REPLACED: 0.0}),
        "impossible_hours": Expectation({Happening.METER_JUMP: 1.2}),
        "teleport": Expectation({Happening.GPS_SPOOF: 0.0}, late_hours=2.0),
        "fault_codes": Expectation({Happening.FAULT: 0.0}),
    }
)
"""By the rule's name."""

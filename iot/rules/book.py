"""The rule book: all rules in their order, and one memory of each for every machine.

A new rule is a module with a class as `iot.rules.rule.Rule` says, a field of `RuleSettings`, a
table in `thresholds.toml`, and a line here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from iot.codec.sample import Sample
from iot.rules.engine_idling import EngineIdling
from iot.rules.fault_codes import FaultCodes
from iot.rules.frozen_counter import FrozenCounter
from iot.rules.fuel_against_hours import FuelAgainstHours
from iot.rules.hours_backwards import HoursBackwards
from iot.rules.idle_machine import IdleMachine
from iot.rules.impossible_hours import ImpossibleHours
from iot.rules.moved_engine_off import MovedEngineOff
from iot.rules.off_hours_use import OffHoursUse
from iot.rules.out_of_region import OutOfRegion
from iot.rules.rule import Rule, Scene, Verdict
from iot.rules.settings import RuleSettings
from iot.rules.silent_device import SilentDevice
from iot.rules.tampered import Tampered
from iot.rules.tank_balance import TankBalance
from iot.rules.teleport import Teleport
from iot.rules.untimed import Untimed
from iot.state.step import Step
from iot.units import Millis


def default_rules(settings: RuleSettings) -> tuple[Rule, ...]:
    """Every rule, with its thresholds."""
    return (
        IdleMachine(settings.idle_machine),
        SilentDevice(settings.silent_device),
        EngineIdling(settings.engine_idling),
        OutOfRegion(settings.out_of_region),
        FuelAgainstHours(settings.fuel_against_hours),
        TankBalance(settings.tank_balance),
        MovedEngineOff(settings.moved_engine_off),
        OffHoursUse(settings.off_hours_use),
        Tampered(settings.tampered),
        FrozenCounter(settings.frozen_counter),
        HoursBackwards(settings.hours_backwards),
        ImpossibleHours(settings.impossible_hours),
        Teleport(settings.teleport),
        FaultCodes(settings.fault_codes),
    )


class RuleBook:
    """Rules in their order; memories are lists in the same order, one list a machine.

    Raises:
        ValueError: two rules have the same name.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        names = [rule.name for rule in rules]
        if len(set(names)) != len(names):
            raise ValueError(f"two rules have the same name: {', '.join(sorted(names))}")
        self.rules = rules
        self._observers = tuple(rule.observe for rule in rules)
        self._timed = tuple(
            (place, rule) for place, rule in enumerate(rules) if not isinstance(rule, Untimed)
        )
        self._decoders = {
            rule.name: (place, msgspec.msgpack.Decoder(rule.memory))
            for place, rule in enumerate(rules)
        }

    def fresh(self) -> list[Any]:
        """Memories of a machine that is new, or newly let."""
        return [rule.memory() for rule in self.rules]

    def observe(self, memories: list[Any], step: Step, scene: Scene) -> list[Verdict]:
        """Show one step to every rule; the verdicts in the rules' order, mostly none."""
        verdicts: list[Verdict] = []
        for observe, memory in zip(self._observers, memories, strict=True):
            verdict = observe(memory, step, scene)
            if verdict is not None:
                verdicts.append(verdict)
        return verdicts

    def due(self, memories: list[Any]) -> Millis | None:
        """The soonest time at which `expire` has something to do; it may change with each step."""
        soonest: Millis | None = None
        for place, rule in self._timed:
            due = rule.due(memories[place])
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        return soonest

    def expire(self, memories: list[Any], now: Millis, last: Sample, scene: Scene) -> list[Verdict]:
        """Show the time to the rules that are due."""
        verdicts: list[Verdict] = []
        for place, rule in self._timed:
            due = rule.due(memories[place])
            if due is not None and due <= now:
                verdict = rule.expire(memories[place], now, last, scene)
                if verdict is not None:
                    verdicts.append(verdict)
        return verdicts

    def store(self, memories: list[Any]) -> bytes:
        """Memories by their rules' names, as MessagePack."""
        named = {rule.name: memory for rule, memory in zip(self.rules, memories, strict=True)}
        return msgspec.msgpack.encode(named)

    def restore(self, stored: bytes) -> list[Any]:
        """Memories from `store`. A rule that was added since begins anew, one that is gone is left
        out, and so is a memory that a newer version of its rule can't read.

        Raises:
            msgspec.MsgspecError: the bytes are no stored memories.
        """
        memories = self.fresh()
        for name, raw in msgspec.msgpack.decode(stored, type=dict[str, msgspec.Raw]).items():
            known = self._decoders.get(name)
            if known is None:
                continue
            place, decoder = known
            try:
                memories[place] = decoder.decode(raw)
            except msgspec.ValidationError:
                continue
        return memories

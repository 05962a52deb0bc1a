"""Thresholds of all rules, from one reviewed TOML file.

    [idle_machine]
    open_hours = 24.0   # why this figure, and who decided it

One table a rule, one key a threshold; the end of a key is its unit, which also bounds it: a
'_minutes' that reads 1800000 was meant in milliseconds, a '_share' of 80 in percent. What is left
out keeps its default. `thresholds.toml` beside this module holds every default with its reason.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from iot.errors import TelemetryError
from iot.rules.engine_idling import EngineIdlingSettings
from iot.rules.fault_codes import FaultCodesSettings
from iot.rules.frozen_counter import FrozenCounterSettings
from iot.rules.fuel_against_hours import FuelAgainstHoursSettings
from iot.rules.hours_backwards import HoursBackwardsSettings
from iot.rules.idle_machine import IdleMachineSettings
from iot.rules.impossible_hours import ImpossibleHoursSettings
from iot.rules.moved_engine_off import MovedEngineOffSettings
from iot.rules.off_hours_use import OffHoursUseSettings
from iot.rules.out_of_region import OutOfRegionSettings
from iot.rules.silent_device import SilentDeviceSettings
from iot.rules.tampered import TamperedSettings
from iot.rules.tank_balance import TankBalanceSettings
from iot.rules.teleport import TeleportSettings

_MOST_BYTES: Final = 64 * 1024

_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "hours": (0.01, 8_760.0),
    "minutes": (0.0, 10_080.0),
    "m": (0.0, 100_000.0),
    "km": (0.01, 1_000.0),
    "kmh": (1.0, 300.0),
    "l": (0.1, 10_000.0),
    "percent": (0.01, 100.0),
    "share": (0.001, 1.0),
    "z": (1.0, 100.0),
    "times": (1.0, 100.0),
    "fixes": (1, 1_000),
    "samples": (1, 1_000),
    "faults": (1, 100),
    "windows": (1, 1_000),
}
"""Least and most by the last word of a key."""

_COUNTS: Final = frozenset({"fixes", "samples", "faults", "windows"})

_NOT_ABOVE: Final = (
    ("idle_machine", "open_hours", "review_hours"),
    ("silent_device", "open_hours", "review_hours"),
    ("engine_idling", "clear_share", "open_share"),
    ("out_of_region", "clear_m", "open_m"),
    ("out_of_region", "open_m", "review_m"),
    ("out_of_region", "review_m", "immobilise_m"),
    ("moved_engine_off", "clear_m", "open_m"),
    ("moved_engine_off", "open_m", "immobilise_m"),
    ("fuel_against_hours", "clear_z", "open_z"),
    ("fuel_against_hours", "spread_share", "learning_share"),
    ("fuel_against_hours", "learning_windows", "kept_windows"),
    ("tank_balance", "open_l", "review_l"),
)
"""Rule, and two of its keys of which the first may not exceed the second."""

_LEAST: Final = (("teleport", "open_m", 475.0),)
"""Rule, key and the least that it works with."""


class RuleSettingsInvalid(TelemetryError):
    """The file of thresholds can't be used."""


@dataclass(frozen=True)
class RuleSettings:
    """One field a rule, named as the rule."""

    idle_machine: IdleMachineSettings = field(default_factory=IdleMachineSettings)
    silent_device: SilentDeviceSettings = field(default_factory=SilentDeviceSettings)
    engine_idling: EngineIdlingSettings = field(default_factory=EngineIdlingSettings)
    out_of_region: OutOfRegionSettings = field(default_factory=OutOfRegionSettings)
    fuel_against_hours: FuelAgainstHoursSettings = field(default_factory=FuelAgainstHoursSettings)
    tank_balance: TankBalanceSettings = field(default_factory=TankBalanceSettings)
    moved_engine_off: MovedEngineOffSettings = field(default_factory=MovedEngineOffSettings)
    off_hours_use: OffHoursUseSettings = field(default_factory=OffHoursUseSettings)
    tampered: TamperedSettings = field(default_factory=TamperedSettings)
    frozen_counter: FrozenCounterSettings = field(default_factory=FrozenCounterSettings)
    hours_backwards: HoursBackwardsSettings = field(default_factory=HoursBackwardsSettings)
    impossible_hours: ImpossibleHoursSettings = field(default_factory=ImpossibleHoursSettings)
    teleport: TeleportSettings = field(default_factory=TeleportSettings)
    fault_codes: FaultCodesSettings = field(default_factory=FaultCodesSettings)

    def __post_init__(self) -> None:
        """Refuse what no rule can work with.

        Raises:
            RuleSettingsInvalid: names rule and key, and what would be right.
        """
        for rule in fields(self):
            settings = getattr(self, rule.name)
            for key in fields(settings):
                _check(rule.name, key.name, getattr(settings, key.name))
        for name, low, high in _NOT_ABOVE:
            settings = getattr(self, name)
            if getattr(settings, low) > getattr(settings, high):
                raise RuleSettingsInvalid(f"'{name}.{low}' must not exceed '{name}.{high}'")
        for name, key_name, least in _LEAST:
            if getattr(getattr(self, name), key_name) < least:
                raise RuleSettingsInvalid(f"'{name}.{key_name}' must be at least {least:g}")


def read_rule_settings(path: Path) -> RuleSettings:
    """Read a file of thresholds.

    Raises:
        RuleSettingsInvalid: says which file and key, and what would be right.
    """
    tables = _read_toml(path)
    settings = RuleSettings()
    rules = {rule.name: getattr(settings, rule.name) for rule in fields(settings)}
    changed: dict[str, Any] = {}
    for name, table in tables.items():
        if name not in rules:
            raise RuleSettingsInvalid(
                f"{path}: unknown rule {name[:40]!r}; known are {', '.join(rules)}"
            )
        if not isinstance(table, dict):
            raise RuleSettingsInvalid(f"{path}: '{name}' must be a table, as '[{name}]'")
        known = [key.name for key in fields(rules[name])]
        for key in table:
            if key not in known:
                raise RuleSettingsInvalid(
                    f"{path}: unknown key {key[:40]!r} in '[{name}]'; known are {', '.join(known)}"
                )
        changed[name] = replace(rules[name], **table)
    try:
        return replace(settings, **changed)
    except RuleSettingsInvalid as error:
        raise RuleSettingsInvalid(f"{path}: {error}") from None


def _check(rule: str, key: str, value: object) -> None:
    unit = key.rsplit("_", 1)[-1]
    least, most = _BOUNDS[unit]
    whole = unit in _COUNTS
    kind = "whole number" if whole else "number"
    right = f"'{rule}.{key}' must be a {kind} of {unit}, {least:g} to {most:,g}"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise RuleSettingsInvalid(right)
    if not math.isfinite(value) or not least <= value <= most:
        raise RuleSettingsInvalid(f"{right}, not {value:g}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise RuleSettingsInvalid(f"{path}: is longer than {_MOST_BYTES:,} bytes")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise RuleSettingsInvalid(
            f"{path}: cannot be read ({error.strerror}); name a TOML file of thresholds"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RuleSettingsInvalid(f"{path}: is not readable TOML: {error}") from None

"""The optional [monitoring] section of the desk's settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from federation.errors import InputError
from server.desk.monitoring.drift import DriftSettings

_NAMES = tuple(one.name for one in fields(DriftSettings))
_WHOLE = ("least_scores", "checks", "window")


def drift_settings(section: Mapping[str, Any], where: str) -> DriftSettings:
    """Thresholds of the drift alarm; what the section leaves out keeps its default.

    Args:
        section: of the TOML file, by name; see `DriftSettings` for the names.
        where: the file and the section, for errors: 'desk.toml, [monitoring]'.

    Raises:
        InputError: an unknown name, a wrong type, or thresholds that can't be.
    """
    given: dict[str, Any] = {}
    for name, value in section.items():
        if name not in _NAMES:
            raise InputError(f"{where}: '{name}' is not known; known are {', '.join(_NAMES)}")
        whole = name in _WHOLE
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise InputError(f"{where}: '{name}' must be a {'whole ' if whole else ''}number")
        given[name] = value
    settings = DriftSettings(**given)
    if not 0 < settings.clear_at <= settings.raise_at:
        raise InputError(f"{where}: it must be that 0 < clear_at <= raise_at")
    if not 0 < settings.significance < 1:
        raise InputError(f"{where}: 'significance' must lie between 0 and 1, such as 0.01")
    if settings.least_scores < 1 or settings.checks < 1 or settings.check_seconds < 1:
        raise InputError(f"{where}: least_scores, checks and check_seconds must be 1 or more")
    if settings.window not in (1_000, 10_000) or settings.least_scores > settings.window:
        raise InputError(
            f"{where}: 'window' must be 1000 or 10000 scores, least_scores no more than it"
        )
    return settings

"""One entry of the fleet file, a TOML table or a CSV row: every key known, every value checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from iot.errors import FleetInvalid
from iot.units import Millis

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", re.ASCII)
_WHOLE: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_YEAR: Final = 2100
_MOMENT_FORM: Final = "must be a time in UTC, such as 2026-01-01T00:00:00Z"


class Entry:
    """Values by key, with the place that errors name. Cells of a CSV row are text; '' is 'none'.

    Raises:
        FleetInvalid: a key is not known; and from each method, that its value is not right.
    """

    __slots__ = ("_content", "_known", "place")

    def __init__(
        self, content: Mapping[str, Any], place: str, known: tuple[str, ...] | None
    ) -> None:
        """`known` None: the keys were checked before, as a CSV header is once for all rows."""
        self._content, self.place, self._known = content, place, known
        if known is not None:
            for key in content:
                if key not in known:
                    self.refuse(key[:64], f"is not known; the keys are {', '.join(known)}")

    def refuse(self, key: str, why: str) -> NoReturn:
        raise FleetInvalid(f"{self.place}, {key}: {why}.")

    def value(self, key: str, default: object) -> Any:
        value = self._content.get(key)
        return default if value is None or value == "" else value

    def name(self, key: str) -> str:
        return self.checked_name(key, self._needed(key))

    def name_or_none(self, key: str) -> str | None:
        value = self.value(key, None)
        return None if value is None else self.checked_name(key, value)

    def checked_name(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            self.refuse(key, f"must be a name in quotes, not {_kind(value)}")
        if not NAME.fullmatch(value):
            self.refuse(key, "must be 1 to 64 letters, digits, '.', '_' and '-'")
        return value

    def positive(self, key: str) -> float:
        value = self._needed(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, f"must be a number, not {_kind(value)}")
        if not math.isfinite(value) or value <= 0:
            self.refuse(key, "must be a finite number above 0")
        return float(value)

    def positive_or_none(self, key: str) -> float | None:
        return None if self.value(key, None) is None else self.positive(key)

    def whole(self, key: str, least: int, most: int, default: int) -> int:
        value = self.value(key, default)
        if isinstance(value, str) and self._known is None and _WHOLE.fullmatch(value):
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            self.refuse(key, f"must be a whole number from {least} to {most}")
        return value

    def moment(self, key: str) -> Millis:
        value = self._needed(key)
        if isinstance(value, str):
            if not _MOMENT.fullmatch(value):
                self.refuse(key, _MOMENT_FORM)
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                self.refuse(key, f"is no day and time of the calendar; it {_MOMENT_FORM}")
        elif not isinstance(value, datetime):
            self.refuse(key, f"{_MOMENT_FORM}, not {_kind(value)}")
        if value.utcoffset() != timedelta():
            self.refuse(key, _MOMENT_FORM)
        if not _EPOCH.year <= value.year < _LAST_YEAR:
            self.refuse(key, f"must lie in the years {_EPOCH.year} to {_LAST_YEAR - 1}")
        return Millis((value - _EPOCH) // _MILLISECOND)

    def moment_or_none(self, key: str) -> Millis | None:
        return None if self.value(key, None) is None else self.moment(key)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self.value(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.refuse(key, f"must be tables, each begun by [[{key}]]")
        return value

    def rings(self, key: str) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Rings of (longitude, latitude), closed where they were not."""
        value = self._needed(key)
        if not isinstance(value, list) or not value:
            self.refuse(key, "must be a list of rings, each a list of [longitude, latitude]")
        return tuple(self._ring(key, number, ring) for number, ring in enumerate(value, 1))

    def _ring(self, key: str, number: int, ring: object) -> tuple[tuple[float, float], ...]:
        if not isinstance(ring, list):
            self.refuse(key, f"ring {number} must be a list of [longitude, latitude]")
        points: list[tuple[float, float]] = []
        for point_number, point in enumerate(ring, 1):
            if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
                self.refuse(
                    key,
                    f"ring {number}, point {point_number} must be two finite numbers, "
                    "[longitude, latitude]",
                )
            points.append((float(point[0]), float(point[1])))
        if points and points[0] != points[-1]:
            points.append(points[0])
        return tuple(points)

    def _needed(self, key: str) -> Any:
        value = self.value(key, None)
        if value is None:
            self.refuse(key, "is missing")
        return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1_000.0


def _kind(value: object) -> str:
    return f"the {type(value).__name__} {value!r}"[:60]

"""What a server says of one machine, in our units: observations, each with its own moment.

Element names are those of ISO/TS 15143-3. XML and JSON differ in spelling (`EquipmentID` and
`EquipmentId`, an attribute or an element for `datetime`), so names are compared without case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntFlag
from typing import Final

from iot.errors import TelemetryError
from iot.units import Millis

LITRES_A_GALLON: Final = 3.785411784
"""The US gallon, exactly."""

KILOMETRES_A_MILE: Final = 1.609344
"""The international mile, exactly."""

COUNTER_LIMIT: Final = 10_000_000.0
"""No machine reaches so many hours, litres or kilometres."""

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][+-]?[0-9]{1,2})?")
_CODE: Final = re.compile(r"[A-Za-z0-9._:-]{1,32}")
_LITRES: Final = {"litre": 1.0, "liter": 1.0, "l": 1.0, "gallon": LITRES_A_GALLON}
_KILOMETRES: Final = {
    "kilometre": 1.0,
    "kilometer": 1.0,
    "km": 1.0,
    "mile": KILOMETRES_A_MILE,
    "mi": KILOMETRES_A_MILE,
}

Section = Mapping[str, object]
"""One element of a machine: its attributes and children by name in small letters."""


class AempInvalid(TelemetryError):
    """An answer is no AEMP 2.0 document; nothing of it was taken."""


class Kind(IntFlag):
    """What was observed. The numbers are part of a sample's key: never change them."""

    OPERATING_HOURS = 1
    IDLE_HOURS = 2
    FUEL_USED = 4
    FUEL_REMAINING = 8
    LOCATION = 16
    ENGINE = 32
    DISTANCE = 64
    FAULT = 128


@dataclass(frozen=True)
class Observation:
    """One element of a machine, at its own moment.

    Attributes:
        value: hours, litres, percent, km, (latitude, longitude), running or not, or a fault's code.
    """

    kind: Kind
    at: Millis
    value: float | bool | str | tuple[float, float]


@dataclass(frozen=True)
class Refusal:
    """One element that was not taken, and why. It holds no position."""

    machine: str
    element: str
    reason: str


@dataclass(frozen=True)
class Header:
    """How a server names a machine; '' is what it did not say."""

    oem: str = ""
    model: str = ""
    equipment_id: str = ""
    serial: str = ""
    pin: str = ""

    @property
    def name(self) -> str:
        """For people: the first name that there is."""
        return self.pin or self.serial or self.equipment_id or "without a name"


@dataclass(frozen=True)
class AempRecord:
    """One machine of an answer."""

    header: Header
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class FleetPage:
    """One page of an answer.

    Attributes:
        next_link: of the page after it, as the server wrote it; None on the last.
        refused: elements that were not taken; the rest of their machine was.
    """

    records: tuple[AempRecord, ...]
    next_link: str | None
    refused: tuple[Refusal, ...]


def header_of(section: Section) -> Header:
    """Read an EquipmentHeader."""
    return Header(
        oem=_text(section, "oemname"),
        model=_text(section, "model"),
        equipment_id=_text(section, "equipmentid"),
        serial=_text(section, "serialnumber"),
        pin=_text(section, "pin"),
    )


def observations_of(
    machine: str, sections: list[tuple[str, Section]]
) -> tuple[tuple[Observation, ...], tuple[Refusal, ...]]:
    """Read a machine's elements; those that this room has no use for are passed over.

    Returns:
        What was observed, and what was not taken: an element without its moment, with a value out
        of range or in an unknown unit. Nothing is repaired.
    """
    taken: list[Observation] = []
    refused: list[Refusal] = []
    for element, section in sections:
        reader = _READERS.get(element.lower())
        if reader is None:
            continue
        kind, value_of = reader
        try:
            at = _moment(section)
            taken.append(Observation(kind, at, value_of(section)))
        except AempInvalid as error:
            refused.append(Refusal(machine, element[:64], str(error)))
    return tuple(taken), tuple(refused)


def _moment(section: Section) -> Millis:
    text = _text(section, "datetime")
    if not text:
        raise AempInvalid("It has no datetime, so it is of no moment.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise AempInvalid(f"Its datetime {text[:40]!r} is not of ISO 8601.") from None
    if moment.tzinfo is None:
        raise AempInvalid(f"Its datetime '{text}' has no zone; the standard asks for UTC, 'Z'.")
    if moment < _EARLIEST:
        raise AempInvalid(f"Its datetime '{text}' is before 2000, which is how 'never' is written.")
    return Millis(int(moment.timestamp() * 1_000 + 0.5))


def _counter(name: str, section: Section) -> float:
    return _number(name, section, 0.0, COUNTER_LIMIT)


def _measured(name: str, units: str, factors: Mapping[str, float], section: Section) -> float:
    unit = _text(section, units.lower())
    factor = factors.get(unit.lower())
    if factor is None:
        known = ", ".join(f"'{name}'" for name in factors)
        raise AempInvalid(f"Its {units} is {unit[:40]!r}; known are {known}.")
    return _number(name, section, 0.0, COUNTER_LIMIT) * factor


def _position(section: Section) -> tuple[float, float]:
    try:
        latitude = _number("Latitude", section, -90.0, 90.0)
        longitude = _number("Longitude", section, -180.0, 180.0)
    except AempInvalid:
        # What was sent may be half a position, which is in no record of what was refused.
        raise AempInvalid("Its Latitude and Longitude are not both on the globe.") from None
    if latitude == 0.0 and longitude == 0.0:
        raise AempInvalid("Its position is 0, 0, which is how 'no fix' is written.")
    return latitude, longitude


def _running(section: Section) -> bool:
    text = _text(section, "running").lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise AempInvalid(f"Its Running is {text[:40]!r}; it is 'true' or 'false'.")


def _fault(section: Section) -> str:
    code = _text(section, "codeidentifier")
    if not _CODE.fullmatch(code):
        raise AempInvalid(
            f"Its CodeIdentifier is {code[:40]!r}; a code has 1 to 32 letters, digits and '._:-'."
        )
    return code


def _number(name: str, section: Section, least: float, most: float) -> float:
    text = _text(section, name.lower())
    if not _NUMBER.fullmatch(text):
        raise AempInvalid(f"Its {name} is {text[:40]!r}, which is no number.")
    number = float(text)
    if not (math.isfinite(number) and least <= number <= most):
        raise AempInvalid(f"Its {name} is {text[:40]}; it is between {least:g} and {most:g}.")
    return number


def _text(section: Section, name: str) -> str:
    value = section.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | str):
        return str(value).strip()
    return ""


_READERS: Final[
    Mapping[str, tuple[Kind, Callable[[Section], float | bool | str | tuple[float, float]]]]
] = {
    "cumulativeoperatinghours": (Kind.OPERATING_HOURS, lambda s: _counter("Hour", s)),
    "cumulativeidlehours": (Kind.IDLE_HOURS, lambda s: _counter("Hour", s)),
    "fuelused": (
        Kind.FUEL_USED,
        lambda s: _measured("FuelConsumed", "FuelUnits", _LITRES, s),
    ),
    "fuelremaining": (Kind.FUEL_REMAINING, lambda s: _number("Percent", s, 0.0, 100.0)),
    "location": (Kind.LOCATION, _position),
    "enginestatus": (Kind.ENGINE, _running),
    "distance": (
        Kind.DISTANCE,
        lambda s: _measured("Odometer", "OdometerUnits", _KILOMETRES, s),
    ),
    "faultcode": (Kind.FAULT, _fault),
}

"""Samples of a machine's observations: one a moment, never a mixture of two.

In AEMP every element has its own datetime: the hours may be of eight o'clock and the position of
ten. What lies within `WITHIN` of the first of its group is of one moment; each group becomes a
sample of its own, in which what was not observed then is None. Within it a machine gains less than
a tick of its hour meter. Of two observations of one kind in a group the later is taken, and the
engine is on where any engine is.

A server counts no messages, so the key is made up: `boot` = event time in milliseconds x 256 + the
kinds observed, and `seq` = 1. Each sample is thus the first and last message of a boot of its own:
nothing seems to be missing between two, and nothing is asked for again. The same answer polled
twice gives the same keys, and is stored once. A later answer that no longer has one of the elements
gives another key, and contradicts nothing; another value at the same moment gives the same key, and
is found. A machine is either pulled or has a device of its own, whose boots count from 1: not both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from iot.aemp.record import AempInvalid, AempRecord, Header, Kind, Observation
from iot.codec.sample import Sample
from iot.units import MINUTE, DeviceId, Millis

WITHIN: Final = MINUTE
"""Observations of a group are no further from its first than this, in milliseconds."""

_FIELDS: Final[Mapping[Kind, str]] = {
    Kind.OPERATING_HOURS: "operating_hours",
    Kind.IDLE_HOURS: "idle_hours",
    Kind.FUEL_USED: "fuel_used_l",
    Kind.FUEL_REMAINING: "fuel_remaining_percent",
    Kind.DISTANCE: "distance_km",
}


def device_of(header: Header, register: Mapping[str, DeviceId]) -> DeviceId | None:
    """The device of a machine by its PIN, serial number or equipment id; None: not registered.

    Args:
        register: devices by whichever of the three names the lessor knows.

    Raises:
        AempInvalid: two of its names are of different devices.
    """
    names = (header.pin, header.serial, header.equipment_id)
    found = {register[name] for name in names if name in register}
    if len(found) > 1:
        raise AempInvalid(
            f"Machine '{header.name}' has names of several devices: {', '.join(sorted(found))}."
        )
    return found.pop() if found else None


def samples_of(
    record: AempRecord, device: DeviceId, received: Millis, within: int = WITHIN
) -> list[Sample]:
    """Samples of one machine in the order of time; the order of its elements makes no difference.

    Args:
        received: when the answer arrived here.
        within: milliseconds; see the module.
    """
    return [_sample(group, device, received) for group in _groups(record.observations, within)]


def _groups(observations: Iterable[Observation], within: int) -> list[list[Observation]]:
    groups: list[list[Observation]] = []
    for one in sorted(observations, key=lambda one: (one.at, one.kind, str(one.value))):
        if groups and one.at - groups[-1][0].at <= within:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _sample(group: list[Observation], device: DeviceId, received: Millis) -> Sample:
    # The hours' moment is the group's: pricing and the check against the clock hang on it.
    hours = [one.at for one in group if one.kind is Kind.OPERATING_HOURS]
    at = hours[-1] if hours else group[-1].at
    kinds = Kind(0)
    fields: dict[str, Any] = {}
    faults: set[str] = set()
    for one in group:
        kinds |= one.kind
        if isinstance(one.value, str):
            faults.add(one.value)
        elif isinstance(one.value, tuple):
            fields["latitude"], fields["longitude"] = one.value
        elif one.kind is Kind.ENGINE:
            fields["engine_on"] = fields.get("engine_on", False) or one.value
        else:
            fields[_FIELDS[one.kind]] = one.value
    return Sample(
        device=device,
        boot=at * 256 + int(kinds),
        seq=1,
        at=at,
        received=received,
        faults=tuple(sorted(faults)),
        **fields,
    )

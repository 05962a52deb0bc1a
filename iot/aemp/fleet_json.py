"""An AEMP 2.0 answer in JSON: `{"Equipment": [...], "Links": [...]}`, as servers vary it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from iot.aemp.record import (
    AempInvalid,
    AempRecord,
    FleetPage,
    Refusal,
    Section,
    header_of,
    observations_of,
)

_EQUIPMENT_LIMIT: Final = 10_000


def parse_fleet_json(payload: bytes) -> FleetPage:
    """Read a page of a fleet snapshot.

    Raises:
        AempInvalid: not JSON, or without a list of Equipment.
    """
    fleet = _root(payload)
    machines = fleet.get("equipment")
    if not isinstance(machines, list):
        raise AempInvalid("The answer has no list of Equipment.")
    if len(machines) > _EQUIPMENT_LIMIT:
        raise AempInvalid(f"The answer has over {_EQUIPMENT_LIMIT} machines on one page.")
    records: list[AempRecord] = []
    refused: list[Refusal] = []
    for machine in machines:
        if not isinstance(machine, dict):
            raise AempInvalid("The answer has a machine in Equipment that is no object.")
        header = header_of(_folded(_folded(machine).get("equipmentheader")))
        taken, left = observations_of(header.name, _sections(machine))
        records.append(AempRecord(header, taken))
        refused += left
    return FleetPage(tuple(records), _next_link(fleet), tuple(refused))


def parse_series_json(payload: bytes, machine: AempRecord) -> FleetPage:
    """Read a page of a time series: lists of elements of one machine.

    Args:
        machine: which the series was asked for.

    Raises:
        AempInvalid: not JSON, or no object.
    """
    series = _root(payload)
    taken, refused = observations_of(machine.header.name, _sections(series))
    return FleetPage((AempRecord(machine.header, taken),), _next_link(series), refused)


def _root(payload: bytes) -> dict[str, object]:
    try:
        document: Any = msgspec.json.decode(payload.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise AempInvalid("The answer is not JSON.") from None
    # Some servers wrap the page in a list of one, some in an object 'Fleet'.
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict):
        raise AempInvalid("The answer is no JSON object.")
    folded = _folded(document)
    return _folded(folded["fleet"]) if isinstance(folded.get("fleet"), dict) else folded


def _sections(machine: dict[str, object]) -> list[tuple[str, Section]]:
    sections: list[tuple[str, Section]] = []
    for name, value in machine.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                sections.append((name, _folded(one)))
    return sections


def _folded(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        return {}
    return {str(name).lower().removeprefix("@"): content for name, content in value.items()}


def _next_link(document: dict[str, object]) -> str | None:
    links = document.get("links")
    for link in links if isinstance(links, list) else [links]:
        folded = _folded(link)
        if str(folded.get("rel", "")).strip().lower() == "next":
            target = folded.get("href")
            return target.strip() or None if isinstance(target, str) else None
    return None

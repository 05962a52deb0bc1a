"""An AEMP 2.0 answer in XML. A document type is refused: none is asked for, and bombs need one."""

from __future__ import annotations

import re
from typing import Any, Final

from lxml import etree

from iot.aemp.record import (
    AempInvalid,
    AempRecord,
    FleetPage,
    Refusal,
    Section,
    header_of,
    observations_of,
)

_DOCUMENT_TYPE: Final = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_EQUIPMENT_LIMIT: Final = 10_000


def parse_fleet_xml(payload: bytes) -> FleetPage:
    """Read a page of a fleet snapshot.

    Raises:
        AempInvalid: not XML in UTF-8, with a document type, or not a Fleet.
    """
    root = _root(payload)
    if _name(root) != "fleet":
        raise AempInvalid(f"The answer's first element is '{_name(root)[:64]}'; it is 'Fleet'.")
    records: list[AempRecord] = []
    refused: list[Refusal] = []
    for equipment in _children(root, "equipment"):
        if len(records) == _EQUIPMENT_LIMIT:
            raise AempInvalid(f"The answer has over {_EQUIPMENT_LIMIT} machines on one page.")
        headers = _children(equipment, "equipmentheader")
        header = header_of(_section(headers[0]) if headers else {})
        taken, left = observations_of(header.name, _sections(equipment))
        records.append(AempRecord(header, taken))
        refused += left
    return FleetPage(tuple(records), _next_link(root), tuple(refused))


def parse_series_xml(payload: bytes, machine: AempRecord) -> FleetPage:
    """Read a page of a time series: elements of one machine under whatever root.

    Args:
        machine: which the series was asked for; the answer itself does not always say it.

    Raises:
        AempInvalid: not XML in UTF-8, or with a document type.
    """
    root = _root(payload)
    taken, refused = observations_of(machine.header.name, _sections(root))
    return FleetPage((AempRecord(machine.header, taken),), _next_link(root), refused)


def _root(payload: bytes) -> Any:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AempInvalid("The answer is not XML in UTF-8.") from None
    if _DOCUMENT_TYPE.search(text):
        raise AempInvalid("The answer has a document type, which this standard has no use for.")
    # The encoding is set: a declaration of another one could hide a document type from the search.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise AempInvalid(f"The answer is not XML: {error.msg}.") from None
    if root is None:
        raise AempInvalid("The answer is an empty document.")
    return root


def _sections(element: Any) -> list[tuple[str, Section]]:
    return [(etree.QName(child).localname, _section(child)) for child in element]


def _section(element: Any) -> Section:
    values: dict[str, object] = {}
    for child in element:
        values.setdefault(_name(child), child.text or "")
    for attribute, value in element.attrib.items():
        values.setdefault(etree.QName(attribute).localname.lower(), value)
    return values


def _children(element: Any, name: str) -> list[Any]:
    return [child for child in element if _name(child) == name]


def _name(element: Any) -> str:
    return str(etree.QName(element).localname).lower()


def _next_link(root: Any) -> str | None:
    for links in _children(root, "links"):
        link = _section(links)
        if str(link.get("rel", "")).strip().lower() == "next":
            return str(link.get("href", "")).strip() or None
    return None

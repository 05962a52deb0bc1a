"""The reviewed fleet file: models and zones in TOML, devices and leases there or in CSV beside it.

fleet.toml:

    rate_cards = ["excavator"]     # the price lists that leases may name
    devices = "devices.csv"        # or [[device]] tables here
    leases = "leases.csv"          # or [[lease]] tables here

    [[model]]
    id = "CAT-320"
    tank_l = 345.0                 # left out: no tank
    litres_per_hour = 15.5         # left out: learnt from the fleet
    top_speed_kmh = 5.7

    [[zone]]
    id = "harbour"
    version = 1
    since = 2026-01-01T00:00:00Z
    rings = [[[9.90, 53.50], [9.99, 53.50], [9.95, 53.56]]]   # longitude, latitude

devices.csv has the columns device, model; leases.csv has lease, device, lessee, start, end, zone,
rate_card, work_from, work_to, utc_offset_minutes, of which those from `end` on may be left out or
empty. A [[device]] or [[lease]] table has the same names as keys. CSV is there for size: it reads
several times as fast as TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from iot.errors import FleetInvalid
from iot.fleet.entry import Entry
from iot.fleet.fleet import Fleet, Lease, Model, Zone
from iot.fleet.rows import read_rows
from iot.geofence.region import region_of
from iot.units import DeviceId, LeaseId, LesseeId, Millis, ModelId, RateCardId, ZoneId

MOST_BYTES: Final = 64_000_000
_FILE_KEYS: Final = ("rate_cards", "devices", "leases", "model", "zone", "device", "lease")
_MODEL_KEYS: Final = ("id", "tank_l", "litres_per_hour", "top_speed_kmh")
_ZONE_KEYS: Final = ("id", "version", "since", "rings")
DEVICE_COLUMNS: Final = ("device", "model")
LEASE_COLUMNS: Final = (
    *("lease", "device", "lessee", "start", "end", "zone", "rate_card"),
    *("work_from", "work_to", "utc_offset_minutes"),
)
_NEEDED_OF_A_LEASE: Final = ("lease", "device", "lessee", "start")
_MOST_OFFSET_MINUTES: Final = 14 * 60


def read_fleet(path: Path) -> Fleet:
    """Read the fleet file and the tables beside it.

    Args:
        path: of the TOML file; files that it names lie in the same folder.

    Raises:
        FleetInvalid: names the file, the entry and the key, and says what would be right.
    """
    document = Entry(_parsed(path), str(path), _FILE_KEYS)
    cards = _names(document, "rate_cards")
    models: dict[ModelId, Model] = {}
    for number, content in enumerate(document.tables("model"), 1):
        entry = Entry(content, f"{path}, model[{number}]", _MODEL_KEYS)
        model = _model(entry)
        if model.id in models:
            entry.refuse("id", f"'{model.id}' is listed already; a model is listed once")
        models[model.id] = model
    zones = _zones(document, path)
    devices: dict[DeviceId, ModelId] = {}
    for entry in _entries(document, path, "device", DEVICE_COLUMNS, DEVICE_COLUMNS):
        device, of_model = DeviceId(entry.name("device")), ModelId(entry.name("model"))
        if device in devices:
            entry.refuse("device", f"'{device}' is listed already; a device is listed once")
        if of_model not in models:
            entry.refuse("model", f"'{of_model}' is no [[model]] of this fleet")
        devices[device] = of_model
    leases = _leases(
        _entries(document, path, "lease", LEASE_COLUMNS, _NEEDED_OF_A_LEASE), devices, zones, cards
    )
    try:
        return Fleet(models, devices, leases, zones)
    except FleetInvalid as error:
        raise FleetInvalid(f"{path}: {error}") from None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FleetInvalid(f"{path}: can't be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise FleetInvalid(f"{path}: is larger than {MOST_BYTES} bytes; keep devices in CSV files.")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise FleetInvalid(f"{path}: is no UTF-8 text; save it as UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise FleetInvalid(f"{path}: is no TOML ({error}).") from None


def _names(document: Entry, key: str) -> frozenset[str]:
    value = document.value(key, default=[])
    if not isinstance(value, list):
        document.refuse(key, 'must be a list of names, such as ["excavator"]')
    names = [document.checked_name(key, name) for name in value]
    for name in names:
        if names.count(name) > 1:
            document.refuse(key, f"lists '{name}' twice")
    return frozenset(names)


def _entries(
    document: Entry, path: Path, noun: str, columns: tuple[str, ...], needed: tuple[str, ...]
) -> Iterable[Entry]:
    """The tables [[noun]], or the rows of the CSV file that the key `nouns` names."""
    plural = f"{noun}s"
    file = document.value(plural, default=None)
    if file is None:
        for number, content in enumerate(document.tables(noun), 1):
            yield Entry(content, f"{path}, {noun}[{number}]", columns)
        return
    if document.tables(noun):
        document.refuse(plural, f"names a file, and there are [[{noun}]] tables too; keep one")
    if not isinstance(file, str) or Path(file).name != file:
        document.refuse(plural, f'must name a file in the same folder, such as "{plural}.csv"')
    yield from read_rows(path.parent / str(file), columns, needed, MOST_BYTES)


def _model(entry: Entry) -> Model:
    return Model(
        ModelId(entry.name("id")),
        entry.positive_or_none("tank_l"),
        entry.positive_or_none("litres_per_hour"),
        entry.positive("top_speed_kmh"),
    )


def _zones(document: Entry, path: Path) -> dict[ZoneId, tuple[Zone, ...]]:
    found: dict[ZoneId, list[Zone]] = {}
    for number, content in enumerate(document.tables("zone"), 1):
        entry = Entry(content, f"{path}, zone[{number}]", _ZONE_KEYS)
        zone = Zone(
            ZoneId(entry.name("id")),
            entry.whole("version", 1, 1_000_000, default=1),
            entry.moment("since"),
            entry.rings("rings"),
        )
        versions = found.setdefault(zone.id, [])
        if any(other.version == zone.version for other in versions):
            entry.refuse("version", f"zone '{zone.id}' has a version {zone.version} already")
        try:
            region_of(zone)
        except FleetInvalid as error:
            entry.refuse("rings", str(error).rstrip("."))
        versions.append(zone)
    zones = {name: tuple(sorted(v, key=lambda one: one.version)) for name, v in found.items()}
    for name, in_order in zones.items():
        for earlier, later in pairwise(in_order):
            if later.since <= earlier.since:
                raise FleetInvalid(
                    f"{path}: zone '{name}', version {later.version}, holds since no later than "
                    f"version {earlier.version}; a later version must hold from a later time on."
                )
    return zones


def _leases(
    entries: Iterable[Entry],
    devices: dict[DeviceId, ModelId],
    zones: dict[ZoneId, tuple[Zone, ...]],
    cards: frozenset[str],
) -> dict[DeviceId, tuple[Lease, ...]]:
    found: dict[DeviceId, list[tuple[Lease, Entry]]] = {}
    listed: set[str] = set()
    for entry in entries:
        lease = _lease(entry)
        if lease.id in listed:
            entry.refuse("lease", f"'{lease.id}' is listed already; a lease is listed once")
        if lease.device not in devices:
            entry.refuse("device", f"'{lease.device}' is no device of this fleet")
        if lease.zone is not None and lease.zone not in zones:
            entry.refuse("zone", f"'{lease.zone}' is no [[zone]] of this fleet")
        if lease.rate_card is not None and lease.rate_card not in cards:
            entry.refuse("rate_card", f"'{lease.rate_card}' is not listed in 'rate_cards'")
        listed.add(lease.id)
        found.setdefault(lease.device, []).append((lease, entry))
    for of_device in found.values():
        of_device.sort(key=lambda pair: pair[0].start)
        for (earlier, _), (later, entry) in pairwise(of_device):
            if earlier.end is None or earlier.end > later.start:
                entry.refuse(
                    "start",
                    f"lease '{later.id}' overlaps lease '{earlier.id}' of device "
                    f"'{later.device}'; end the earlier one at or before the later one's start",
                )
    return {device: tuple(lease for lease, _ in pairs) for device, pairs in found.items()}


def _lease(entry: Entry) -> Lease:
    start = entry.moment("start")
    end = entry.moment_or_none("end")
    if end is not None and end <= start:
        entry.refuse("end", "must be later than 'start'; leave it out where the lease is open")
    zone = entry.name_or_none("zone")
    card = entry.name_or_none("rate_card")
    work_from = entry.whole("work_from", 0, 24, default=0)
    work_to = entry.whole("work_to", 0, 24, default=24)
    if work_from == work_to:
        entry.refuse("work_to", "must differ from 'work_from'; round the clock is 0 to 24")
    return Lease(
        LeaseId(entry.name("lease")),
        DeviceId(entry.name("device")),
        LesseeId(entry.name("lessee")),
        start,
        None if end is None else Millis(end),
        None if zone is None else ZoneId(zone),
        None if card is None else RateCardId(card),
        work_from,
        work_to,
        entry.whole("utc_offset_minutes", -_MOST_OFFSET_MINUTES, _MOST_OFFSET_MINUTES, default=0),
    )

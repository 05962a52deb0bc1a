"""Write a fleet as the files that `iot.fleet.reading` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from iot.errors import FleetInvalid
from iot.fleet.entry import NAME
from iot.fleet.fleet import Fleet, Lease, Model, Zone
from iot.fleet.reading import DEVICE_COLUMNS, LEASE_COLUMNS
from iot.units import Millis

FLEET_FILE: Final = "fleet.toml"
DEVICES_FILE: Final = "devices.csv"
LEASES_FILE: Final = "leases.csv"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def write_fleet(fleet: Fleet, folder: Path) -> Path:
    """Write fleet.toml, devices.csv and leases.csv; the rate cards listed are those of the leases.

    The TOML file comes last and each file is put in place whole, so that a reader never meets
    half of one.

    Returns:
        The path of the TOML file.

    Raises:
        FleetInvalid: a name is none that the reader takes, or the folder can't be written.
    """
    leases = [lease for of_device in fleet.leases.values() for lease in of_device]
    cards = sorted({lease.rate_card for lease in leases if lease.rate_card is not None})
    _check_names(fleet, leases)
    blocks = [
        "rate_cards = [" + ", ".join(f'"{card}"' for card in cards) + "]",
        f'devices = "{DEVICES_FILE}"',
        f'leases = "{LEASES_FILE}"',
    ]
    blocks += [_model_table(model) for model in fleet.models.values()]
    blocks += [_zone_table(zone) for versions in fleet.zones.values() for zone in versions]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / DEVICES_FILE, _csv(DEVICE_COLUMNS, fleet.devices.items()))
        _put(folder / LEASES_FILE, _csv(LEASE_COLUMNS, map(_lease_row, leases)))
        _put(folder / FLEET_FILE, "\n".join(blocks) + "\n")
    except OSError as error:
        raise FleetInvalid(f"{folder}: can't be written ({error.strerror}).") from None
    return folder / FLEET_FILE


def _check_names(fleet: Fleet, leases: Iterable[Lease]) -> None:
    names: set[str] = {*fleet.models, *fleet.devices, *fleet.zones}
    for lease in leases:
        names |= {lease.id, lease.lessee, lease.rate_card or "-"}
    for name in sorted(names):
        if not NAME.fullmatch(name):
            raise FleetInvalid(
                f"The name {name[:64]!r} can't be written; names are 1 to 64 letters, digits, "
                "'.', '_' and '-'."
            )


def _model_table(model: Model) -> str:
    lines = ["", "[[model]]", f'id = "{model.id}"']
    if model.tank_l is not None:
        lines.append(f"tank_l = {float(model.tank_l)!r}")
    if model.litres_per_hour is not None:
        lines.append(f"litres_per_hour = {float(model.litres_per_hour)!r}")
    lines.append(f"top_speed_kmh = {float(model.top_speed_kmh)!r}")
    return "\n".join(lines)


def _zone_table(zone: Zone) -> str:
    rings = ",\n".join(
        "  [" + ", ".join(f"[{float(x)!r}, {float(y)!r}]" for x, y in ring) + "]"
        for ring in zone.rings
    )
    return "\n".join(
        (
            "",
            "[[zone]]",
            f'id = "{zone.id}"',
            f"version = {zone.version}",
            f"since = {_moment(zone.since)}",
            f"rings = [\n{rings},\n]",
        )
    )


def _lease_row(lease: Lease) -> tuple[object, ...]:
    return (
        lease.id,
        lease.device,
        lease.lessee,
        _moment(lease.start),
        "" if lease.end is None else _moment(lease.end),
        lease.zone or "",
        lease.rate_card or "",
        lease.work_from,
        lease.work_to,
        lease.utc_offset_minutes,
    )


def _moment(at: Millis) -> str:
    moment = _EPOCH + timedelta(milliseconds=at)
    exact = "milliseconds" if at % 1_000 else "seconds"
    return moment.isoformat(timespec=exact).replace("+00:00", "Z")


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _put(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)

"""desk.toml, read once into a frozen value; a wrong key or type is one clear sentence.

Tables that belong to other parts of the desk ([registry], [policy], ...) are kept as they are, and
read by those.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from federation.errors import InputError

SETTINGS_FILE = "desk.toml"
ACCESS_FILE = "access.toml"
_DESK_KEYS = (
    *("listen", "rest_listen", "metrics_listen", "deadline_ms", "batch_deadline_ms"),
    *("label_party_vault", "connections", "drain_seconds"),
)
_OTHERS = ("registry", "policy", "encrypted", "audit", "alerts", "monitoring", "attestations")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class PartnerSettings:
    """Where a partner answers; seconds that it has, None: as long as the call has."""

    address: str
    deadline: float | None = None


@dataclass(frozen=True)
class DeskSettings:
    """A desk's settings.

    Attributes:
        folder: of the desk; relative paths start here.
        listen: host and port of the gRPC service; port 0 takes a free one.
        rest_listen, metrics_listen: of the gateway and the metrics; empty: not served.
        deadline: seconds that an answer about one borrower takes at most.
        batch_deadline: the same for a batch.
        label_party_vault: the label party's vault, whose key the partners know; or None.
        connections: callers' connections at once.
        drain_seconds: that calls under way have at the end.
        partners: by name.
        others: tables that other parts of the desk read, by name.
    """

    folder: Path
    listen: str = "127.0.0.1:8443"
    rest_listen: str = ""
    metrics_listen: str = ""
    deadline: float = 0.05
    batch_deadline: float = 5.0
    label_party_vault: Path | None = None
    connections: int = 256
    drain_seconds: float = 10.0
    partners: Mapping[str, PartnerSettings] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def audit_folder(self) -> Path:
        """Where the audit record lies."""
        return self.folder / str(self.others.get("audit", {}).get("folder", "audit"))

    @property
    def tls(self) -> Path:
        """The folder of the TLS files."""
        return self.folder / "tls"

    @property
    def access_file(self) -> Path:
        """The file of callers."""
        return self.folder / ACCESS_FILE


def read_settings(folder: Path) -> DeskSettings:
    """Read desk.toml of a desk's folder.

    Raises:
        InputError: it is missing, or holds something that the desk does not know.
    """
    path = folder / SETTINGS_FILE
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; `veilscore serve RUN --desk {folder}` makes one"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: the settings can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the settings are not UTF-8 text; save them as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: the settings are not valid TOML: {error}") from None
    _allow(content, ("desk", "partners", *_OTHERS), f"{path}:", "table")
    desk = _table(content, "desk", path)
    where = f"{path}: [desk]"
    _allow(desk, _DESK_KEYS, where, "key")
    vault = _text(desk, "label_party_vault", "", where)
    audit = _table(content, "audit", path)
    _allow(audit, ("folder",), f"{path}: [audit]", "key")
    _text(audit, "folder", "audit", f"{path}: [audit]")
    return DeskSettings(
        folder=folder,
        listen=_address(desk, "listen", DeskSettings.listen, where),
        rest_listen=_address(desk, "rest_listen", "", where),
        metrics_listen=_address(desk, "metrics_listen", "", where),
        deadline=_number(desk, "deadline_ms", 50.0, 60_000, where) / 1000,
        batch_deadline=_number(desk, "batch_deadline_ms", 5_000.0, 600_000, where) / 1000,
        label_party_vault=folder / vault if vault else None,
        connections=_whole(desk, "connections", 256, 100_000, where),
        drain_seconds=_number(desk, "drain_seconds", 10.0, 600, where),
        partners={
            name: _partner(values, f"{path}: [partners.{name}]")
            for name, values in _table(content, "partners", path).items()
        },
        others={name: _table(content, name, path) for name in _OTHERS},
    )


def check_address(address: str, where: str) -> str:
    """An address as HOST:PORT.

    Raises:
        InputError: begins with `where`.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match.group(2)) > 65_535:
        raise InputError(f"{where} must be HOST:PORT, such as 127.0.0.1:8443")
    return address


def _partner(values: Any, where: str) -> PartnerSettings:
    if not isinstance(values, dict):
        raise InputError(f'{where} must be a table with address = "HOST:PORT"')
    _allow(values, ("address", "deadline_ms"), where, "key")
    address = _address(values, "address", "", where)
    if not address:
        raise InputError(f"{where} needs 'address', such as \"partner.example:9443\"")
    if "deadline_ms" not in values:
        return PartnerSettings(address)
    return PartnerSettings(address, _number(values, "deadline_ms", 0, 60_000, where) / 1000)


def _allow(values: Mapping[str, Any], known: Iterable[str], where: str, kind: str) -> None:
    names = list(known)
    for name in values:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(names)}"
            raise InputError(f"{where} has an unknown {kind} '{name}'; {hint}")


def _table(content: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"{path}: '{name}' must be a table, written [{name}]")
    return value


def _text(values: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or (key in values and not value.strip()):
        raise InputError(f"{where} has '{key}' as something else than a text")
    return value


def _address(values: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = values.get(key, default)
    if value == "":
        return ""
    if not isinstance(value, str):
        raise InputError(f"{where}: '{key}' must be HOST:PORT, such as 127.0.0.1:8443")
    return check_address(value, f"{where}: '{key}'")


def _whole(values: Mapping[str, Any], key: str, default: int, at_most: int, where: str) -> int:
    value = values.get(key, default)
    if type(value) is not int or not 0 < value <= at_most:
        raise InputError(f"{where}: '{key}' must be a whole number from 1 to {at_most:,}")
    return value


def _number(
    values: Mapping[str, Any], key: str, default: float, at_most: float, where: str
) -> float:
    value = values.get(key, default)
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 < value <= at_most:
        raise InputError(f"{where}: '{key}' must be a number above 0, at most {at_most:g}")
    return float(value)

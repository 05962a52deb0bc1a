"""`telemetry.toml`: where a lessor's fleet, broker, database, rules and prices are.

```toml
fleet = "fleet.toml"
database = "sqlite:///telemetry.db"      # or postgresql://…; relative files lie beside this one
rules = "rules.toml"                     # optional: thresholds that differ from the defaults
rate_cards = "cards.toml"                # optional

[broker]
host = "mqtt.lessor.example"             # must be in the broker's certificate
port = 8883
authority = "authority.pem"              # of the broker's certificate
user = "ingest"
password_file = "ingest.password"        # mode 0600
mqtt = 5                                 # or 3 for brokers of MQTT 3.1.1
local = false                            # true: `veilscore iot up` starts a broker of its own

[bank]                                   # optional: where alerts go
address = "desk.bank.example:8443"
authority = "desk-ca.pem"                # of the desk's certificate
certificate = "lessor.pem"               # that the bank issued, for the role 'alerts'
key = "lessor.key"                       # mode 0600
source = "lessor"                        # the name on that certificate
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from iot.errors import TelemetryError

FILE: Final = "telemetry.toml"
_TOP: Final = ("fleet", "database", "rules", "rate_cards", "broker", "bank")
_BANK: Final = ("address", "authority", "certificate", "key", "source")
_BROKER: Final = ("host", "port", "authority", "user", "password_file", "mqtt", "local")


class SettingsInvalid(TelemetryError):
    """`telemetry.toml` can't be used."""


@dataclass(frozen=True)
class BrokerSection:
    """Where the broker is; `local`: in a folder of our own, started with the ingest."""

    host: str
    port: int
    authority: Path
    user: str
    password_file: Path
    mqtt: int
    local: bool


@dataclass(frozen=True)
class BankSection:
    """Where the bank's desk is, and who we are there."""

    address: str
    authority: Path
    certificate: Path
    key: Path
    source: str


@dataclass(frozen=True)
class TelemetrySettings:
    """What the file says, with paths as they are from here."""

    folder: Path
    fleet: Path
    database: str
    rules: Path | None
    rate_cards: Path | None
    broker: BrokerSection
    bank: BankSection | None


def read_settings(path: Path) -> TelemetrySettings:
    """Read the file, or the one in a folder.

    Raises:
        SettingsInvalid: it is not there, no TOML, or an entry is missing, unknown or of the wrong
            kind.
    """
    if path.is_dir():
        path = path / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(
            f"'{path}' can't be read ({error.strerror}); `veilscore iot simulate-fleet DIR` writes "
            "an example."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"'{path}' is no TOML: {error}.") from None
    entries = _Entries(path, "", content, _TOP)
    section = content.get("broker")
    if not isinstance(section, dict):
        raise SettingsInvalid(f"'{path}' has no [broker]; it says where messages come from.")
    return TelemetrySettings(
        folder=path.parent,
        fleet=entries.file("fleet"),
        database=_database(entries.text("database"), path.parent),
        rules=entries.file("rules") if "rules" in content else None,
        rate_cards=entries.file("rate_cards") if "rate_cards" in content else None,
        broker=_broker(_Entries(path, "broker.", section, _BROKER)),
        bank=_bank(path, content.get("bank")),
    )


def _bank(path: Path, section: object) -> BankSection | None:
    if section is None:
        return None
    if not isinstance(section, dict):
        raise SettingsInvalid(f"'{path}': bank must be a table, [bank].")
    entries = _Entries(path, "bank.", section, _BANK)
    return BankSection(
        entries.text("address"),
        entries.file("authority"),
        entries.file("certificate"),
        entries.file("key"),
        entries.text("source"),
    )


def _broker(entries: _Entries) -> BrokerSection:
    mqtt = entries.whole("mqtt", 5)
    if mqtt not in (3, 5):
        raise entries.wrong("mqtt", "must be 5, or 3 for MQTT 3.1.1")
    port = entries.whole("port", 8883)
    if not 0 < port < 65_536:
        raise entries.wrong("port", "must be a port, 1 to 65535")
    local = entries.content.get("local", False)
    if not isinstance(local, bool):
        raise entries.wrong("local", "must be true or false")
    return BrokerSection(
        entries.text("host"),
        port,
        entries.file("authority"),
        entries.text("user"),
        entries.file("password_file"),
        mqtt,
        local,
    )


def _database(url: str, folder: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return f"{prefix}{(folder / url.removeprefix(prefix)).resolve()}"
    return url


@dataclass(frozen=True)
class _Entries:
    """One table of the file; refuses what is missing, unknown or of the wrong kind."""

    path: Path
    prefix: str
    content: Mapping[str, Any]
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        for key in self.content:
            if key not in self.known:
                raise self.wrong(key, f"is unknown; known are {', '.join(self.known)}")

    def text(self, key: str) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "must be a text")
        return value

    def whole(self, key: str, default: int) -> int:
        value = self.content.get(key, default)
        if type(value) is not int:
            raise self.wrong(key, "must be a whole number")
        return value

    def file(self, key: str) -> Path:
        return self.path.parent / self.text(key)

    def wrong(self, key: str, why: str) -> SettingsInvalid:
        return SettingsInvalid(f"'{self.path}': {self.prefix}{key} {why}.")

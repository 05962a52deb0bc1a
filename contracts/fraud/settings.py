"""Thresholds of the fraud checks, and which accounts are of one firm."""

from __future__ import annotations

import csv
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from contracts.fraud.errors import FraudSettingsInvalid

DAY: Final = 86_400
YEAR_DAYS: Final = 365
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST_ROWS = 1_000_000
_MOST_BYTES = 64 * 1024
_LONGEST_NAME = 64

_SHARES = ("circle_share", "concentration_rise", "concentration_chance")
_WHOLE = {  # the least of each; the most is 10,000 but for circle_firms
    "circle_days": 1,
    "circle_firms": 2,
    "concentration_days": 1,
    "concentration_claims": 1,
    "velocity_claims": 2,
    "shipped_ahead_days": 0,
    "shipped_before_days": 1,
}
_MOST_WHOLE = {"circle_firms": 6}  # longer searches take too long


@dataclass(frozen=True)
class FraudSettings:
    """Thresholds; days are of 86,400 seconds.

    Attributes:
        circle_days: claims of a circle lie within these.
        circle_firms: a circle has at most so many firms, 2 to 6.
        circle_share: each claim of a circle and the one that closes it: the smaller is at least
            this share of the larger; circles of unlike amounts are ordinary trade.
        concentration_days: 'lately'; the past is the year before that.
        concentration_rise: alert where a debtor's share of a supplier's claims rose by this.
        concentration_claims: a supplier with fewer claims in its past has no past to compare with.
        concentration_chance: and where so many claims on it are less likely than this by the past.
        velocity_claims: fewer claims (or financings) than this in a day are never an alert.
        velocity_times: alert at this many times the firm's mean day,
        velocity_record: and this many times its busiest day of the last year.
        shipped_ahead_days: goods may leave so long after confirmation; dates know no time zones.
        shipped_before_days: confirmed later than this after shipment is an alert.
        groups: account (lower case) to group: accounts of one firm or owner.
    """

    circle_days: int = 90
    circle_firms: int = 4
    circle_share: float = 0.8
    concentration_days: int = 30
    concentration_rise: float = 0.5
    concentration_claims: int = 8
    concentration_chance: float = 1e-4
    velocity_claims: int = 10
    velocity_times: float = 8.0
    velocity_record: float = 2.0
    shipped_ahead_days: int = 1
    shipped_before_days: int = 180
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no rule can work with."""
        for name in _SHARES:
            if not 0 < getattr(self, name) <= 1:
                raise FraudSettingsInvalid(f"'{name}' must be a share above 0, at most 1")
        for name, least in _WHOLE.items():
            value, most = getattr(self, name), _MOST_WHOLE.get(name, 10_000)
            if type(value) is not int or not least <= value <= most:
                raise FraudSettingsInvalid(f"'{name}' must be a whole number, {least} to {most:,}")
        for name in ("velocity_times", "velocity_record"):
            value = getattr(self, name)
            if not math.isfinite(value) or not 1 <= value <= 1_000:
                raise FraudSettingsInvalid(f"'{name}' must be a number, 1 to 1,000")

    def group(self, account: str) -> str:
        """The group of an account; one that is in no group is its own.

        Accounts come with EIP-55 checksums, so that one is always spelt the same way.
        """
        if not self.groups:
            return account
        lower = account.lower()
        return self.groups.get(lower, lower)


def read_fraud_settings(path: Path | None, groups: Path | None) -> FraudSettings:
    """Thresholds from a TOML file, groups from a CSV file (account,group); None: the defaults.

    Raises:
        FraudSettingsInvalid: says which file, line and key, and what would be right.
    """
    values = {} if path is None else _read_toml(path)
    found = {} if groups is None else _read_groups(groups)
    try:
        return FraudSettings(**values, groups=found)
    except FraudSettingsInvalid as error:
        raise FraudSettingsInvalid(f"{path}: {error}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise FraudSettingsInvalid(f"{path}: is longer than {_MOST_BYTES:,} bytes")
        values = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise FraudSettingsInvalid(
            f"{path}: cannot be read ({error.strerror}); name a TOML file of thresholds"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise FraudSettingsInvalid(f"{path}: is not readable TOML: {error}") from None
    known = [one.name for one in fields(FraudSettings) if one.name != "groups"]
    for key, value in values.items():
        if key not in known:
            raise FraudSettingsInvalid(
                f"{path}: unknown key {key[:40]!r}; known are {', '.join(known)}"
            )
        if type(value) not in (int, float):
            raise FraudSettingsInvalid(f"{path}: '{key}' must be a number")
    return values


def _read_groups(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if rows.fieldnames is None or not {"account", "group"} <= set(rows.fieldnames):
                raise FraudSettingsInvalid(
                    f"{path}: the first line must name the columns account,group"
                )
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if len(found) >= _MOST_ROWS:
                    raise FraudSettingsInvalid(f"{path}: has more than {_MOST_ROWS:,} accounts")
                account, group = (row["account"] or "").strip(), (row["group"] or "").strip()
                if not _ADDRESS.fullmatch(account):
                    raise FraudSettingsInvalid(f"{where}: needs an account, 0x and 40 hex digits")
                if not 0 < len(group) <= _LONGEST_NAME or not group.isprintable():
                    raise FraudSettingsInvalid(
                        f"{where}: needs a group, 1 to {_LONGEST_NAME} printable signs"
                    )
                if found.setdefault(account.lower(), group) != group:
                    raise FraudSettingsInvalid(f"{where}: the account is in another group already")
    except OSError as error:
        raise FraudSettingsInvalid(
            f"{path}: cannot be read ({error.strerror}); name a CSV file with account,group"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FraudSettingsInvalid(f"{path}: is not readable CSV: {error}") from None
    return found

"""The desk's access file: callers by their certificates, their roles and limits.

[callers.lending]
certificate = "lending"          # a name in the certificate, or "sha256:..." of the certificate
roles = ["score", "explain", "decide"]
requests_per_second = 200        # calls, a batch is one
requests_per_day = 1_000_000     # borrowers, a batch counts each of its own
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from federation.errors import InputError

FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)
CALLER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYS = ("certificate", "roles", "requests_per_second", "requests_per_day")


class Role(StrEnum):
    """What a caller may do."""

    SCORE = "score"
    EXPLAIN = "explain"
    DECIDE = "decide"
    ADMIN = "admin"
    ALERTS = "alerts"
    ENCRYPTED = "encrypted"
    ATTEST = "attest"


@dataclass(frozen=True)
class Caller:
    """Somebody who may call.

    Attributes:
        name: in the access file and in the audit record.
        certificate: SHA-256 of its certificate (DER) in lower hexadecimal digits, or a name that
            the certificate has as common name or subject alternative name.
        roles: what it may do.
        requests_per_second: calls; None sets no limit.
        requests_per_day: borrowers, from midnight UTC; None sets no limit.
    """

    name: str
    certificate: str
    roles: frozenset[Role]
    requests_per_second: float | None = None
    requests_per_day: int | None = None


@dataclass(frozen=True)
class AccessRules:
    """Callers by the SHA-256 of their certificate, and by a name in it."""

    by_fingerprint: Mapping[str, Caller]
    by_name: Mapping[str, Caller]

    @property
    def names(self) -> frozenset[str]:
        """The callers' own names."""
        callers = (*self.by_fingerprint.values(), *self.by_name.values())
        return frozenset(caller.name for caller in callers)

    def caller(self, fingerprint: str, names: frozenset[str]) -> Caller | None:
        """Whose certificate this is; None: nobody's that may call, or of two callers at once."""
        pinned = self.by_fingerprint.get(fingerprint)
        if pinned is not None:
            return pinned
        found = {self.by_name[name].name: self.by_name[name] for name in names & set(self.by_name)}
        return next(iter(found.values())) if len(found) == 1 else None


def read_access(path: Path) -> AccessRules:
    """Read an access file.

    Raises:
        InputError: says what is wrong and what would be right.
    """
    try:
        return parse_access(path.read_bytes(), path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; it says who may call the desk") from None
    except OSError as error:
        raise InputError(f"{path}: the access file can't be read ({error.strerror})") from None


def parse_access(data: bytes, path: Path) -> AccessRules:
    """What stands in an access file; `path`, for errors.

    Raises:
        InputError: as `read_access`.
    """
    try:
        content = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{path}: the access file is not readable TOML, for no UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: the access file is not readable TOML: {error}") from None
    callers = content.pop("callers", {})
    if content or not isinstance(callers, dict):
        raise InputError(f"{path}: holds only tables [callers.NAME]")
    by_fingerprint: dict[str, Caller] = {}
    by_name: dict[str, Caller] = {}
    for name, values in callers.items():
        caller = _caller(name, values, f"{path}: [callers.{name}]")
        hexadecimal = FINGERPRINT.fullmatch(caller.certificate)
        known = by_fingerprint if hexadecimal else by_name
        key = caller.certificate
        if hexadecimal:
            key = hexadecimal.group(1).replace(":", "").lower()
        if key in known:
            raise InputError(
                f"{path}: [callers.{name}] and [callers.{known[key].name}] have the same "
                "certificate; each caller needs one of its own"
            )
        known[key] = caller
    return AccessRules(by_fingerprint, by_name)


def _caller(name: str, values: Any, where: str) -> Caller:
    if not isinstance(values, dict) or not CALLER_NAME.fullmatch(name):
        raise InputError(
            f"{where} is no caller; a table is right, its name of letters, digits, '.', '_', '-'"
        )
    for key in values:
        if key not in _KEYS:
            raise InputError(f"{where} has an unknown key '{key}'; known are {', '.join(_KEYS)}")
    certificate = values.get("certificate")
    if not isinstance(certificate, str) or not certificate.strip():
        raise InputError(
            f"{where} needs 'certificate': a name in it, or 'sha256:' and its fingerprint"
        )
    roles = values.get("roles")
    known = [str(role) for role in Role]
    if not isinstance(roles, list) or not roles or not all(role in known for role in roles):
        raise InputError(f"{where} needs 'roles': a list of some of {', '.join(known)}")
    rate, quota = values.get("requests_per_second"), values.get("requests_per_day")
    if rate is not None and (type(rate) not in (int, float) or not 0 < rate <= 1e6):
        raise InputError(f"{where}: 'requests_per_second' must be a number above 0")
    if quota is not None and (type(quota) is not int or quota < 1):
        raise InputError(f"{where}: 'requests_per_day' must be a whole number from 1 up")
    return Caller(name, certificate.strip(), frozenset(Role(role) for role in roles), rate, quota)

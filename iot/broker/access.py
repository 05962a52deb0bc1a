"""Who may publish and read where: one rule, for mosquitto as text and for Python as functions.

A device publishes and reads under its own name only, `tel/v1/<lessee>/<device>/…`, whichever
lessee it names: which lessee it works for is in the fleet's register, not in the broker. A service
(ingest, commands) reads and publishes under `tel/v1` as a whole. Nobody else does anything, and
whoever has no password does not get in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from iot.errors import TelemetryError

ROOT: Final = "tel/v1"
"""Every topic is under it."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BrokerRefused(TelemetryError):
    """The broker can't be set up as asked, or did not come up."""


@dataclass(frozen=True)
class BrokerUsers:
    """Who may log in, with the password of each.

    Attributes:
        devices: each device's password, by its name, which is the name in its topics.
        services: each service's password.

    Raises:
        BrokerRefused: a name that would mean something in a topic or a file, one that is both a
            device's and a service's, or an empty password.
    """

    devices: Mapping[str, str] = field(repr=False)
    services: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        for kind, users in (("Device", self.devices), ("Service", self.services)):
            for name, password in users.items():
                if not _NAME.fullmatch(name):
                    raise BrokerRefused(
                        f"{kind} {name[:80]!r} can't log in: a name has 1 to 64 letters, digits, "
                        "dots, underscores and hyphens."
                    )
                if not password:
                    raise BrokerRefused(f"{kind} '{name}' has an empty password; give it one.")
        both = sorted(set(self.devices) & set(self.services))
        if both:
            raise BrokerRefused(f"'{both[0]}' is a device and a service; rename one of them.")

    def all(self) -> dict[str, str]:
        """Every user's password."""
        return {**self.devices, **self.services}


def access_text(services: Mapping[str, str]) -> str:
    """The rule as mosquitto's ACL file. `%u` is the name that a client logged in with."""
    lines = [f"user {name}\ntopic readwrite {ROOT}/#\n" for name in sorted(services)]
    return "\n".join([*lines, f"pattern write {ROOT}/+/%u/#\npattern read {ROOT}/+/%u/#\n"])


def may_use(user: str, services: Mapping[str, str], topic: str) -> bool:
    """Whether a user may publish to a topic, or be sent what was published to it."""
    levels = topic.split("/")
    if len(levels) < 3 or "/".join(levels[:2]) != ROOT:
        return False
    return user in services or (len(levels) >= 5 and levels[3] == user)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with `+` and `#` (MQTT 5, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in ("+", levels[place]):
            return False
    return len(wanted) == len(levels)


def is_filter(text: str) -> bool:
    """Whether a text is a filter: `+` and `#` only as whole levels, `#` only as the last."""
    levels = text.split("/")
    return (
        bool(text)
        and "\0" not in text
        and all(level == "+" or "+" not in level for level in levels)
        and all("#" not in level for level in levels[:-1])
        and (levels[-1] == "#" or "#" not in levels[-1])
    )

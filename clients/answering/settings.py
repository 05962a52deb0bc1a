"""What a feature party allows when it answers: the table [serving] of its manifest.

    [serving]
    listen = "127.0.0.1:7443"   # host and port
    reasons = false             # whether it says what weighed most against a borrower
    alone = true                # whether it answers where no other party's mask hides its points
    cache_seconds = 0           # how long the label party may keep points that are not masked
    reload_seconds = 3600       # how often the table is read again; 0: never
    requests_per_second = 1000  # more are refused
    borrowers_per_day = 0       # asked about, UTC; 0: no limit

All keys may be left out; these are the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.settings_file import Section, read_toml
from federation.errors import InputError

MOST_CACHE_SECONDS = 3600


@dataclass(frozen=True)
class ServingSettings:
    """How a feature party answers; see the module.

    `alone` is about variants in which it is the only feature party though the model has several.
    Such a variant was trained with this party, and the label party saw its partial scores of the
    training's borrowers then too.
    """

    listen: str = "127.0.0.1:7443"
    reasons: bool = False
    alone: bool = True
    cache_seconds: int = 0
    reload_seconds: int = 3600
    requests_per_second: int = 1000
    borrowers_per_day: int = 0


def read_serving(manifest: Path) -> ServingSettings:
    """The [serving] table of a party's manifest.

    Raises:
        InputError: a key is unknown or of another type or range, or the manifest counts consents
            and the table would never be read again.
    """
    top = read_toml(manifest, "party manifest")
    section = top.section("serving")
    default = ServingSettings()
    section.allow(*default.__dataclass_fields__)
    settings = ServingSettings(
        listen=listen_address(section.text("listen", default.listen), f"{section.where} 'listen'"),
        reasons=section.flag("reasons", default.reasons),
        alone=section.flag("alone", default.alone),
        cache_seconds=_at_most(section, "cache_seconds", default.cache_seconds, MOST_CACHE_SECONDS),
        reload_seconds=section.whole_number("reload_seconds", default.reload_seconds),
        requests_per_second=section.whole_number(
            "requests_per_second", default.requests_per_second, minimum=1
        ),
        borrowers_per_day=section.whole_number("borrowers_per_day", default.borrowers_per_day),
    )
    if "consent" in top and not settings.reload_seconds:
        raise section.error(
            "has 'reload_seconds' as 0, so that borrowers would be answered about after their "
            "consent ended; with [consent] it must be above 0"
        )
    return settings


def listen_address(text: str, where: str) -> str:
    """A host and port to listen on.

    Raises:
        InputError: it is not one; the sentence begins with `where`.
    """
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{where}: is '{text}'; host and port are right, such as 127.0.0.1:7443")
    return f"{host}:{int(port)}"


def _at_most(section: Section, key: str, default: int, most: int) -> int:
    value = section.whole_number(key, default)
    if value > most:
        raise section.error(f"has '{key}' as '{value}'; it must be at most {most}")
    return value

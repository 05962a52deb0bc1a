"""A command to the immobiliser of one machine, and the bytes that people sign."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from federation.record_chain import canonical_json
from iot.commands.errors import CommandRefused
from iot.units import HOUR, DeviceId, Millis

LONGEST_LIFE: Final = 24 * HOUR
"""A command that was not carried out by then is asked for anew."""
_FORMAT: Final = "veilscore command 1"
_MOST_SIGNS: Final = {"device": 64, "alert": 64, "reason": 200}
_NONCE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LATEST: Final = 2**53
"""Above this, JSON readers differ about whole numbers."""


class Action(StrEnum):
    """What the immobiliser does."""

    STOP = "stop"
    """The engine does not start again."""
    RELEASE = "release"
    """It does."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done, to which machine, why, and for how long that holds.

    Attributes:
        alert: the id of the alert that it answers.
        reason: one line for people, without positions.
        issued_ms, expires_ms: a device carries out later commands only, and this one only between.
        nonce: 32 hex digits from the operating system's generator.

    Raises:
        CommandRefused: a field is not as it must be.
    """

    device: DeviceId
    action: Action
    reason: str
    alert: str
    issued_ms: Millis
    expires_ms: Millis
    nonce: str

    def __post_init__(self) -> None:
        for name, most in _MOST_SIGNS.items():
            text = getattr(self, name)
            if not 0 < len(text) <= most or text != text.strip() or not text.isprintable():
                raise CommandRefused(
                    f"The command's '{name}' must be one line of 1 to {most} printable signs."
                )
        if not _NONCE.fullmatch(self.nonce):
            raise CommandRefused("The command's 'nonce' must be 32 hex digits in small letters.")
        if not 0 < self.issued_ms < self.expires_ms <= min(self.issued_ms + LONGEST_LIFE, _LATEST):
            raise CommandRefused(
                "The command's 'expires_ms' must be after 'issued_ms', by 24 hours at most."
            )

    @property
    def content(self) -> bytes:
        """The bytes that are signed: the same for the same command, everywhere."""
        fields = {"format": _FORMAT, **msgspec.to_builtins(self)}
        return canonical_json(fields).encode()

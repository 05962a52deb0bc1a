"""An immobiliser command for an alert: a draft, which does nothing until two people sign it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from iot.alerts.life import ALIVE, Alert
from iot.commands.command import Action, Command
from iot.commands.errors import CommandRefused
from iot.commands.signing import SignedCommand
from iot.rules.rule import Severity
from iot.units import HOUR, Millis

LIFE: Final = 4 * HOUR


def new_nonce() -> str:
    """32 hex digits from the operating system's generator."""
    return secrets.token_hex(16)


def requested(
    alert: Alert,
    action: Action,
    reason: str,
    now: Millis,
    *,
    life_ms: int = LIFE,
    nonce: Callable[[], str] = new_nonce,
) -> SignedCommand:
    """A command that nobody has signed yet.

    Args:
        alert: that it answers.
        reason: one line for people, without positions.
        life_ms: for so long it may be carried out.

    Raises:
        CommandRefused: a stop for an alert that is over or does not ask for one, or a field is not
            as it must be. A release needs no open alert.
    """
    if action is Action.STOP:
        if alert.state not in ALIVE:
            raise CommandRefused(f"Alert {alert.id} is {alert.state}; nothing is to be stopped.")
        if alert.severity is not Severity.IMMOBILISE:
            raise CommandRefused(
                f"Alert {alert.id} asks for '{alert.severity.name.lower()}'; a machine is stopped "
                "for an alert of severity 'immobilise' only."
            )
    expires = Millis(now + life_ms)
    return SignedCommand(Command(alert.device, action, reason, alert.id, now, expires, nonce()))

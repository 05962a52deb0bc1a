"""The device's side: which command is carried out, and when. No clock, no engine, no network.

The gate is given the time and whether the machine moves, and says what to do. Its memory is two
values. The device stores the new memory before it acts: after a power cut a command may be left
undone, and is never done twice.

A command that was issued before the last one carried out is refused. That takes care of replays,
and of a stop that arrives after the release which answered it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from iot.commands.command import Action
from iot.commands.errors import CommandRefused
from iot.commands.signing import People, SignedCommand, read_document
from iot.units import MINUTE, DeviceId, Millis

CLOCKS_APART: Final = 5 * MINUTE
"""How far a device's clock may be behind the issuer's."""


class Outcome(StrEnum):
    """What the device does with a command."""

    CARRY_OUT = "carry_out"
    WAIT = "wait"
    """Ask again when the machine stands; the command holds until it expires."""
    REFUSE = "refuse"


class GateMemory(msgspec.Struct, frozen=True):
    """The last command that was carried out; at first there was none."""

    issued_ms: Millis = Millis(0)
    nonce: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What to do, why in one sentence, and what to remember before it is done.

    `action` is None unless it is to be carried out.
    """

    outcome: Outcome
    sentence: str
    memory: GateMemory
    action: Action | None = None


class CommandGate:
    """Judges documents for one device.

    Args:
        device: whose gate it is.
        people: who may sign, pinned when the device was put into service.
    """

    def __init__(self, device: DeviceId, people: People) -> None:
        self._device = device
        self._people = people

    def consider(
        self, memory: GateMemory, document: bytes, now: Millis, moving: bool | None
    ) -> Decision:
        """Judge one document; whatever the bytes are, this does not raise.

        Args:
            memory: of the device's last decision.
            moving: whether the machine moves; None: not known, which counts as moving.
        """
        try:
            signed = read_document(document)
            self._check(signed, memory, now)
        except CommandRefused as error:
            return Decision(Outcome.REFUSE, str(error), memory)
        command = signed.command
        if command.action is Action.STOP and moving is not False:
            why = "The machine moves, or it is not known whether it stands: the command waits."
            return Decision(Outcome.WAIT, why, memory)
        kept = GateMemory(command.issued_ms, command.nonce)
        why = f"The command is whole and signed: {command.action}."
        return Decision(Outcome.CARRY_OUT, why, kept, command.action)

    def _check(self, signed: SignedCommand, memory: GateMemory, now: Millis) -> None:
        # Signatures first: an unsigned document learns nothing of the device's memory.
        self._people.check(signed)
        command = signed.command
        if command.device != self._device:
            raise CommandRefused("The command is for another device.")
        if now >= command.expires_ms:
            raise CommandRefused("The command has expired; two people must sign a new one.")
        if now < command.issued_ms - CLOCKS_APART:
            raise CommandRefused(
                "The command was issued in the future by this device's clock; set the clock."
            )
        if command.nonce == memory.nonce:
            raise CommandRefused("The command was carried out before.")
        if command.issued_ms <= memory.issued_ms:
            raise CommandRefused("A later command was carried out already; issue a new one.")

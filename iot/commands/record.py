"""What happened to each command: drafted, signed, sent, and what the device said. Append-only.

A chain shows a row that was changed, moved, or dropped before its end. That its last rows are still
there shows only against a head that was kept elsewhere: hand it to `read_record`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from federation.errors import InputError
from federation.record_chain import Entry, Head, read_chain
from iot.commands.errors import CommandRefused
from iot.commands.signing import SignedCommand
from iot.commands.tables import command_record
from iot.units import Millis

_WHERE = "record of commands"
_MOST_NOTE_SIGNS = 500


class Step(StrEnum):
    """What happened."""

    DRAFTED = "drafted"
    SIGNED = "signed"
    SENT = "sent"
    CARRIED_OUT = "carried_out"
    REFUSED = "refused"


def command_digest(signed: SignedCommand) -> str:
    """The name of a command: SHA-256 of the bytes that people sign, in hex."""
    return hashlib.sha256(signed.command.content).hexdigest()


def write_step(
    connection: Connection,
    signed: SignedCommand,
    step: Step,
    now: Millis,
    *,
    who: str | None = None,
    note: str = "",
) -> Head:
    """Add one entry in the caller's transaction; returns where the record ends then.

    Of two writers at once one fails on the row's number: its transaction is undone, and may be
    tried again.

    Args:
        who: the person who did it; None where a program did.
        note: one sentence, such as the device's.

    Raises:
        CommandRefused: the last entry is not as it was written.
    """
    body: dict[str, Any] = {
        "at_ms": now,
        "step": step.value,
        "command": command_digest(signed),
        "device": signed.command.device,
        "action": signed.command.action.value,
        "alert": signed.command.alert,
        "reason": signed.command.reason,
        "signers": sorted({one.person for one in signed.signatures}),
        "who": who,
        "note": note[:_MOST_NOTE_SIGNS],
    }
    head, entry = _head(connection).append(body)
    row = {"number": entry.index, "line": entry.line()}
    connection.execute(sa.insert(command_record), row)
    return head


def read_record(connection: Connection, kept: Head | None = None) -> tuple[Head, list[Entry]]:
    """The whole record, verified from its first entry.

    Args:
        kept: a head that the record had once and must still contain.

    Raises:
        CommandRefused: names the first entry that is not as it was written.
    """
    lines = connection.scalars(sa.select(command_record.c.line).order_by(command_record.c.number))
    try:
        head, entries = read_chain(lines, _WHERE)
    except InputError as error:
        raise CommandRefused(f"{error}.") from None
    if kept is not None and kept.length:
        met = kept.length <= head.length and entries[kept.length - 1].digest == kept.digest
        if not met:
            raise CommandRefused(
                f"The {_WHERE} should hold {kept.length} entries that end with {kept.digest}, and "
                "does not: its end was cut off, or it was rewritten."
            )
    return head, entries


def _head(connection: Connection) -> Head:
    last = connection.execute(
        sa.select(command_record).order_by(command_record.c.number.desc()).limit(1)
    ).first()
    if last is None:
        return Head()
    # The line's digest is the entry's, which stands on the line as it was hashed.
    digest = hashlib.sha256(last.line.encode()).hexdigest()
    if f'"index":{last.number},' not in last.line:
        raise CommandRefused(f"The {_WHERE}, entry {last.number}, is not as it was written.")
    return Head(last.number + 1, digest)

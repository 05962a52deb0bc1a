"""Telling the bank: each version of an alert until the bank has it, in order, never twice stored.

The desk stores an alert once however often it is reported, so sending again is safe and forgetting
is not: a message leaves the outbox on the desk's answer only. While the desk is away everything
waits, with longer and longer pauses; one that the desk refuses is set aside with its reason.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iot.alerts.tables import outbox
from iot.errors import TelemetryError
from iot.store.database import Database
from iot.units import SECOND, Millis

FIRST_PAUSE: Final = SECOND
LONGEST_PAUSE: Final = 30 * SECOND
MOST_AT_ONCE: Final = 100


class BankUnavailable(TelemetryError):
    """The bank's desk can't be reached, or did not answer; what was sent may be stored or not."""


class Answer(NamedTuple):
    """What the desk says of one message: stored, or refused in a sentence."""

    stored: bool
    refusal: str


class Bank(Protocol):
    """The bank's side of delivery."""

    def report(self, messages: Sequence[bytes]) -> list[Answer]:
        """Report, in order; one answer a message.

        Raises:
            BankUnavailable: no answer to some of them.
        """


@dataclass(frozen=True)
class Delivered:
    """What became of one attempt; `retry_ms`: when to try again, None where nothing failed."""

    delivered: int
    refused: int
    retry_ms: Millis | None


class Delivery:
    """Empties the outbox of one database into one bank."""

    def __init__(self, database: Database, bank: Bank) -> None:
        self._database = database
        self._bank = bank
        self._failures = 0
        self._until = Millis(0)

    def attempt(self, now: Millis) -> Delivered:
        """Report what waits, and write down what the bank said. After a failure everything waits,
        also what is written meanwhile: no version overtakes the one before it.

        Raises:
            StoreUnavailable: what was said is not written down; it is said again next time.
        """
        if now < self._until:
            return Delivered(0, 0, None)
        with self._database.transaction() as connection:
            rows = connection.execute(
                sa.select(outbox.c.number, outbox.c.body)
                .where(outbox.c.state == "waiting")
                .order_by(outbox.c.number)
                .limit(MOST_AT_ONCE)
            ).all()
        if not rows:
            return Delivered(0, 0, None)
        numbers = [row.number for row in rows]
        try:
            answers = self._bank.report([row.body for row in rows])
        except BankUnavailable:
            self._failures += 1
            self._until = Millis(now + self._pause())
            with self._database.transaction() as connection:
                connection.execute(
                    sa.update(outbox)
                    .where(outbox.c.number.in_(numbers))
                    .values(attempts=outbox.c.attempts + 1)
                )
            return Delivered(0, 0, self._until)
        self._failures = 0
        with self._database.transaction() as connection:
            for number, answer in zip(numbers, answers, strict=True):
                _write(connection, number, answer, now)
        stored = sum(answer.stored for answer in answers)
        return Delivered(stored, len(answers) - stored, None)

    def _pause(self) -> int:
        """Twice as long each time, and never all lessors at the same moment."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE << min(self._failures - 1, 10))
        return longest // 2 + secrets.randbelow(longest // 2 + 1)


def waiting(connection: Connection) -> dict[str, int]:
    """How many messages are in which state."""
    rows = connection.execute(
        sa.select(outbox.c.state, sa.func.count().label("number")).group_by(outbox.c.state)
    )
    return {row.state: row.number for row in rows}


def _write(connection: Connection, number: int, answer: Answer, now: Millis) -> None:
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.number == number)
        .values(
            state="delivered" if answer.stored else "refused",
            attempts=outbox.c.attempts + 1,
            answered_ms=now,
            answer=answer.refusal[:500] or None,
        )
    )

"""Which refusals get a row of the audit record of their own."""

from __future__ import annotations

import time

from server.desk.access.gate import Refusal, Refused
from server.desk.audit import AuditRow

SECONDS = 1.0


class RefusalPace:
    """Refusals of unknown callers, and for calling too often, get one row a second and caller.

    Or a caller could fill the desk's disk with refusals. The next row says how many had none.
    """

    def __init__(self) -> None:
        """Nobody was refused yet."""
        self._refused: dict[str, tuple[float, int]] = {}

    def counts(self, error: Refused, row: AuditRow) -> bool:
        """Whether a refusal gets a row, in which those before it are then counted."""
        if error.why not in (Refusal.RATE, Refusal.UNKNOWN):
            return True
        now = time.monotonic()
        at, count = self._refused.get(error.caller, (-SECONDS, 0))
        if now - at < SECONDS:
            self._refused[error.caller] = (at, count + 1)
            return False
        self._refused[error.caller] = (now, 0)
        row.refused_before = count
        return True

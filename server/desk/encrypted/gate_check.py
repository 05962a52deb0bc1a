"""The desk's gate as encrypted scoring's check: the role 'encrypted', rates and the day's quota."""

from __future__ import annotations

from collections.abc import Callable

from server.desk.access.gate import Gate
from server.desk.access.rules import Role
from server.desk.encrypted.service import Context


def gate_check(gate: Gate) -> Callable[[Context, int], str]:
    """An `authorise` that admits callers with the role 'encrypted' and counts their borrowers."""

    def authorise(context: Context, borrowers: int) -> str:
        given = list(context.auth_context().get("x509_pem_cert") or ())
        caller = gate.admit(given[0] if len(given) == 1 else b"", Role.ENCRYPTED)
        gate.take_borrowers(caller, borrowers)
        return caller.name

    return authorise

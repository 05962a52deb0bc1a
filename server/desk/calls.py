"""How the desk's gRPC services take calls: admitted, answered, and entered in the audit record.

Handlers take and give bytes, so that a request that is no message at all is answered like any
other wrong one. Access is checked at the start of each handler: an interceptor of grpc.aio costs
more than the check.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import grpc.aio

from server.desk.access.gate import Gate, Refused
from server.desk.access.rules import Caller, Role
from server.desk.audit import AuditLog, AuditRow
from server.desk.failures import Failure, failure_of, unexpected
from server.desk.refusal_pace import RefusalPace

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class Call:
    """One call, or one message of a stream, while it lasts.

    Attributes:
        row: what the audit record will say.
        certificate: the caller's, PEM.
        seconds: until the caller's deadline; None sets none.
        roles: any of which will do.
        field_prefix: where the borrower's query stands in the request.
    """

    row: AuditRow
    certificate: bytes
    seconds: float | None
    roles: tuple[Role, ...]
    field_prefix: str = ""
    started: float = field(default_factory=time.perf_counter)


Work = Callable[[bytes, Call, Caller], Awaitable[bytes]]


class Calls:
    """Takes the calls of one service.

    Args:
        gate: says who may call.
        audit: keeps the record.
        on_call: told method, caller, status and seconds of each call; must not wait.
    """

    def __init__(
        self,
        gate: Gate,
        audit: AuditLog,
        on_call: Callable[[str, str, str, float], None] = lambda *_: None,
    ) -> None:
        """No call yet."""
        self.gate = gate
        self._audit = audit
        self._on_call = on_call
        self._pace = RefusalPace()

    def unary(
        self, method: str, work: Work, roles: tuple[Role, ...], field_prefix: str = ""
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """A handler of a method with one request and one reply."""

        async def handle(data: bytes, context: Context) -> bytes:
            call = Call(
                AuditRow(secrets.token_hex(16), method),
                caller_certificate(context),
                context.time_remaining(),
                roles,
                field_prefix,
            )
            outcome = await self.attempt(data, call, work)
            if isinstance(outcome, Failure):
                await outcome.end(context)
            return outcome

        return handle

    async def attempt(self, data: bytes, call: Call, work: Work) -> bytes | Failure:
        """The reply, or how the call fails; either way it is in the audit record."""
        row = call.row
        outcome: bytes | Failure
        try:
            caller = self.gate.admit(call.certificate, *call.roles)
            row.caller = caller.name
            outcome = await work(data, call, caller)
        except Refused as error:
            return self.refused(error, call)
        except asyncio.CancelledError:
            row.status = grpc.StatusCode.CANCELLED.name
            self._end(call)
            raise
        except Exception as error:
            outcome = failure_of(error, row.request, call.field_prefix)
        if isinstance(outcome, Failure):
            row.status = outcome.code.name
        try:
            self._end(call)
        except Exception as error:  # what is not in the record is not answered
            return unexpected(error, row.request)
        return outcome

    def refused(self, error: Refused, call: Call) -> Failure:
        """How a call ends whose caller may not call, or no longer; entered like any call."""
        row = call.row
        outcome = failure_of(error, row.request)
        row.caller, row.status = error.caller, outcome.code.name
        if not self._pace.counts(error, row):
            self._told(call)
            return outcome
        try:
            self._end(call)
        except Exception as broken:
            return unexpected(broken, row.request)
        return outcome

    def _end(self, call: Call) -> None:
        self._audit.enter(call.row)
        self._told(call)

    def _told(self, call: Call) -> None:
        row = call.row
        self._on_call(row.method, row.caller, row.status, time.perf_counter() - call.started)


def caller_certificate(context: Context) -> bytes:
    """The caller's certificate (PEM), which TLS has verified; empty without TLS."""
    given = list(context.auth_context().get("x509_pem_cert") or ())
    return given[0] if len(given) == 1 else b""

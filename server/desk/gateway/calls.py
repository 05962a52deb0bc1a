"""One call of the gateway: admitted, read, answered and entered in the audit record.

What gRPC's service does with a call is done here with the same parts, so that callers, roles,
limits, scores and rows of the record are the same whichever way a call comes.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import grpc
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from server.desk.access.gate import Refused
from server.desk.access.rules import Caller, Role
from server.desk.answers import BatchAnswer, LoadedModel, ScoreAnswer, ScoreQuery
from server.desk.audit import AuditRow
from server.desk.engine import BatchQuery, Explanation
from server.desk.failures import unexpected
from server.desk.gateway.json_body import NotJson, strict_json
from server.desk.gateway.problems import MEDIA_TYPE, Problem, problem_of, wrong_shape
from server.desk.refusal_pace import RefusalPace

MOST_BODY_BYTES = 2 * 1024 * 1024
BODY_SECONDS = 10.0
CALL_SECONDS = 20.0  # whatever the deadline: an answer that takes longer never comes
MOST_AT_ONCE = 200
MOST_DEADLINE_MS = 60_000
_DEADLINE = re.compile(r"[0-9]{1,6}")
_JSON = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)

Body = TypeVar("Body", bound=BaseModel)


class Engine(Protocol):
    """Scores; the desk's `ScoringEngine` is one, and says what is raised."""

    def model(self, asked: str) -> LoadedModel:
        """The model of this name, or the champion."""
        ...

    async def scored(self, query: ScoreQuery, seconds: float | None) -> tuple[ScoreAnswer, str]:
        """The score of one borrower, and its normalised id."""
        ...

    async def explain(self, query: ScoreQuery, seconds: float | None, most: int) -> Explanation:
        """The score of one borrower and its reasons."""
        ...

    async def score_batch(self, query: BatchQuery, seconds: float | None) -> BatchAnswer:
        """The scores of many."""
        ...


class Access(Protocol):
    """Says who may call; the desk's `Gate` is one. Both raise `Refused`."""

    def admit(self, certificate: bytes, *roles: Role) -> Caller:
        """The caller whose certificate (PEM) this is."""
        ...

    def take_borrowers(self, caller: Caller, count: int) -> None:
        """Count borrowers against the day's quota."""
        ...


class Audit(Protocol):
    """Keeps the record; the desk's `AuditLog` is one."""

    def enter(self, row: AuditRow) -> None:
        """Write one row."""
        ...


@dataclass
class Call:
    """One call while it lasts."""

    request: Request
    row: AuditRow
    caller: Caller
    seconds: float | None


@dataclass
class Calls:
    """Handles calls.

    Args:
        access: says who may call.
        audit: keeps the record.
        on_call: told method, caller, status and seconds of each call; must not wait.
        most_body_bytes, body_seconds: of a request.
    """

    access: Access
    audit: Audit
    on_call: Callable[[str, str, str, float], None] = lambda *_: None
    most_body_bytes: int = MOST_BODY_BYTES
    body_seconds: float = BODY_SECONDS
    _at_once: int = 0
    _pace: RefusalPace = field(default_factory=RefusalPace)

    async def answer(
        self,
        request: Request,
        method: str,
        roles: Sequence[Role],
        work: Callable[[Call], Awaitable[Mapping[str, Any]]],
    ) -> Response:
        """The reply to a call, which is in the audit record when it leaves."""
        started = time.perf_counter()
        row = AuditRow(secrets.token_hex(16), method)
        outcome: Mapping[str, Any] | Problem
        enter = True
        self._at_once += 1
        try:
            async with asyncio.timeout(CALL_SECONDS):
                caller = self.access.admit(certificate_of(request), *roles)
                row.caller = caller.name
                if self._at_once > MOST_AT_ONCE:
                    raise Problem(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "the desk has more calls than it can answer; call again",
                        grpc.StatusCode.UNAVAILABLE.name,
                        retry_seconds=1.0,
                    )
                outcome = await work(Call(request, row, caller, deadline_of(request)))
        except TimeoutError:
            outcome = Problem(
                HTTPStatus.GATEWAY_TIMEOUT,
                "the answer took too long",
                grpc.StatusCode.DEADLINE_EXCEEDED.name,
            )
        except Refused as error:
            row.caller = error.caller
            outcome = problem_of(error, row.request)
            enter = self._pace.counts(error, row)
        except asyncio.CancelledError:
            row.status = grpc.StatusCode.CANCELLED.name
            self._end(row, started, True)
            raise
        except Exception as error:
            outcome = problem_of(error, row.request)
        finally:
            self._at_once -= 1
        if isinstance(outcome, Problem):
            row.status = outcome.code
        try:
            self._end(row, started, enter)
        except Exception as error:  # what is not in the record is not answered
            failure = unexpected(error, row.request)
            outcome = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, failure.sentence, failure.code.name)
        return reply(outcome, row.request)

    async def body(self, request: Request, shape: type[Body]) -> Body:
        """A request's body, checked.

        Raises:
            Problem: it is too large, too slow, no JSON, or has another shape.
        """
        data = await self._bytes(request)
        try:
            return shape.model_validate(strict_json(data))
        except NotJson as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        except ValidationError as error:
            raise wrong_shape(error) from None

    async def _bytes(self, request: Request) -> bytes:
        headers = request.headers
        if not _JSON.fullmatch(headers.get("content-type", "")):
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json in UTF-8"
            )
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        # uvicorn has refused a length that is no number, and more than one.
        if int(headers.get("content-length", "0")) > self.most_body_bytes:
            raise self._too_large()
        data = bytearray()
        try:
            async with asyncio.timeout(self.body_seconds):
                async for part in request.stream():
                    data += part
                    if len(data) > self.most_body_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body must arrive within {self.body_seconds:g} seconds",
                grpc.StatusCode.DEADLINE_EXCEEDED.name,
            ) from None
        except ClientDisconnect:
            raise Problem(
                HTTPStatus.BAD_REQUEST, "the body broke off", grpc.StatusCode.CANCELLED.name
            ) from None
        return bytes(data)

    def _too_large(self) -> Problem:
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body must be at most {self.most_body_bytes:,} bytes; larger batches are for gRPC",
            grpc.StatusCode.RESOURCE_EXHAUSTED.name,
        )

    def _end(self, row: AuditRow, started: float, enter: bool) -> None:
        if enter:
            self.audit.enter(row)
        self.on_call(row.method, row.caller, row.status, time.perf_counter() - started)


def certificate_of(request: Request) -> bytes:
    """The caller's certificate (PEM), which TLS has verified; empty without TLS."""
    tls = request.scope.get("extensions", {}).get("tls", {})
    chain = tls.get("client_cert_chain") or ("",)
    return str(chain[0]).encode()


def deadline_of(request: Request) -> float | None:
    """Seconds that the caller gives, counted from when its body is read; None: the desk's own.

    Raises:
        Problem: the header is no whole number of milliseconds, or is there twice.
    """
    given = request.headers.getlist("x-deadline-ms")
    if not given:
        return None
    text = given[0].strip()
    if len(given) > 1 or not _DEADLINE.fullmatch(text) or not 0 < int(text) <= MOST_DEADLINE_MS:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"the header X-Deadline-Ms must be a whole number from 1 to {MOST_DEADLINE_MS:,}",
        )
    return int(text) / 1000


def reply(outcome: Mapping[str, Any] | Problem, request_id: str = "") -> Response:
    """The HTTP reply of an outcome."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if request_id:
        headers["x-request-id"] = request_id
    status, media_type, content = HTTPStatus.OK, "application/json", outcome
    if isinstance(outcome, Problem):
        status, media_type = outcome.status, MEDIA_TYPE
        headers |= outcome.all_headers()
        content = outcome.content(request_id)
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), int(status), headers, media_type)

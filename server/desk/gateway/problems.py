"""What a caller is told when a call fails: problem details (RFC 9457), with every wrong field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import grpc
from pydantic import ValidationError

from federation.errors import VeilscoreError
from server.desk.access.gate import Refusal, Refused
from server.desk.failures import Exhausted, Failure, failure_of

MOST_ERRORS = 20
MOST_NAME = 60
MEDIA_TYPE = "application/problem+json"
_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.UNPROCESSABLE_ENTITY,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_PART = re.compile(r'\["([^"]*)"\]|\[([0-9]+)\]|([^.\[\]]+)')


@dataclass(eq=False)
class Problem(VeilscoreError):
    """A call that fails.

    Attributes:
        status: of HTTP.
        detail: one sentence.
        code: the gRPC status of the same failure, for the audit record.
        errors: (JSON pointer into the body, sentence) of wrong fields.
        retry_seconds: after which the call may be made again; 0: says nothing.
        headers: to send with it.
    """

    status: HTTPStatus
    detail: str
    code: str = grpc.StatusCode.INVALID_ARGUMENT.name
    errors: Sequence[tuple[str, str]] = ()
    retry_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The sentence."""
        return self.detail

    def content(self, request_id: str) -> Mapping[str, Any]:
        """The body."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        if request_id:
            body["request_id"] = request_id
        if self.errors:
            body["errors"] = [{"pointer": at, "detail": text} for at, text in self.errors]
        return body

    def all_headers(self) -> dict[str, str]:
        """Headers of the reply, what each status asks for among them."""
        headers = dict(self.headers)
        if self.retry_seconds:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_seconds)))
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = 'Certificate realm="veilscore desk"'
        return headers


def problem_of(error: Exception, request_id: str) -> Problem:
    """The problem that an error of the desk is: what gRPC callers are told, in HTTP's words."""
    if isinstance(error, Problem):
        return error
    failure: Failure = failure_of(error, request_id)
    status = _CODES.get(failure.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, Refused) and error.why is Refusal.UNKNOWN:
        status = HTTPStatus.UNAUTHORIZED
    if isinstance(error, Exhausted):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(
        status,
        failure.sentence,
        failure.code.name,
        [(pointer(name), text) for name, text in failure.fields],
        failure.retry_seconds,
    )


def wrong_shape(error: ValidationError) -> Problem:
    """The problem of a body that has not the shape it must; no value of it is told."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [(_joined(one["loc"]), one["msg"]) for one in found[:MOST_ERRORS]]
    if len(found) > MOST_ERRORS:
        errors.append(("", f"{len(found) - MOST_ERRORS} more fields are wrong"))
    first = f"{errors[0][0] or 'the body'}: {errors[0][1]}"
    more = f" (and {len(found) - 1} more, see the errors)" if len(found) > 1 else ""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, first + more, errors=errors)


def pointer(name: str) -> str:
    """A field's name as the desk says it, 'features["age"]', as a JSON pointer (RFC 6901)."""
    return _joined([key or place or word for key, place, word in _PART.findall(name)])


def _joined(parts: Sequence[str | int]) -> str:
    return "".join(f"/{_shown(str(part))}" for part in parts)


def _shown(name: str) -> str:
    """A name that a caller may have made up, short and printable, escaped as pointers are."""
    text = name if len(name) <= MOST_NAME else name[:MOST_NAME] + "…"
    text = text if text.isprintable() else ascii(text)
    return text.replace("~", "~0").replace("/", "~1")

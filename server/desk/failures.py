"""What a caller is told when a call fails: a gRPC status, and which fields are wrong.

Nothing of an unexpected error reaches the caller but the request's id; the log has the error's
type and place, and no text of it, since that may hold a value.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from federation.errors import InputError, VeilscoreError
from federation.scoring.rows import FieldErrors
from server.desk.access.gate import Refusal, Refused
from server.desk.engine import OutOfTime, UnknownModel

LOG = logging.getLogger("veilscore.desk")
MOST_SENTENCE = 300  # of details, since clients take 8 KB of them at most


class NotOffered(VeilscoreError):
    """A method that this desk does not offer."""


class Exhausted(VeilscoreError):
    """The desk has more to do than it can; later it can again."""


@dataclass(frozen=True)
class Failure:
    """A status to end a call with.

    Attributes:
        code: gRPC's.
        sentence: for a person.
        fields: (field, sentence) of wrong ones.
        retry_seconds: after which the call may be made again; 0: says nothing.
    """

    code: grpc.StatusCode
    sentence: str
    fields: tuple[tuple[str, str], ...] = ()
    retry_seconds: float = 0.0

    async def end(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> NoReturn:
        """End the call with it."""
        status = status_pb2.Status(code=self.code.value[0], message=self.sentence[:MOST_SENTENCE])
        if self.fields:
            request = error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
                    for name, text in self.fields
                ]
            )
            status.details.append(_packed(request))
        if self.retry_seconds:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_seconds * 1e9))
            status.details.append(_packed(retry))
        rich = rpc_status.to_status(status)
        await context.abort(self.code, status.message, rich.trailing_metadata)


def failure_of(error: Exception, request_id: str, field_prefix: str = "") -> Failure:
    """What a caller is told of an error.

    Args:
        error: whatever came out of the desk.
        request_id: of the call.
        field_prefix: where the borrower's query stands in the request, 'request.'.
    """
    if isinstance(error, FieldErrors):
        fields = tuple((_place(name, field_prefix), text) for name, text in error.fields)
        count = len(fields)
        first = f"{fields[0][0]} {fields[0][1]}".strip() if fields else ""
        more = f" (and {count - 1} more, see the details)" if count > 1 else ""
        return Failure(grpc.StatusCode.INVALID_ARGUMENT, f"{first}{more}", fields)
    if isinstance(error, Refused):
        code = _REFUSALS[error.why]
        return Failure(code, str(error), retry_seconds=error.retry_seconds)
    if isinstance(error, UnknownModel):
        return Failure(grpc.StatusCode.NOT_FOUND, str(error))
    if isinstance(error, OutOfTime):
        return Failure(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))
    if isinstance(error, NotOffered):
        return Failure(grpc.StatusCode.UNIMPLEMENTED, str(error))
    if isinstance(error, Exhausted):
        return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), retry_seconds=1.0)
    if isinstance(error, InputError):
        # What an operator must put right, such as a policy that is not in force; no values in it.
        LOG.error("request %s failed: %s", request_id, error)
        return Failure(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    return unexpected(error, request_id)


def unexpected(error: BaseException, request_id: str) -> Failure:
    """Log where an error came from, without its text, and tell the caller its request's id."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in reversed(frames)
    )
    LOG.error("request %s failed: %s at %s", request_id, type(error).__name__, places)
    return Failure(
        grpc.StatusCode.INTERNAL,
        f"the desk failed at this request; its operator finds it in the log as {request_id}",
    )


_REFUSALS = {
    Refusal.UNKNOWN: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.ROLE: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.RATE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Refusal.QUOTA: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_OF_THE_QUERY = ("borrower", "features", "model")


def _place(name: str, prefix: str) -> str:
    return prefix + name if prefix and name.startswith(_OF_THE_QUERY) else name


def _packed(message: error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed

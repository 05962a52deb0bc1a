"""AlertService over grpc.aio: partners report, the bank's own people list and resolve.

A stream may have so many alerts under way and no more, a source so many streams; what comes faster
than a source may report waits, and with it the stream, so that nothing is lost and nothing piles up
here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from federation.errors import InputError, ProtocolError
from federation.proto import alerts_pb2
from server.desk.alerts.desk import AlertDesk
from server.desk.alerts.incoming import MOST_ID_SIGNS, check_alert, parse_alert, to_message
from server.desk.alerts.kept import KeptAlert, NoSuchAlert, Outcome
from server.desk.alerts.pace import Pace
from server.desk.alerts.store import DEFAULT_LISTED, MOST_LISTED
from server.desk.registry.database import DatabaseUnavailable

log = logging.getLogger("veilscore.desk")

SERVICE = "veilscore.alerts.v1.AlertService"
REPORTER_ROLE = "alerts"
OFFICER_ROLE = "admin"
IN_FLIGHT = 64
STREAMS_A_SOURCE = 4
# A stream may stand for months, and its caller may be struck from the access file meanwhile.
RECHECK_SECONDS = 30.0
MOST_REQUEST_BYTES = 4096

_Request = TypeVar("_Request", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]
Authorise = Callable[[Context, str], Awaitable[str]]


@dataclass(frozen=True)
class _End:
    """How a stream ends where its caller did not end it."""

    code: grpc.StatusCode
    sentence: str


_Pending = tuple[str, "asyncio.Future[Outcome]"]


class AlertHandlers:
    """The service's methods.

    Args:
        desk: stores and answers.
        authorise: given the call and a role, returns the caller's name, or ends the call
            (`context.abort`) where the caller may not.
        recheck_seconds: after which a stream's caller is asked about again.
        still: as `authorise`, of a caller whose stream goes on; without it, `authorise` itself.
    """

    def __init__(
        self,
        desk: AlertDesk,
        authorise: Authorise,
        recheck_seconds: float = RECHECK_SECONDS,
        still: Authorise | None = None,
    ) -> None:
        self._desk = desk
        self._authorise = authorise
        self._still = still or authorise
        self._recheck_seconds = recheck_seconds
        self._streams: Counter[str] = Counter()
        self._paces: dict[str, Pace] = {}

    async def report(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Take a stream of alerts; each is acknowledged after it is on the disk, in order."""
        caller = await self._authorise(context, REPORTER_ROLE)
        with self._seat(caller) as seated:
            if not seated:
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"a source has at most {STREAMS_A_SOURCE} streams of alerts at once",
                )
            pending: asyncio.Queue[_Pending | _End | None] = asyncio.Queue(IN_FLIGHT)
            reader = asyncio.create_task(self._read(requests, caller, pending))
            now = asyncio.get_running_loop().time
            checked_at = now()
            try:
                while True:
                    item: _Pending | _End | None = None
                    due = checked_at + self._recheck_seconds
                    # A stream that says nothing ends too where its caller may no longer report.
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(due):
                            item = await pending.get()
                            if item is None:
                                break
                    if now() >= due:
                        await self._still(context, REPORTER_ROLE)
                        checked_at = now()
                    if item is None:
                        continue
                    if isinstance(item, _End):
                        await context.abort(item.code, item.sentence)
                        return
                    identifier, future = item
                    try:
                        outcome = await future
                    except InputError as error:
                        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
                        return
                    yield alerts_pb2.Acknowledgement(
                        id=identifier, stored=outcome.stored, refusal=outcome.refusal
                    ).SerializeToString()
            finally:
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader

    async def list_alerts(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        """Stored alerts, the latest first."""
        await self._authorise(context, OFFICER_ROLE)
        request = await _parsed(alerts_pb2.ListRequest(), data, context)
        if request.most > MOST_LISTED:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"'most' must be at most {MOST_LISTED}"
            )
        try:
            found = await self._desk.find(
                request.borrower, request.open_only, request.most or DEFAULT_LISTED
            )
        except InputError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            return
        for kept in found:
            yield stored_message(kept).SerializeToString()

    async def resolve(self, data: bytes, context: Context) -> bytes:
        """Resolve an alert and what follows from it."""
        caller = await self._authorise(context, OFFICER_ROLE)
        request = await _parsed(alerts_pb2.ResolveRequest(), data, context)
        code, sentence = grpc.StatusCode.INVALID_ARGUMENT, ""
        try:
            kept = await self._desk.resolve(request.source, request.id, request.resolution, caller)
            return stored_message(kept).SerializeToString()
        except NoSuchAlert as error:
            code, sentence = grpc.StatusCode.NOT_FOUND, str(error)
        except DatabaseUnavailable as error:
            code, sentence = grpc.StatusCode.UNAVAILABLE, str(error)
        except InputError as error:
            sentence = str(error)
        await context.abort(code, sentence)
        return b""

    async def _read(
        self,
        requests: AsyncIterator[bytes],
        caller: str,
        pending: asyncio.Queue[_Pending | _End | None],
    ) -> None:
        """Take in what comes, for as long as there is room."""
        pace = self._paces.setdefault(caller, Pace(self._desk.store.rules.alerts_per_second))
        end: _End | None = None
        try:
            async for data in requests:
                await pace.wait()
                alert = parse_alert(data)
                await pending.put((alert.id[:MOST_ID_SIGNS], await self._submitted(alert, caller)))
        except ProtocolError as error:
            end = _End(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except InputError as error:
            end = _End(grpc.StatusCode.UNAVAILABLE, str(error))
        except grpc.aio.AbortError:
            return  # the call was ended here, and nobody waits any more
        except Exception:
            # Whatever it is, the one who waits for the end must hear of it.
            log.exception("a stream of alerts could not be read")
            end = _End(grpc.StatusCode.INTERNAL, "the desk could not read the stream")
        await pending.put(end)

    async def _submitted(self, alert: alerts_pb2.Alert, caller: str) -> asyncio.Future[Outcome]:
        desk = self._desk
        try:
            checked = check_alert(alert, caller, desk.identifier_rule, desk.store.now_ms)
        except InputError as error:
            refused: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            refused.set_result(Outcome(str(error)))
            return refused
        return await desk.submit(checked)

    @contextmanager
    def _seat(self, caller: str) -> Iterator[bool]:
        """Count a stream of a source; says whether there is room for it."""
        if self._streams[caller] >= STREAMS_A_SOURCE:
            yield False
            return
        self._streams[caller] += 1
        try:
            yield True
        finally:
            self._streams[caller] -= 1


def alert_handlers(
    desk: AlertDesk,
    authorise: Authorise,
    recheck_seconds: float = RECHECK_SECONDS,
    still: Authorise | None = None,
) -> grpc.GenericRpcHandler:
    """What a grpc.aio server is given: `server.add_generic_rpc_handlers((alert_handlers(…),))`.

    Report asks `authorise` for the role 'alerts', List and Resolve for 'admin': a partner that
    reports must not read what others reported.
    """
    methods = AlertHandlers(desk, authorise, recheck_seconds, still)
    # Without serialisers gRPC hands the bytes over as they are, so that their length is checked.
    handlers: dict[str, Any] = {
        "Report": grpc.stream_stream_rpc_method_handler(methods.report),
        "List": grpc.unary_stream_rpc_method_handler(methods.list_alerts),
        "Resolve": grpc.unary_unary_rpc_method_handler(methods.resolve),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def stored_message(kept: KeptAlert) -> alerts_pb2.StoredAlert:
    """A kept alert as it goes over the wire."""
    return alerts_pb2.StoredAlert(
        alert=to_message(kept.alert),
        received_ms=kept.received_ms,
        state=kept.state,
        follow_ups=[str(one) for one in kept.follow_ups],
        resolution=kept.resolution or "",
        resolved_by=kept.resolved_by or "",
    )


async def _parsed(message: _Request, data: bytes, context: Context) -> _Request:
    """A request, or the end of the call."""
    try:
        if len(data) > MOST_REQUEST_BYTES:
            raise DecodeError
        message.ParseFromString(data)
    except DecodeError:
        name = message.DESCRIPTOR.full_name
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"the message is no {name} of at most {MOST_REQUEST_BYTES} bytes",
        )
    return message

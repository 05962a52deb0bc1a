"""The calls of a feature party's answer side: bytes in, bytes out, a status for every fault."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from clients.answering.answer_log import AnswerLog, Question
from clients.answering.callers import Callers
from clients.answering.limits import AskingLimits
from clients.answering.loading import Loaded
from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import (
    ContributionRequest,
    NumberedReply,
    NumberedRequest,
    OfferReply,
    OfferRequest,
    ReasonsRequest,
    Refusal,
)
from federation.scoring.contribution import MOST_BORROWERS, Contribution
from federation.scoring.nonces import AnswerRefused, RefusalKind
from federation.scoring.tags import TAG_BYTES

SERVICE = "veilscore.contribution.v1.ContributionService"
MOST_REQUEST_BYTES = MOST_BORROWERS * TAG_BYTES + 16_384
_STATUS = {
    RefusalKind.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    RefusalKind.NOT_SERVED: grpc.StatusCode.FAILED_PRECONDITION,
    RefusalKind.POLICY: grpc.StatusCode.PERMISSION_DENIED,
    RefusalKind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_NAMES_SHOWN = 5
# After which a stream's caller is looked at again.
STREAM_SECONDS = 60.0
_logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[bytes, bytes]


class AnswerService:
    """Answers the label party.

    Args:
        loaded: the first reading of the table; `swap` puts a later one in its place.
        callers: who may ask.
        limits: how much.
        log: where answers are entered before they leave.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        loaded: Loaded,
        callers: Callers,
        limits: AskingLimits,
        log: AnswerLog,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing listens yet."""
        self._loaded = loaded
        self._callers = callers
        self._limits = limits
        self._log = log
        self._clock = clock
        self._told = ""
        self._streams: dict[asyncio.Task[Any], bool] = {}  # whether it waits for a question
        self._ending = False

    @property
    def loaded(self) -> Loaded:
        """The reading that is answered from."""
        return self._loaded

    def swap(self, loaded: Loaded) -> None:
        """Answer from another reading of the table; calls under way end with the one before."""
        self._loaded = loaded

    def end_streams(self) -> None:
        """End all streams, each after the answer that it is at; no other one begins."""
        self._ending = True
        for task, waits in self._streams.items():
            if waits:
                task.cancel()

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server calls; without serialisers it hands the bytes over as they are."""
        methods = {"Contribute": self._contribute, "Reasons": self._reasons, "Offer": self._offer}
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            name: grpc.unary_unary_rpc_method_handler(self._guarded(method))
            for name, method in methods.items()
        }
        handlers["ContributeStream"] = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(
        self, method: Callable[[bytes, int], bytes]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """A call that ends in an answer or a status, whatever happens inside."""

        async def call(data: bytes, context: Context) -> bytes:
            now = self._clock()
            await self._check_caller(context, now)
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                return await _abort(
                    context, grpc.StatusCode.DEADLINE_EXCEEDED, "the request came too late"
                )
            answer = self._answer(method, data, now)
            return answer if isinstance(answer, bytes) else await _abort(context, *answer)

        return call

    async def _stream(self, _: object, context: Context) -> None:
        """Contributions one after the other, for as long as the label party keeps the stream."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("gRPC calls handlers in tasks")
        try:
            await self._answer_stream(task, context)
        except asyncio.CancelledError:
            if not self._ending:
                raise
        finally:
            self._streams.pop(task, None)

    async def _answer_stream(self, task: asyncio.Task[Any], context: Context) -> None:
        await self._check_caller(context, self._clock())
        until = self._clock() + STREAM_SECONDS
        while not self._ending:
            self._streams[task] = True
            data: Any = await context.read()
            self._streams[task] = False
            if data is grpc.aio.EOF:
                return
            now = self._clock()
            if now > until:  # a certificate that was good when the stream began may have ended
                await self._check_caller(context, now)
                until = now + STREAM_SECONDS
            try:
                asked = NumberedRequest.FromString(data)
            except DecodeError:
                await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "it can't be parsed")
            answer = self._answer(self._contribute, asked.request, now)
            if isinstance(answer, bytes):
                reply = NumberedReply(number=asked.number, reply=answer)
            else:
                status, sentence = answer
                refusal = Refusal(code=status.value[0], sentence=sentence)
                reply = NumberedReply(number=asked.number, refusal=refusal)
            await context.write(reply.SerializeToString())

    async def _check_caller(self, context: Context, now: float) -> None:
        try:
            self._callers.check(context.auth_context(), now)
        except ProtocolError as error:
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, str(error))

    def _answer(
        self, method: Callable[[bytes, int], bytes], data: bytes, now: float
    ) -> bytes | tuple[grpc.StatusCode, str]:
        """An answer, or a status and a sentence."""
        try:
            return method(data, int(now * 1000))
        except DecodeError:
            return grpc.StatusCode.INVALID_ARGUMENT, "the request can't be parsed"
        except AnswerRefused as refusal:
            return _STATUS[refusal.kind], str(refusal)
        except OSError as error:
            self._tell(f"answers can't be entered in the log: {error.strerror}")
            return grpc.StatusCode.UNAVAILABLE, "its log can't be written"
        except Exception as error:
            # Its text might hold what must not be in a log.
            self._tell(f"a request failed with {type(error).__name__}")
            return grpc.StatusCode.INTERNAL, "the request failed here"

    def _tell(self, sentence: str) -> None:
        """Log a fault of this side, but not again for every request that meets it."""
        if sentence != self._told:
            self._told = sentence
            _logger.error("%s", sentence)

    def _contribute(self, data: bytes, now_ms: int) -> bytes:
        request = ContributionRequest.FromString(data)
        borrowers = len(request.tags) // TAG_BYTES
        self._limits.take(borrowers, now_ms)
        answered = self._session(request.session).answer(request, now_ms)
        reply = answered.SerializeToString()
        known = int.from_bytes(answered.known, "little").bit_count()
        question = self._question("points", request.session, request.variant)
        self._log.enter(question, borrowers, known, len(reply), now_ms)
        return reply

    def _reasons(self, data: bytes, now_ms: int) -> bytes:
        request = ReasonsRequest.FromString(data)
        self._limits.take(1, now_ms)
        answered = self._session(request.session).reasons(request, now_ms)
        reply = answered.SerializeToString()
        question = self._question("reasons", request.session, request.variant)
        self._log.enter(question, 1, int(answered.known), len(reply), now_ms)
        return reply

    def _offer(self, data: bytes, now_ms: int) -> bytes:
        OfferRequest.FromString(data)
        self._limits.take(0, now_ms)
        loaded = self._loaded
        reply = OfferReply(as_of_ms=loaded.as_of_ms, borrowers=loaded.borrowers)
        for session, contribution in loaded.sessions.items():
            reply.reasons = contribution.policy.reasons
            reply.cache_seconds = contribution.policy.cache_seconds
            for one in contribution.offered():
                reply.models.add(session=session, variant=one.name, part_digest=one.part_digest)
        return reply.SerializeToString()

    def _session(self, session: str) -> Contribution:
        contribution = self._loaded.sessions.get(session)
        if contribution is None:
            names = sorted(self._loaded.sessions)
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            raise AnswerRefused(
                RefusalKind.NOT_SERVED,
                f"that session is not served here; these are: {', '.join(names[:_NAMES_SHOWN])}"
                f"{more}",
            )
        return contribution

    def _question(self, kind: str, session: str, variant: str) -> Question:
        return Question(kind, session, variant, self._callers.label_party)


async def _abort(context: Any, status: grpc.StatusCode, sentence: str) -> NoReturn:
    await context.abort(status, sentence)
    raise ProtocolError(sentence)  # never reached: abort raises

"""The calls of a feature party's answer side: bytes in, bytes out, a status for every fault."""

from __future__ import annotations

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
    OfferReply,
    OfferRequest,
    ReasonsRequest,
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

    @property
    def loaded(self) -> Loaded:
        """The reading that is answered from."""
        return self._loaded

    def swap(self, loaded: Loaded) -> None:
        """Answer from another reading of the table; calls under way end with the one before."""
        self._loaded = loaded

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server calls; without serialisers it hands the bytes over as they are."""
        methods = {"Contribute": self._contribute, "Reasons": self._reasons, "Offer": self._offer}
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(self._guarded(method))
                for name, method in methods.items()
            },
        )

    def _guarded(
        self, method: Callable[[bytes, int], bytes]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """A call that ends in an answer or a status, whatever happens inside."""

        async def call(data: bytes, context: Context) -> bytes:
            now = self._clock()
            try:
                self._callers.check(context.auth_context(), now)
            except ProtocolError as error:
                return await _abort(context, grpc.StatusCode.UNAUTHENTICATED, str(error))
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                return await _abort(
                    context, grpc.StatusCode.DEADLINE_EXCEEDED, "the request came too late"
                )
            try:
                return method(data, int(now * 1000))
            except DecodeError:
                status, sentence = grpc.StatusCode.INVALID_ARGUMENT, "the request can't be parsed"
            except AnswerRefused as refusal:
                status, sentence = _STATUS[refusal.kind], str(refusal)
            except OSError as error:
                self._tell(f"answers can't be entered in the log: {error.strerror}")
                status, sentence = grpc.StatusCode.UNAVAILABLE, "its log can't be written"
            except Exception as error:
                # Its text might hold what must not be in a log.
                self._tell(f"a request failed with {type(error).__name__}")
                status, sentence = grpc.StatusCode.INTERNAL, "the request failed here"
            return await _abort(context, status, sentence)

        return call

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

"""ScoringService over gRPC: each call is admitted, parsed, answered and entered in the audit log.

Handlers take and give bytes, so that a request that is no message at all is answered like any
other wrong one. Access is checked at the start of each handler: an interceptor of grpc.aio costs
more than the check.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import grpc.aio

from federation.proto.scoring_pb2 import (
    DESCRIPTOR,
    DecideRequest,
    ExplainRequest,
    ModelInfoRequest,
    ScoreBatchRequest,
    ScoreRequest,
)
from server.desk.access.gate import Gate, Refused
from server.desk.access.rules import Caller, Role
from server.desk.answers import ScoreAnswer
from server.desk.audit import AuditLog, AuditRow
from server.desk.decisions import DecisionMaker
from server.desk.engine import MOST_REASONS, ScoringEngine
from server.desk.failures import Failure, NotOffered, failure_of, unexpected
from server.desk.prepared import routing_id
from server.desk.refusal_pace import RefusalPace
from server.desk.replies import (
    ScoreReplies,
    batch_reply,
    decide_reply,
    explain_reply,
    model_info,
)
from server.desk.requests import (
    batch_query,
    decide_query,
    explain_query,
    parsed,
    score_query,
)

SERVICE = DESCRIPTOR.services_by_name["ScoringService"].full_name
BATCHES_AHEAD = 3  # of one stream, read while an earlier one is still answered
BATCHES_AT_ONCE = 8  # of all streams
CHECK_SECONDS = 1.0  # between two looks whether the caller of an idle stream may still call
REASONS_OF_A_DECISION = 8

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class _Call:
    """One call, or one batch of a stream, while it lasts."""

    row: AuditRow
    certificate: bytes
    seconds: float | None
    roles: tuple[Role, ...]
    field_prefix: str = ""
    started: float = field(default_factory=time.perf_counter)


_Work = Callable[[bytes, _Call, Caller], Awaitable[bytes]]


class ScoringService:
    """The handlers of ScoringService.

    Args:
        engine: scores.
        gate: says who may call.
        audit: keeps the record.
        decide: the lending policy; without one `Decide` is not offered.
        on_call: told method, caller, status and seconds of each call; must not wait.
        on_decided: told product and decision.
    """

    def __init__(
        self,
        engine: ScoringEngine,
        gate: Gate,
        audit: AuditLog,
        decide: DecisionMaker | None = None,
        on_call: Callable[[str, str, str, float], None] = lambda *_: None,
        on_decided: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """Nothing is served yet."""
        self._engine = engine
        self._gate = gate
        self._audit = audit
        self._decide_by = decide
        self._on_call = on_call
        self._on_decided = on_decided
        self._replies = ScoreReplies()
        self._batches = asyncio.Semaphore(BATCHES_AT_ONCE)
        self._pace = RefusalPace()

    def handler(self) -> grpc.GenericRpcHandler:
        """The generic handler to add to a server."""
        unary = grpc.unary_unary_rpc_method_handler
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Score": unary(self._unary("Score", self._score, (Role.SCORE,))),
            "Explain": unary(self._unary("Explain", self._explain, (Role.EXPLAIN,), "request.")),
            "Decide": unary(self._unary("Decide", self._decide, (Role.DECIDE,), "request.")),
            "ModelInfo": unary(self._unary("ModelInfo", self._model_info, _MAY_ASK)),
            "ScoreBatch": grpc.stream_stream_rpc_method_handler(self._score_batch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _unary(
        self, method: str, work: _Work, roles: tuple[Role, ...], field_prefix: str = ""
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def handle(data: bytes, context: Context) -> bytes:
            call = _Call(
                AuditRow(secrets.token_hex(16), method),
                caller_certificate(context),
                context.time_remaining(),
                roles,
                field_prefix,
            )
            outcome = await self._attempt(data, call, work)
            if isinstance(outcome, Failure):
                await outcome.end(context)
            return outcome

        return handle

    async def _attempt(self, data: bytes, call: _Call, work: _Work) -> bytes | Failure:
        """The reply, or how the call fails; either way it is in the audit record."""
        row = call.row
        outcome: bytes | Failure
        try:
            caller = self._gate.admit(call.certificate, *call.roles)
            row.caller = caller.name
            outcome = await work(data, call, caller)
        except Refused as error:
            return self._refused(error, call)
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

    def _refused(self, error: Refused, call: _Call) -> Failure:
        """How a stream ends whose caller may not call, or no longer; entered like any call."""
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

    def _end(self, call: _Call) -> None:
        self._audit.enter(call.row)
        self._told(call)

    def _told(self, call: _Call) -> None:
        row = call.row
        self._on_call(row.method, row.caller, row.status, time.perf_counter() - call.started)

    async def _score(self, data: bytes, call: _Call, caller: Caller) -> bytes:
        query = score_query(parsed(ScoreRequest, data))
        self._gate.take_borrowers(caller, 1)
        call.row.borrower = routing_id(query.borrower)
        answer, call.row.borrower = await self._engine.scored(query, call.seconds)
        _fill(call.row, answer)
        return self._replies.score(answer, call.row.request)

    async def _explain(self, data: bytes, call: _Call, caller: Caller) -> bytes:
        query, most = explain_query(parsed(ExplainRequest, data))
        self._gate.take_borrowers(caller, 1)
        call.row.borrower = routing_id(query.borrower)
        explained = await self._engine.explain(query, call.seconds, min(most, MOST_REASONS))
        call.row.borrower = explained.borrower
        _fill(call.row, explained.answer)
        return explain_reply(
            self._replies.message(explained.answer, call.row.request),
            explained.reasons,
            explained.without_reasons,
            explained.label_party,
        )

    async def _decide(self, data: bytes, call: _Call, caller: Caller) -> bytes:
        if self._decide_by is None:
            raise NotOffered("this desk has no lending policy; its operator can set [policy] file")
        query, product, facts = decide_query(parsed(DecideRequest, data))
        self._gate.take_borrowers(caller, 1)
        call.row.borrower = routing_id(query.borrower)
        explained = await self._engine.explain(query, call.seconds, REASONS_OF_A_DECISION)
        call.row.borrower = explained.borrower
        _fill(call.row, explained.answer)
        decision = self._decide_by.decide(
            explained.answer, product, facts, explained.reasons, explained.borrower
        )
        call.row.decision, call.row.rule = decision.decision, decision.rule
        call.row.policy = decision.policy_digest
        self._on_decided(product, decision.decision)
        score = self._replies.message(explained.answer, call.row.request)
        return decide_reply(score, decision, explained.label_party)

    async def _model_info(self, data: bytes, call: _Call, caller: Caller) -> bytes:
        loaded = self._engine.model(parsed(ModelInfoRequest, data).model)
        call.row.model = loaded.digest
        return model_info(loaded)

    async def _batch(self, data: bytes, call: _Call, caller: Caller) -> bytes:
        async with self._batches:
            request = parsed(ScoreBatchRequest, data)
            call.row.borrowers = len(request.borrowers)
            query = batch_query(request)
            self._gate.take_borrowers(caller, len(query.borrowers))
            answer = await self._engine.score_batch(query, call.seconds)
            call.row.model = answer.digest
            call.row.degraded = any(why.degrades for why in answer.absent.values())
            return batch_reply(answer, request.sequence, call.row.request)

    async def _score_batch(
        self, requests: AsyncIterable[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        context.set_compression(grpc.Compression.Gzip)
        certificate = caller_certificate(context)
        ahead: asyncio.Queue[asyncio.Task[bytes | Failure] | None] = asyncio.Queue()
        room = asyncio.Semaphore(BATCHES_AHEAD)
        started: set[asyncio.Task[bytes | Failure]] = set()

        async def read() -> None:
            try:
                async for data in requests:
                    task = asyncio.create_task(self._attempt(data, called(), self._batch))
                    started.add(task)
                    task.add_done_callback(started.discard)
                    ahead.put_nowait(task)
                    await room.acquire()
            finally:  # also where the caller's stream broke off
                ahead.put_nowait(None)

        def called() -> _Call:
            row = AuditRow(secrets.token_hex(16), "ScoreBatch")
            return _Call(row, certificate, context.time_remaining(), (Role.SCORE,))

        try:
            self._gate.admit(certificate, Role.SCORE)
        except Refused as error:
            await self._refused(error, called()).end(context)
        reader = asyncio.create_task(read())
        failed: Failure | None = None
        try:
            while failed is None:
                try:
                    async with asyncio.timeout(CHECK_SECONDS):
                        task = await ahead.get()
                except TimeoutError:
                    try:
                        self._gate.check(certificate, Role.SCORE)
                    except Refused as error:
                        failed = self._refused(error, called())
                    continue
                if task is None:
                    break
                room.release()
                outcome = await task
                if isinstance(outcome, Failure):
                    failed = outcome
                    break
                yield outcome
        finally:
            for running in (reader, *started):
                running.cancel()
        if failed is not None:
            await failed.end(context)


_MAY_ASK = (Role.SCORE, Role.EXPLAIN, Role.DECIDE, Role.ADMIN)


def caller_certificate(context: Context) -> bytes:
    """The caller's certificate (PEM), which TLS has verified; empty without TLS."""
    given = list(context.auth_context().get("x509_pem_cert") or ())
    return given[0] if len(given) == 1 else b""


def _fill(row: AuditRow, answer: ScoreAnswer) -> None:
    row.model = answer.digest
    row.variant = answer.variant.name
    row.role = answer.role
    row.score = answer.score
    row.degraded = answer.degraded

"""ScoringService over gRPC: each call is parsed, answered, and accounted for by `desk.calls`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable

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
from server.desk.audit import AuditLog, AuditRow
from server.desk.calls import Call, Calls, Context, caller_certificate
from server.desk.deciding import Deciding, fill_row
from server.desk.decisions import DecisionMaker
from server.desk.engine import MOST_REASONS, ScoringEngine
from server.desk.failures import Failure
from server.desk.prepared import routing_id
from server.desk.replies import (
    ScoreReplies,
    batch_reply,
    explain_reply,
    model_info,
)
from server.desk.requests import (
    batch_query,
    explain_query,
    parsed,
    score_query,
)

SERVICE = DESCRIPTOR.services_by_name["ScoringService"].full_name
BATCHES_AHEAD = 3  # of one stream, read while an earlier one is still answered
BATCHES_AT_ONCE = 8  # of all streams
CHECK_SECONDS = 1.0  # between two looks whether the caller of an idle stream may still call


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
        self._calls = Calls(gate, audit, on_call)
        self._replies = ScoreReplies()
        self._deciding = Deciding(engine, self._calls, decide, on_decided, self._replies)
        self._batches = asyncio.Semaphore(BATCHES_AT_ONCE)

    def handler(self) -> grpc.GenericRpcHandler:
        """The generic handler to add to a server."""
        unary = grpc.unary_unary_rpc_method_handler
        handle = self._calls.unary
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Score": unary(handle("Score", self._score, (Role.SCORE,))),
            "Explain": unary(handle("Explain", self._explain, (Role.EXPLAIN,), "request.")),
            "Decide": unary(handle("Decide", self._decide, (Role.DECIDE,), "request.")),
            "ModelInfo": unary(handle("ModelInfo", self._model_info, _MAY_ASK)),
            "ScoreBatch": grpc.stream_stream_rpc_method_handler(self._score_batch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _score(self, data: bytes, call: Call, caller: Caller) -> bytes:
        query = score_query(parsed(ScoreRequest, data))
        self._calls.gate.take_borrowers(caller, 1)
        call.row.borrower = routing_id(query.borrower)
        answer, call.row.borrower = await self._engine.scored(query, call.seconds)
        fill_row(call.row, answer)
        return self._replies.score(answer, call.row.request)

    async def _explain(self, data: bytes, call: Call, caller: Caller) -> bytes:
        query, most = explain_query(parsed(ExplainRequest, data))
        self._calls.gate.take_borrowers(caller, 1)
        call.row.borrower = routing_id(query.borrower)
        explained = await self._engine.explain(query, call.seconds, min(most, MOST_REASONS))
        call.row.borrower = explained.borrower
        fill_row(call.row, explained.answer)
        return explain_reply(
            self._replies.message(explained.answer, call.row.request),
            explained.reasons,
            explained.without_reasons,
            explained.label_party,
        )

    async def _decide(self, data: bytes, call: Call, caller: Caller) -> bytes:
        decided = await self._deciding.decided(parsed(DecideRequest, data), call, caller)
        return decided.reply.SerializeToString()

    async def _model_info(self, data: bytes, call: Call, caller: Caller) -> bytes:
        loaded = self._engine.model(parsed(ModelInfoRequest, data).model)
        call.row.model = loaded.digest
        return model_info(loaded)

    async def _batch(self, data: bytes, call: Call, caller: Caller) -> bytes:
        async with self._batches:
            request = parsed(ScoreBatchRequest, data)
            call.row.borrowers = len(request.borrowers)
            query = batch_query(request)
            self._calls.gate.take_borrowers(caller, len(query.borrowers))
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
                    task = asyncio.create_task(self._calls.attempt(data, called(), self._batch))
                    started.add(task)
                    task.add_done_callback(started.discard)
                    ahead.put_nowait(task)
                    await room.acquire()
            finally:  # also where the caller's stream broke off
                ahead.put_nowait(None)

        def called() -> Call:
            row = AuditRow(secrets.token_hex(16), "ScoreBatch")
            return Call(row, certificate, context.time_remaining(), (Role.SCORE,))

        try:
            self._calls.gate.admit(certificate, Role.SCORE)
        except Refused as error:
            await self._calls.refused(error, called()).end(context)
        reader = asyncio.create_task(read())
        failed: Failure | None = None
        try:
            while failed is None:
                try:
                    async with asyncio.timeout(CHECK_SECONDS):
                        task = await ahead.get()
                except TimeoutError:
                    try:
                        self._calls.gate.check(certificate, Role.SCORE)
                    except Refused as error:
                        failed = self._calls.refused(error, called())
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

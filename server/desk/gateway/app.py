"""The gateway's application: its paths, and what OpenAPI says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.exceptions import HTTPException

from federation.errors import InputError
from federation.proto.scoring_pb2 import ExplainReply, ModelInfoReply, ScoreBatchReply
from federation.schema import FeatureKind
from federation.scoring.rows import FieldErrors, GivenColumn
from server.desk.access.rules import Role
from server.desk.answers import LoadedModel, ScoreAnswer, ScoreQuery
from server.desk.audit import AuditRow
from server.desk.decisions import DecisionMaker
from server.desk.engine import BatchQuery
from server.desk.failures import NotOffered
from server.desk.gateway.bodies import BatchBody, DecideBody, ExplainBody, ScoreBody
from server.desk.gateway.calls import Access, Audit, Call, Calls, Engine, reply
from server.desk.gateway.openapi import description, documented, with_schemas
from server.desk.gateway.problems import Problem
from server.desk.prepared import routing_id
from server.desk.replies import (
    ScoreReplies,
    batch_reply,
    decide_reply,
    explain_reply,
    model_info,
)

REASONS_OF_A_DECISION = 8
MAY_ASK = (Role.SCORE, Role.EXPLAIN, Role.DECIDE, Role.ADMIN)


def gateway_app(
    engine: Engine,
    access: Access,
    audit: Audit,
    decide: DecisionMaker | None = None,
    on_call: Callable[[str, str, str, float], None] = lambda *_: None,
    on_decided: Callable[[str, str], None] = lambda *_: None,
    **limits: Any,
) -> FastAPI:
    """The application.

    Args:
        engine: the desk's, so that scores are those of gRPC.
        access: says who may call.
        audit: keeps the record.
        decide: the lending policy; without one /v1/decide is not offered.
        on_call: told method, caller, status and seconds of each call; must not wait.
        on_decided: told product and decision; must not wait.
        limits: of bodies; see `Calls`.
    """
    gateway = _Gateway(engine, Calls(access, audit, on_call, **limits), decide, on_decided)
    app = FastAPI(
        title="veilscore scoring desk",
        version="1",
        description=description(),
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    for path, handler in (
        ("/v1/score", gateway.score),
        ("/v1/score/batch", gateway.batch),
        ("/v1/explain", gateway.explain),
        ("/v1/decide", gateway.decide),
    ):
        app.add_api_route(path, handler, methods=["POST"], **documented(path))
    for path, handler in (("/v1/model", gateway.model), ("/v1/health", gateway.health)):
        app.add_api_route(path, handler, methods=["GET"], **documented(path))
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = with_schemas(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _unexpected)
    return app


class _Gateway:
    """The handlers."""

    def __init__(
        self,
        engine: Engine,
        calls: Calls,
        decide: DecisionMaker | None,
        on_decided: Callable[[str, str], None],
    ) -> None:
        self._engine = engine
        self._calls = calls
        self._policy = decide
        self._on_decided = on_decided
        self._replies = ScoreReplies()

    async def score(self, request: Request) -> Response:
        """Score one borrower."""
        return await self._calls.answer(request, "rest/Score", (Role.SCORE,), self._score)

    async def batch(self, request: Request) -> Response:
        """Score many borrowers."""
        return await self._calls.answer(request, "rest/ScoreBatch", (Role.SCORE,), self._batch)

    async def explain(self, request: Request) -> Response:
        """Score one borrower and say what weighed against it."""
        return await self._calls.answer(request, "rest/Explain", (Role.EXPLAIN,), self._explain)

    async def decide(self, request: Request) -> Response:
        """Score one borrower and decide by the lending policy."""
        return await self._calls.answer(request, "rest/Decide", (Role.DECIDE,), self._decide)

    async def model(self, request: Request) -> Response:
        """What a model takes, and how good it is."""
        return await self._calls.answer(request, "rest/ModelInfo", MAY_ASK, self._model)

    async def health(self, request: Request) -> Response:
        """Whether the desk can score."""
        try:
            self._engine.model("")
        except InputError:
            return reply(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no model is in production"))
        return reply({"status": "serving"})

    async def _score(self, call: Call) -> Mapping[str, Any]:
        query = self._query(call, await self._calls.body(call.request, ScoreBody))
        answer, call.row.borrower = await self._engine.scored(query, call.seconds)
        fill(call.row, answer)
        return _content(self._replies.message(answer, call.row.request))

    async def _explain(self, call: Call) -> Mapping[str, Any]:
        body = await self._calls.body(call.request, ExplainBody)
        query = self._query(call, body)
        explained = await self._engine.explain(query, call.seconds, body.most_reasons)
        call.row.borrower = explained.borrower
        fill(call.row, explained.answer)
        message = explain_reply(
            self._replies.message(explained.answer, call.row.request),
            explained.reasons,
            explained.without_reasons,
            explained.label_party,
        )
        return _content(ExplainReply.FromString(message))

    async def _decide(self, call: Call) -> Mapping[str, Any]:
        if self._policy is None:
            raise NotOffered("this desk has no lending policy; its operator can set [policy] file")
        body = await self._calls.body(call.request, DecideBody)
        query = self._query(call, body)
        explained = await self._engine.explain(query, call.seconds, REASONS_OF_A_DECISION)
        call.row.borrower = explained.borrower
        fill(call.row, explained.answer)
        decision = self._policy.decide(
            explained.answer, body.product, body.facts, explained.reasons, explained.borrower
        )
        call.row.decision, call.row.rule = decision.decision, decision.rule
        call.row.policy = decision.policy_digest
        self._on_decided(body.product, decision.decision)
        score = self._replies.message(explained.answer, call.row.request)
        return _content(decide_reply(score, decision, explained.label_party))

    async def _batch(self, call: Call) -> Mapping[str, Any]:
        body = await self._calls.body(call.request, BatchBody)
        call.row.borrowers = len(body.borrowers)
        query = batch_query(body, self._engine.model(body.model))
        self._calls.access.take_borrowers(call.caller, len(body.borrowers))
        try:
            answer = await self._engine.score_batch(query, call.seconds)
        except FieldErrors as error:  # JSON has columns by name under 'features'
            fields = [(name.replace("columns[", "features[", 1), s) for name, s in error.fields]
            raise FieldErrors(fields) from None
        call.row.model = answer.digest
        call.row.degraded = any(why.degrades for why in answer.absent.values())
        content = _content(ScoreBatchReply.FromString(batch_reply(answer, 0, call.row.request)))
        del content["sequence"]  # tells messages of a stream apart, and here is one
        return content

    async def _model(self, call: Call) -> Mapping[str, Any]:
        given = call.request.query_params.getlist("model")
        if len(given) > 1 or set(call.request.query_params) - {"model"}:
            raise Problem(HTTPStatus.BAD_REQUEST, "the query may hold 'model', once, and no other")
        loaded = self._engine.model(given[0] if given else "")
        call.row.model = loaded.digest
        content = _content(ModelInfoReply.FromString(model_info(loaded)))
        for variant in content["variants"]:  # protobuf writes 64-bit numbers as texts
            variant["test_borrowers"] = int(variant["test_borrowers"])
        return content

    def _query(self, call: Call, body: ScoreBody) -> ScoreQuery:
        self._calls.access.take_borrowers(call.caller, 1)
        call.row.borrower = routing_id(body.borrower)
        return ScoreQuery(body.borrower, body.features, body.model)


def batch_query(body: BatchBody, loaded: LoadedModel) -> BatchQuery:
    """A batch's query; values are numbers or texts as the model's features are.

    Raises:
        FieldErrors: a column has another length than there are borrowers, or holds both.
    """
    kinds = {spec.name: spec.kind for spec in loaded.served.features}
    count, wrong, columns = len(body.borrowers), [], []
    for name, values in body.features.items():
        numeric = kinds.get(name) is not FeatureKind.CATEGORICAL
        where = f'features["{name[:60]}"]'
        kind = float if numeric else str
        bad = next(
            (i for i, one in enumerate(values) if one is not None and type(one) is not kind), None
        )
        if len(values) != count:
            wrong.append((where, f"must have a value for each of the {count:,} borrowers"))
        elif bad is not None and name in kinds:
            wrong.append(
                (f"{where}[{bad}]", f"must be a {'number' if numeric else 'text'}, or null")
            )
        else:
            columns.append(_column(name, values, numeric and bad is None))
    if wrong:
        raise FieldErrors(wrong)
    return BatchQuery(body.borrowers, columns, body.model)


def fill(row: AuditRow, answer: ScoreAnswer) -> None:
    """Enter an answer in a call's row."""
    row.model = answer.digest
    row.variant = answer.variant.name
    row.role = answer.role
    row.score = answer.score
    row.degraded = answer.degraded


def _column(name: str, values: list[float | str | None], numeric: bool) -> GivenColumn:
    missing = np.array([one is None for one in values], dtype=np.bool_)
    if numeric:
        numbers = np.array([0.0 if one is None else one for one in values], dtype=np.float64)
        return GivenColumn(name, numbers, missing)
    return GivenColumn(name, ["" if one is None else str(one) for one in values], missing)


def _content(message: Message) -> dict[str, Any]:
    """A reply as gRPC has it, field by field."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


async def _http_problem(request: Request, error: Exception) -> Response:
    """Paths and methods that there are not."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    headers = dict(getattr(error, "headers", None) or {})
    return reply(Problem(status, status.description or status.phrase, headers=headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    return reply(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the desk failed at this request"))

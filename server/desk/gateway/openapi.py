"""What OpenAPI says of each path: bodies, replies, errors, examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from server.desk.gateway.bodies import (
    BatchBody,
    BatchReplyBody,
    DecideBody,
    DecideReplyBody,
    ExplainBody,
    ExplainReplyBody,
    HealthReplyBody,
    ModelReplyBody,
    ProblemBody,
    ScoreBody,
    ScoreReplyBody,
)
from server.desk.gateway.calls import MOST_BODY_BYTES, MOST_DEADLINE_MS
from server.desk.gateway.problems import MEDIA_TYPE

_PROBLEMS = {
    400: "The body is no JSON, or a header or the query is wrong.",
    401: "Your certificate is nobody's that may call.",
    403: "You do not have the role.",
    404: "There is no such model, or the desk does not offer this.",
    408: "The body came too slowly.",
    413: f"The body is larger than {MOST_BODY_BYTES:,} bytes.",
    415: "The body is no application/json, or is compressed.",
    422: "Fields are wrong; `errors` says which.",
    429: "You call too often, or the day's borrowers are used up; see Retry-After.",
    500: "The desk failed; its operator finds the request by its id.",
    503: "The desk has too much to do, or no model; see Retry-After.",
    504: "The deadline was over before there was an answer.",
}
_OF_A_BODY = (408, 413, 415, 422, 504)
_PATHS: dict[str, tuple[str, str, type[BaseModel] | None, type[BaseModel]]] = {
    "/v1/score": (
        "score",
        "Score one borrower. A partner that is slow or does not know the borrower is left out: "
        "the reply says so, and which fitted variant answered.",
        ScoreBody,
        ScoreReplyBody,
    ),
    "/v1/score/batch": (
        "score_batch",
        "Score many borrowers under one model, in columns.",
        BatchBody,
        BatchReplyBody,
    ),
    "/v1/explain": (
        "explain",
        "Score one borrower, and say what weighed most against it, over all parties.",
        ExplainBody,
        ExplainReplyBody,
    ),
    "/v1/decide": (
        "decide",
        "Score one borrower, and decide on a product by the bank's lending policy.",
        DecideBody,
        DecideReplyBody,
    ),
    "/v1/model": (
        "model",
        "Which features a request must bring, and how good the model is without which party.",
        None,
        ModelReplyBody,
    ),
    "/v1/health": ("health", "Whether the desk can score.", None, HealthReplyBody),
}
_DEADLINE = {
    "name": "X-Deadline-Ms",
    "in": "header",
    "required": False,
    "description": "Milliseconds for the answer from when the body is read; without it the desk's "
    "own limit holds, and a longer one is cut to it.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_DEADLINE_MS, "example": 50},
}
_MODEL = {
    "name": "model",
    "in": "query",
    "required": False,
    "description": "A model of the registry; without it the one in production.",
    "schema": {"type": "string", "maxLength": 200},
}


def description() -> str:
    """What stands over the whole."""
    return (
        "The bank's scoring desk over HTTP. Every connection needs a client certificate; who "
        "calls stands in it, and the desk's access file says what it may do. Scores are those of "
        "the gRPC service to the last bit: the same engine makes them. JSON is read strictly: "
        "unknown fields, names given twice, NaN, and whole numbers beyond 2^53 are refused. "
        "Errors are problem details (RFC 9457) and hold no value of the request."
    )


def documented(path: str) -> dict[str, Any]:
    """Arguments of a path's route."""
    name, words, body, answer = _PATHS[path]
    health = path == "/v1/health"
    statuses = [503] if health else [400, 401, 403, 404, 429, 500, 503]
    statuses += _OF_A_BODY if body else ()
    extra: dict[str, Any] = {}
    if not health:
        extra["parameters"] = [_DEADLINE] if body else [_DEADLINE, _MODEL]
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return {
        "operation_id": name,
        "summary": words.partition(".")[0] + ".",
        "description": words,
        "response_model": None,
        "responses": {
            200: {"model": answer, "description": "The answer."},
            **{
                status: {
                    "description": _PROBLEMS[status],
                    "content": {
                        MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
                    },
                }
                for status in sorted(statuses)
            },
        },
        "openapi_extra": extra,
    }


def with_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas that its paths point to."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for shape in (ScoreBody, ExplainBody, DecideBody, BatchBody, ProblemBody):
        schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[shape.__name__] = schema
    return document

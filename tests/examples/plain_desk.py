"""A desk without a model: it speaks the real protocol over real mutual TLS, by a plain rule.

Its score is 500 plus the borrower's age, so that a test knows what is right, and it can be told to
stall, to break connections and to refuse: what a real desk does not do when asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from federation.proto import scoring_pb2 as pb
from tests.examples.desk_certificates import Certificates

SERVICE = "veilscore.scoring.v1.ScoringService"


@dataclass
class PlainDesk:
    """The rule, what was asked, and what the desk was told to do.

    Attributes:
        asked: the requests, in order.
        stall_at: the request, counted from 1, from which on no answer is given for a while.
        stall_seconds: how long.
        fail: statuses that the next calls end with, used up one by one.
        ending: set when the desk ends; nobody stalls any longer.
    """

    asked: list[Any] = field(default_factory=list)
    stall_at: int = 0
    stall_seconds: float = 0.0
    fail: list[grpc.StatusCode] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _stalled_until: float = 0.0

    def _enter(self, request: Any, context: grpc.ServicerContext) -> None:
        with self.lock:
            self.asked.append(request)
            status = self.fail.pop(0) if self.fail else None
            if len(self.asked) == self.stall_at:
                self._stalled_until = time.monotonic() + self.stall_seconds
        if status is not None:
            context.abort(status, "told to fail")
        self.ending.wait(self._stalled_until - time.monotonic())

    def score(self, request: pb.ScoreRequest, context: grpc.ServicerContext) -> pb.ScoreReply:
        """500 plus 'age'; a request without it is refused with the field's name."""
        self._enter(request, context)
        return self._reply(request, context)

    def _reply(self, request: pb.ScoreRequest, context: grpc.ServicerContext) -> pb.ScoreReply:
        if "age" not in request.features:
            wrong = error_details_pb2.BadRequest()
            wrong.field_violations.add(field="features[age]", description="is needed")
            status = status_pb2.Status(
                code=code_pb2.INVALID_ARGUMENT, message="features[age]: is needed"
            )
            status.details.add().Pack(wrong)
            context.abort_with_status(rpc_status.to_status(status))
        age = request.features["age"]
        absent = request.borrower.startswith("degraded")
        return pb.ScoreReply(
            request_id="request-1",
            score=500 if age.missing else 500 + int(age.number),
            probability_of_default=0.25,
            degraded=absent,
            missing_parties=(
                [pb.MissingParty(party="platform", reason=pb.MissingParty.SILENT)] if absent else []
            ),
            auc=0.75,
            model="main",
            model_digest="d" * 64,
            variant="exact~bank" if absent else "exact",
            parties=[] if absent else ["platform"],
            role="champion",
        )

    def explain(self, request: pb.ExplainRequest, context: grpc.ServicerContext) -> pb.ExplainReply:
        """One reason."""
        self._enter(request, context)
        reason = pb.Reason(code="bank/age", text="Young firm", party="bank", points=7)
        return pb.ExplainReply(
            score=self._reply(request.request, context),
            reasons=[reason] * min(request.most_reasons, 1),
            without_reasons=["platform"],
        )

    def decide(self, request: pb.DecideRequest, context: grpc.ServicerContext) -> pb.DecideReply:
        """Approve, with the facts as they came in the notes."""
        self._enter(request, context)
        notes = [f"{name}={fact.WhichOneof('kind')}" for name, fact in request.facts.items()]
        return pb.DecideReply(
            score=self._reply(request.request, context),
            decision="approve",
            rule="cut-off",
            policy="plain 1",
            policy_digest="p" * 64,
            terms={"limit_minor": "5000000"},
            notes=sorted(notes),
        )

    def model_info(
        self, request: pb.ModelInfoRequest, context: grpc.ServicerContext
    ) -> pb.ModelInfoReply:
        """Two features, one variant; any named model but 'main' is not known."""
        self._enter(request, context)
        if request.model not in ("", "main"):
            context.abort(grpc.StatusCode.NOT_FOUND, "no model goes by that name")
        age = pb.ModelInfoReply.Feature(name="age", kind="numeric", unit="years", minimum=0)
        sector = pb.ModelInfoReply.Feature(name="sector", kind="categorical")
        variant = pb.ModelInfoReply.Variant(name="exact", parties=["platform"])
        return pb.ModelInfoReply(
            model="main", stage="production", features=[age, sector], variants=[variant]
        )

    def score_batch(
        self, requests: Iterator[pb.ScoreBatchRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ScoreBatchReply]:
        """As `score`, a batch a message."""
        for request in requests:
            self._enter(request, context)
            ages = next(column for column in request.columns if column.feature == "age")
            missing = ages.missing or bytes(len(request.borrowers))
            scores = [
                500 if absent else 500 + int(age)
                for age, absent in zip(ages.numbers, missing, strict=True)
            ]
            yield pb.ScoreBatchReply(
                sequence=request.sequence,
                scores=scores,
                probabilities_of_default=[0.25] * len(scores),
                variant=[0] * len(scores),
                variants=["exact"],
                model="main",
            )


@contextmanager
def plain_desk(certificates: Certificates) -> Iterator[tuple[PlainDesk, str]]:
    """A running desk and its address."""
    desk = PlainDesk()
    unary = {
        "Score": (desk.score, pb.ScoreRequest),
        "Explain": (desk.explain, pb.ExplainRequest),
        "Decide": (desk.decide, pb.DecideRequest),
        "ModelInfo": (desk.model_info, pb.ModelInfoRequest),
    }
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(
            answer, kind.FromString, lambda reply: reply.SerializeToString()
        )
        for name, (answer, kind) in unary.items()
    }
    handlers["ScoreBatch"] = grpc.stream_stream_rpc_method_handler(
        desk.score_batch,
        pb.ScoreBatchRequest.FromString,
        lambda reply: reply.SerializeToString(),
    )
    credentials = grpc.ssl_server_credentials(
        [(certificates.key("desk").read_bytes(), certificates.certificate("desk").read_bytes())],
        root_certificates=certificates.ca.read_bytes(),
        require_client_auth=True,
    )
    with futures.ThreadPoolExecutor(max_workers=64) as threads:
        server = grpc.server(
            threads,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 64 * 1024 * 1024),
            ],
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield desk, f"127.0.0.1:{port}"
        finally:
            desk.ending.set()
            server.stop(0).wait()

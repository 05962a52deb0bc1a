"""ScoringService over real mutual TLS: right answers, and every refusal with its status."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.proto.scoring_pb2 import (
    Column,
    DecideReply,
    DecideRequest,
    ExplainReply,
    ExplainRequest,
    Fact,
    MissingParty,
    ModelInfoReply,
    ModelInfoRequest,
    ScoreBatchReply,
    ScoreBatchRequest,
    ScoreReply,
    ScoreRequest,
    Value,
)
from federation.scoring import default_probability, scores_of
from federation.scoring.rows import FieldErrors
from server.desk.answers import GivenReason, ScoreAnswer
from server.desk.decisions import Decision
from server.desk.decisions import Fact as FactValue
from server.desk.server import MOST_REQUEST_BYTES
from server.desk.service import SERVICE
from server.desk.single_model import SingleModel
from tests.server.desk.desks import (
    Partners,
    RunningDesk,
    batch_request,
    running_desk,
    score_request,
    single,
)
from tests.server.desk.models import served_model

MADE = served_model(("platform",))
UNARY = ("Score", "Explain", "Decide", "ModelInfo")
SECRET = 41.7351


class Policy:
    """Approves, declines nothing, and knows one product."""

    def decide(
        self,
        answer: ScoreAnswer,
        product: str,
        facts: Mapping[str, FactValue],
        reasons: Sequence[GivenReason],
        borrower: str,
    ) -> Decision:
        """By the book."""
        if product == "break":
            raise RuntimeError(f"no such thing: {borrower} {SECRET}")
        if product != "working-capital":
            raise FieldErrors([("product", "is not one of the policy's")])
        terms = {"limit_minor": str(facts.get("turnover_minor"))}
        return Decision(
            "approve", "rule 7", "policy 3", "ab" * 32, terms, tuple(reasons[:1]), (borrower,)
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    """One desk for the tests that leave it as it is."""
    callers = {"lending": ("score", "explain", "decide"), "reader": ("admin",)}
    with running_desk(
        tmp_path_factory.mktemp("desk"),
        single(MADE),
        callers=callers,
        decide=Policy(),
        limit=2.0,
    ) as running:
        yield running


def refused(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """How a call fails: code, details and wrong fields."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error = caught.value
    status = rpc_status.from_call(error)
    fields = {}
    for detail in status.details if status is not None else ():
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            fields |= {one.field: one.description for one in request.field_violations}
    return error.code(), error.details(), fields


def audit_bodies(desk: RunningDesk) -> list[dict[str, Any]]:
    """All rows so far."""
    lines = (desk.folder / "audit" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line)["body"] for line in lines]


def test_scores_equal_offline_scores(desk: RunningDesk) -> None:
    """Exactly, over the wire, one by one and in a stream."""
    variant = MADE.served.main
    log_odds = variant.calibration.log_odds(MADE.points(variant))
    scores, chances = scores_of(log_odds).tolist(), default_probability(log_odds).tolist()
    for row in range(0, 400, 40):
        reply = desk.call("Score", score_request(MADE, row), ScoreReply.FromString)
        assert (reply.score, reply.probability_of_default) == (scores[row], chances[row])
    assert reply.model == "exact"
    assert reply.model_digest == MADE.served.digest
    assert (reply.variant, list(reply.parties), reply.role) == ("exact", ["platform"], "champion")
    assert (reply.auc, reply.degraded, len(reply.request_id)) == (variant.auc, False, 32)
    requests = [batch_request(MADE, range(at, at + 50), at) for at in range(0, 400, 50)]
    replies = [ScoreBatchReply.FromString(data) for data in desk.stream(requests)]
    assert [reply.sequence for reply in replies] == list(range(0, 400, 50))
    assert [score for reply in replies for score in reply.scores] == scores
    assert [one for reply in replies for one in reply.probabilities_of_default] == chances
    assert [reply.variants[place] for reply in replies for place in reply.variant] == [
        "exact"
    ] * 400


def test_explanations_and_decisions(desk: RunningDesk) -> None:
    """Reasons of all parties; the policy's word with its rule."""
    request = score_request(MADE, 3)
    explained = desk.call("Explain", ExplainRequest(request=request), ExplainReply.FromString)
    score = desk.call("Score", request, ScoreReply.FromString)
    assert explained.score.score == score.score
    assert 0 < len(explained.reasons) <= 4
    assert explained.reasons[0].points >= explained.reasons[-1].points > 0
    assert explained.reasons[0].code.split("/")[0] in ("bank", "platform")
    assert explained.reasons[0].text.endswith("average borrower.")
    decided = desk.call(
        "Decide",
        DecideRequest(
            request=request, product="working-capital", facts={"turnover_minor": Fact(integer=7)}
        ),
        DecideReply.FromString,
    )
    assert (decided.decision, decided.rule, decided.policy) == ("approve", "rule 7", "policy 3")
    assert (dict(decided.terms), list(decided.notes)) == ({"limit_minor": "7"}, ["b0003"])
    assert decided.score.score == score.score
    row = audit_bodies(desk)[-1]
    assert (row["decision"], row["rule"], row["status"]) == ("approve", "rule 7", "OK")
    assert row["request"] == decided.score.request_id


def test_model_info_says_what_a_request_must_bring(desk: RunningDesk) -> None:
    """Also to a caller who may not score."""
    info = desk.call("ModelInfo", ModelInfoRequest(), ModelInfoReply.FromString, "reader")
    assert [one.name for one in info.features] == [spec.name for spec in MADE.served.features]
    assert info.features[0].minimum == 18
    assert not info.features[2].HasField("minimum")
    assert [one.name for one in info.variants] == ["exact", "exact~bank"]


def wrong(**changed: Any) -> ScoreRequest:
    """A request with a wrong value."""
    return score_request(MADE, 3, **changed)


NO_KIND = score_request(MADE, 3)
NO_KIND.features["age"].Clear()
MISSING_FALSE = score_request(MADE, 3)
MISSING_FALSE.features["age"].missing = False
LACKING = score_request(MADE, 3)
del LACKING.features["region"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (wrong(age=float("nan")), 'features["age"]'),
        (wrong(balance=float("inf")), 'features["balance"]'),
        (wrong(age=SECRET * 10), 'features["age"]'),
        (wrong(age="x"), 'features["age"]'),
        (wrong(employment="pirate"), 'features["employment"]'),
        (wrong(employment=1.0), 'features["employment"]'),
        (wrong(unknown_one=1.0), 'features["unknown_one"]'),
        (NO_KIND, 'features["age"]'),
        (MISSING_FALSE, 'features["age"]'),
        (LACKING, 'features["region"]'),
        (ScoreRequest(borrower="", features=score_request(MADE, 3).features), "borrower"),
        (ScoreRequest(borrower="x" * 500, features=score_request(MADE, 3).features), "borrower"),
        (ScoreRequest(borrower="b", model="m" * 300), "model"),
    ],
)
def test_bad_fields_are_named(desk: RunningDesk, request_: ScoreRequest, field: str) -> None:
    """INVALID_ARGUMENT, with the field, without the value; nested requests say where."""
    code, text, fields = refused(lambda: desk.call("Score", request_, ScoreReply.FromString))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(fields) == [field]
    assert str(SECRET) not in text + str(fields)
    nested = ExplainRequest(request=request_)
    _, _, fields = refused(lambda: desk.call("Explain", nested, ExplainReply.FromString))
    assert list(fields) == [f"request.{field}"]


def test_all_bad_fields_are_named_at_once(desk: RunningDesk) -> None:
    """And the borrower."""
    request = wrong(age=1.0, income=-1.0, x=1.0)
    request.borrower = ""
    _, text, fields = refused(lambda: desk.call("Score", request, ScoreReply.FromString))
    assert set(fields) == {"borrower", *(f'features["{name}"]' for name in ("age", "income", "x"))}
    assert "3 more" in text


def test_a_thousand_bad_fields_fit_into_an_answer(desk: RunningDesk) -> None:
    """Clients take a few KB of details only."""
    request = wrong(**{f"{number}{'n' * 300}": 1.0 for number in range(1500)})
    code, _, fields = refused(lambda: desk.call("Score", request, ScoreReply.FromString))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert 20 <= len(fields) <= 22


def test_unknown_proto_fields_are_named_by_number(desk: RunningDesk) -> None:
    """At the top and inside a value."""
    data = score_request(MADE, 3).SerializeToString() + b"\xa2\x06\x03abc"  # field 100
    code, text, _ = refused(lambda: desk.call("Score", data, ScoreReply.FromString))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "number 100" in text
    value = Value.FromString(b"\x09" + b"\0" * 8 + b"\x98\x06\x01")  # a number, and field 99
    request = score_request(MADE, 3)
    request.features["age"].CopyFrom(value)
    _, text, fields = refused(lambda: desk.call("Score", request, ScoreReply.FromString))
    assert "number 99" in text
    assert list(fields) == ['features["age"]']


def test_statuses_of_other_refusals(desk: RunningDesk) -> None:
    """Unknown models, no message, too large, unknown methods, expired deadlines."""
    unknown = ScoreRequest(borrower="b", model="nobody's")
    for method, request in (
        ("Score", unknown),
        ("Explain", ExplainRequest(request=unknown)),
        ("ModelInfo", ModelInfoRequest(model="nobody's")),
    ):
        code, _, _ = refused(lambda m=method, r=request: desk.call(m, r, bytes))
        assert code is grpc.StatusCode.NOT_FOUND
    code, _, _ = refused(lambda: desk.call("Score", b"\xff\xff\xff", ScoreReply.FromString))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    large = b"\x0a" + b"\x80\x80\x80\x05" + b"a" * (10 << 20)
    code, _, _ = refused(lambda: desk.call("Score", large, ScoreReply.FromString))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    code, _, _ = refused(lambda: desk.call("Nothing", b"", bytes))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    request = score_request(MADE, 3)
    code, _, _ = refused(lambda: desk.call("Score", request, bytes, timeout=1e-9))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    facts = {"a": Fact(decimal="1e999999999"), "b": Fact(), "c": Fact(integer=2**62)}
    decide = DecideRequest(request=request, product="working-capital", facts=facts)
    code, _, fields = refused(lambda: desk.call("Decide", decide, bytes))
    assert set(fields) == {'facts["a"]', 'facts["b"]', 'facts["c"]'}
    decide = DecideRequest(request=request, product="piracy")
    code, _, fields = refused(lambda: desk.call("Decide", decide, bytes))
    assert (code, list(fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["product"])


def test_a_small_message_does_not_unfold_into_a_huge_one(desk: RunningDesk) -> None:
    """Compressed zeros are refused by their true size."""
    with desk.channel() as channel:
        call = channel.unary_unary(f"/{SERVICE}/Score")
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(8 * MOST_REQUEST_BYTES), timeout=20, compression=grpc.Compression.Gzip)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        small = score_request(MADE, 3).SerializeToString()
        reply = call(small, timeout=5, compression=grpc.Compression.Gzip)
    assert ScoreReply.FromString(reply).score
    assert len(gzip.compress(bytes(8 * MOST_REQUEST_BYTES))) < MOST_REQUEST_BYTES


def test_unexpected_errors_tell_a_request_id_only(
    desk: RunningDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller sees INTERNAL; neither it nor the log sees a value."""
    decide = DecideRequest(request=score_request(MADE, 3), product="break")
    code, text, _ = refused(lambda: desk.call("Decide", decide, bytes))
    assert code is grpc.StatusCode.INTERNAL
    request_id = text.split()[-1]
    assert request_id in caplog.text
    assert "RuntimeError" in caplog.text
    for secret in (str(SECRET), "b0003"):
        assert secret not in text + caplog.text
    assert audit_bodies(desk)[-1]["status"] == "INTERNAL"
    assert audit_bodies(desk)[-1]["request"] == request_id


def test_a_bad_batch_ends_its_stream_after_the_good_ones(desk: RunningDesk) -> None:
    """Replies before it arrive."""
    good = batch_request(MADE, range(5), 1)
    bad = batch_request(MADE, range(5), 2)
    bad.columns[0].numbers[3] = 1000.0
    bad.columns[1].missing = b"\x02" * 5
    bad.columns.append(Column(feature="x", numbers=[1.0] * 5))
    before = len(audit_bodies(desk))
    with desk.channel() as channel:
        stream = channel.stream_stream(f"/{SERVICE}/ScoreBatch")
        replies = stream(iter([one.SerializeToString() for one in (good, bad, good)]), timeout=20)
        assert ScoreBatchReply.FromString(next(replies)).sequence == 1
        code, _, fields = refused(lambda: next(replies))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert 'columns["income"].missing' in fields
    rows = [row for row in audit_bodies(desk)[before:] if row["method"] == "ScoreBatch"]
    # The third one was under way with the others, or not.
    assert ("OK", 5) in [(row["status"], row["borrowers"]) for row in rows]
    assert [row["status"] for row in rows].count("INVALID_ARGUMENT") == 1
    assert len(rows) <= 3


@pytest.mark.parametrize(
    "request_",
    [
        ScoreBatchRequest(sequence=1),
        ScoreBatchRequest(borrowers=["a"] * 16_385),
        ScoreBatchRequest(borrowers=["a"], columns=[Column(feature="age")]),
        ScoreBatchRequest(borrowers=["a"], columns=[Column(numbers=[1.0], categories=["x"])]),
    ],
)
def test_bad_batches(desk: RunningDesk, request_: ScoreBatchRequest) -> None:
    """Empty, too many borrowers, columns of another length, of two kinds."""
    code, _, _ = refused(lambda: desk.stream([request_]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_caller_who_leaves_a_stream_harms_nobody(desk: RunningDesk) -> None:
    """Cancelled in the middle; the desk goes on."""
    request = batch_request(MADE, range(300)).SerializeToString()
    with desk.channel() as channel:
        stream = channel.stream_stream(f"/{SERVICE}/ScoreBatch")
        replies = stream(iter([request] * 50), timeout=20)
        next(replies)
        replies.cancel()
    assert desk.call("Score", score_request(MADE, 3), ScoreReply.FromString).score


def test_batch_replies_are_compressed(desk: RunningDesk) -> None:
    """What comes over the wire is much less than what it unfolds into."""
    request = batch_request(MADE, [7] * 6_000).SerializeToString()
    with counted_bytes(desk.address) as (address, received):
        near = dataclasses.replace(desk, address=address)
        [data] = near.stream([request])
    assert len(data) > 60_000
    assert received[0] < len(data) / 10


@contextmanager
def counted_bytes(address: str) -> Iterator[tuple[str, list[int]]]:
    """A way to an address for one connection, and how many bytes came back on it."""
    host, _, port = address.rpartition(":")
    received = [0]

    def forward(source: socket.socket, target: socket.socket, count: bool) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65_536):
                received[0] += len(part) if count else 0
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        caller, _ = listener.accept()
        with caller, socket.create_connection((host, int(port))) as desk_side:
            back = threading.Thread(target=forward, args=(desk_side, caller, True))
            back.start()
            forward(caller, desk_side, False)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", received
        thread.join()


def test_silent_partners_are_said(tmp_path: Path) -> None:
    """Degraded, with the party and the fallback's own AUC."""
    partners = Partners(MADE, silent={"platform"})
    with running_desk(tmp_path, SingleModel(MADE.served, partners), limit=2.0) as own:
        reply = own.call("Score", score_request(MADE, 3), ScoreReply.FromString)
        assert reply.degraded
        assert [(m.party, m.reason) for m in reply.missing_parties] == [
            ("platform", MissingParty.SILENT)
        ]
        assert (reply.variant, reply.auc) == ("exact~bank", MADE.served.alone.auc)
        data = own.stream([batch_request(MADE, range(3))])
        assert ScoreBatchReply.FromString(data[0]).degraded
        partners.silent.clear()
        partners.unknown["platform"] = {"b0003"}
        reply = own.call("Score", score_request(MADE, 3), ScoreReply.FromString)
        assert not reply.degraded
        assert reply.missing_parties[0].reason == MissingParty.NOT_KNOWN_THERE
        code, text, _ = refused(lambda: own.call("Decide", DecideRequest(), bytes))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "policy" in text


def test_health_and_reflection(desk: RunningDesk) -> None:
    """The standard services."""
    with desk.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            status = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = stub.ServerReflectionInfo(iter([asked]), timeout=5)
        names = {one.name for one in answer.list_services_response.service}
        assert SERVICE in names
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
        [answer] = stub.ServerReflectionInfo(iter([asked]), timeout=5)
        assert answer.file_descriptor_response.file_descriptor_proto


def test_draining_says_so_and_ends_calls_under_way(tmp_path: Path) -> None:
    """Health goes first, the call that runs is answered, new ones are not."""
    partners = Partners(MADE, delay=0.8)
    with (
        running_desk(tmp_path, SingleModel(MADE.served, partners), limit=5.0) as own,
        own.channel() as channel,
    ):
        call = channel.unary_unary(f"/{SERVICE}/Score")
        under_way = call.future(score_request(MADE, 3).SerializeToString(), timeout=10)
        while not partners.asked:
            time.sleep(0.01)
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=SERVICE), timeout=10
        )
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.run_coroutine_threadsafe(own.server.drain(5), own.loop)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert ScoreReply.FromString(under_way.result()).score
        draining.result(10)
        with pytest.raises(grpc.RpcError):
            call(score_request(MADE, 3).SerializeToString(), timeout=1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_raw_bytes_never_kill_the_desk(desk: RunningDesk, data: st.DataObject) -> None:
    """Any bytes to any method: a reply or a status of the caller's making, never INTERNAL."""
    request = score_request(MADE, 3)
    whole = data.draw(
        st.sampled_from(
            [
                request.SerializeToString(),
                ExplainRequest(request=request).SerializeToString(),
                DecideRequest(request=request, product="working-capital").SerializeToString(),
                batch_request(MADE, range(3)).SerializeToString(),
            ]
        )
    )
    mutated = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        mutated[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    raw = data.draw(
        st.one_of(st.binary(max_size=300), st.just(bytes(mutated)), st.just(bytes(mutated[:cut])))
    )
    codes = set()
    with desk.channel() as channel:
        for method in UNARY:
            try:
                channel.unary_unary(f"/{SERVICE}/{method}")(raw, timeout=5)
            except grpc.RpcError as error:
                codes.add(error.code())
        try:
            list(channel.stream_stream(f"/{SERVICE}/ScoreBatch")(iter([raw]), timeout=5))
        except grpc.RpcError as error:
            codes.add(error.code())
        good = channel.unary_unary(f"/{SERVICE}/Score")(request.SerializeToString(), timeout=5)
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert ScoreReply.FromString(good).score

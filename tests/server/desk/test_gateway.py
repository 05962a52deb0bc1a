"""The REST gateway over real TLS: the scores of gRPC, callers by certificate, and their rights."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest

from federation.proto.scoring_pb2 import (
    DecideReply,
    DecideRequest,
    ExplainReply,
    ExplainRequest,
    ModelInfoReply,
    ModelInfoRequest,
    ScoreBatchReply,
    ScoreReply,
)
from federation.scoring.rows import FieldErrors
from server.desk.access.issue import Authority
from server.desk.answers import FeatureValue, GivenReason, ScoreAnswer
from server.desk.decisions import Decision, Fact
from tests.server.desk.desks import (
    Models,
    Partners,
    RunningDesk,
    batch_request,
    loaded,
    running_desk,
    score_request,
)
from tests.server.desk.gateways import RunningGateway, running_gateway
from tests.server.desk.models import HandMade, served_model

CALLERS = {
    "lending": ("score", "explain", "decide"),
    "scorer": ("score",),
    "auditor": ("admin",),
}


class SmallPolicy:
    """Approves where a fact says how much; remembers its facts."""

    facts: Mapping[str, Fact] = {}

    def decide(
        self,
        answer: ScoreAnswer,
        product: str,
        facts: Mapping[str, Fact],
        reasons: Sequence[GivenReason],
        borrower: str,
    ) -> Decision:
        """One rule."""
        if product != "working-capital":
            raise FieldErrors([("product", "is not known")])
        if not isinstance(facts.get("requested_minor"), int):
            raise FieldErrors([("facts.requested_minor", "must be a whole number")])
        type(self).facts = facts
        return Decision(
            "approve", "all", "small 1", "e" * 64, {"limit_minor": "100"}, tuple(reasons), ("ok",)
        )


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of a bank and two feature parties."""
    return served_model(("platform", "lessor"))


@pytest.fixture(scope="module")
def partners(made: HandMade) -> Partners:
    """Who answers for the feature parties; one knows not everybody."""
    return Partners(made, unknown={"platform": set(made.borrowers[:20:3])})


@pytest.fixture(scope="module")
def desk(
    made: HandMade, partners: Partners, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningDesk]:
    """A desk with three callers."""
    models = Models({"exact": loaded(made.served, partners)})
    policy = SmallPolicy()
    with running_desk(
        tmp_path_factory.mktemp("desk"), models, callers=CALLERS, decide=policy, limit=5.0
    ) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(desk: RunningDesk) -> Iterator[RunningGateway]:
    """Its gateway."""
    with running_gateway(desk, decide=SmallPolicy()) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A client with all roles."""
    with gateway.client() as made_client:
        yield made_client


def body_of(made: HandMade, row: int, **changed: FeatureValue) -> dict[str, Any]:
    """A request's body about one of the model's borrowers."""
    return {"borrower": made.borrowers[row], "features": made.row(row) | changed}


def without_ids(message: Any) -> Any:
    """A reply without the ids that differ from call to call."""
    if isinstance(message, dict):
        return {k: without_ids(v) for k, v in message.items() if k != "request_id"}
    return message


def test_scores_are_those_of_grpc_to_the_last_bit(
    made: HandMade, desk: RunningDesk, client: httpx.Client
) -> None:
    """Known and unknown borrowers, every field of the reply."""
    for row in range(20):
        over_grpc = desk.call("Score", score_request(made, row), ScoreReply.FromString)
        reply = client.post("/v1/score", json=body_of(made, row))
        assert reply.status_code == 200, reply.text
        over_rest = reply.json()
        assert over_rest["probability_of_default"] == over_grpc.probability_of_default
        assert over_rest["score"] == over_grpc.score
        assert over_rest["parties"] == list(over_grpc.parties)
        assert over_rest["variant"] == over_grpc.variant
        assert over_rest["model_digest"] == over_grpc.model_digest == made.served.digest
        assert [one["party"] for one in over_rest["missing_parties"]] == [
            one.party for one in over_grpc.missing_parties
        ]
        assert reply.headers["x-request-id"] == over_rest["request_id"]
        assert reply.headers["cache-control"] == "no-store"


def test_a_batch_is_scored_as_over_grpc(
    made: HandMade, desk: RunningDesk, client: httpx.Client
) -> None:
    """Missing values as null, a column of nothing but them too."""
    rows = list(range(60))
    over_grpc = ScoreBatchReply.FromString(desk.stream([batch_request(made, rows)])[0])
    features = {name: [made.row(row)[name] for row in rows] for name in made.row(0)}
    body = {"borrowers": [made.borrowers[row] for row in rows], "features": features}
    reply = client.post("/v1/score/batch", json=body)
    assert reply.status_code == 200, reply.text
    over_rest = reply.json()
    assert over_rest["scores"] == list(over_grpc.scores)
    assert over_rest["probabilities_of_default"] == list(over_grpc.probabilities_of_default)
    assert [over_rest["variants"][place] for place in over_rest["variant"]] == [
        over_grpc.variants[place] for place in over_grpc.variant
    ]
    single = client.post("/v1/score", json=body_of(made, 7)).json()
    assert single["score"] == over_rest["scores"][7]
    all_missing = {name: [None] * 60 for name in features}
    reply = client.post("/v1/score/batch", json=body | {"features": all_missing})
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["scores"]) == 60


def test_explain_decide_and_model_are_those_of_grpc(
    made: HandMade, desk: RunningDesk, gateway: RunningGateway, client: httpx.Client
) -> None:
    """Reasons, terms, features and variants."""
    request = score_request(made, 3)
    over_grpc = desk.call(
        "Explain", ExplainRequest(request=request, most_reasons=3), ExplainReply.FromString
    )
    over_rest = client.post("/v1/explain", json=body_of(made, 3) | {"most_reasons": 3}).json()
    assert len(over_rest["reasons"]) == 3
    assert [(one["code"], one["text"], one["points"]) for one in over_rest["reasons"]] == [
        (one.code, one.text, one.points) for one in over_grpc.reasons
    ]
    decide = DecideRequest(request=request, product="working-capital")
    decide.facts["requested_minor"].integer = 5
    decided = desk.call("Decide", decide, DecideReply.FromString)
    facts = {"requested_minor": 5, "share": 0.85, "consent": True, "note": "x"}
    body = body_of(made, 3) | {"product": "working-capital", "facts": facts}
    reply = client.post("/v1/decide", json=body).json()
    assert (reply["decision"], reply["rule"], reply["terms"]) == (
        decided.decision,
        decided.rule,
        dict(decided.terms),
    )
    assert gateway.decided == [("working-capital", "approve")]
    assert reply["notes"] == list(decided.notes)
    assert SmallPolicy.facts == facts | {"share": Decimal("0.85")}
    info = desk.call("ModelInfo", ModelInfoRequest(), ModelInfoReply.FromString)
    model = client.get("/v1/model").json()
    assert [one["name"] for one in model["features"]] == [one.name for one in info.features]
    assert model["variants"][0]["test_borrowers"] == info.variants[0].test_borrowers == 100
    assert "minimum" not in model["features"][2]
    assert client.get("/v1/model", params={"model": "exact"}).json()["model"] == "exact"


def test_callers_have_the_roles_of_their_certificates(
    made: HandMade, gateway: RunningGateway
) -> None:
    """Two callers with different roles, a stranger of the same authority, on their own TLS."""
    score, explain = ("/v1/score", body_of(made, 1)), ("/v1/explain", body_of(made, 1))
    statuses = {}
    for caller in ("lending", "scorer", "auditor", "stranger"):
        with gateway.client(caller) as client:
            statuses[caller] = [
                client.post(path, json=body).status_code for path, body in (score, explain)
            ] + [client.get("/v1/model").status_code, client.get("/v1/health").status_code]
    assert statuses == {
        "lending": [200, 200, 200, 200],
        "scorer": [200, 403, 200, 200],
        "auditor": [403, 403, 200, 200],
        "stranger": [401, 401, 401, 200],
    }
    with gateway.client("scorer") as client:
        problem = client.post(*explain[:1], json=explain[1])
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"] == "caller 'scorer' does not have the role 'explain'"
    assert ("rest/Explain", "scorer", "PERMISSION_DENIED") in gateway.calls


def test_two_callers_on_one_loop_are_never_mixed_up(
    made: HandMade, gateway: RunningGateway
) -> None:
    """Interleaved calls on two standing connections, and headers that claim to be somebody."""
    forged = (gateway.desk.folder / "callers" / "lending.pem").read_text().replace("\n", "%0A")
    headers = {
        "x-client-cert": forged,
        "x-forwarded-client-cert": forged,
        "ssl-client-cert": forged,
    }
    with gateway.client("lending") as lending, gateway.client("scorer") as scorer:
        for _ in range(10):
            assert lending.post("/v1/explain", json=body_of(made, 1)).status_code == 200
            reply = scorer.post("/v1/explain", json=body_of(made, 1), headers=headers)
            assert reply.status_code == 403


@pytest.mark.parametrize("who", ["nobody", "foreigner"])
def test_tls_ends_where_there_is_no_certificate_of_the_callers_authority(
    gateway: RunningGateway, tmp_path: Any, who: str
) -> None:
    """No certificate, or one that somebody else issued."""
    context = gateway.tls("nobody")
    if who == "foreigner":
        other = Authority.made(tmp_path, "another authority")
        other.issue_caller("lending", tmp_path / "c.pem", tmp_path / "c.key")
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "c.key")
    with (
        httpx.Client(verify=context, trust_env=False) as client,
        pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)),
    ):
        client.get(f"https://{gateway.address}/v1/health")


def test_old_tls_is_refused(gateway: RunningGateway) -> None:
    """1.2 and later."""
    context = gateway.tls()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"https://{gateway.address}/v1/health").status_code == 200
    context = gateway.tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        httpx.Client(verify=context, trust_env=False) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get(f"https://{gateway.address}/v1/health")


def test_wrong_fields_are_named_all_at_once(made: HandMade, client: httpx.Client) -> None:
    """As JSON pointers, without any value."""
    body = body_of(made, 5, age=1000.0, income="much", employment=3.0) | {"borrower": "   "}
    problem = client.post("/v1/score", json=body)
    assert problem.status_code == 422
    content = problem.json()
    assert {one["pointer"] for one in content["errors"]} == {
        *("/borrower", "/features/age", "/features/income", "/features/employment"),
    }
    assert content["status"] == 422
    assert content["title"].startswith("Unprocessable")
    assert content["request_id"] == problem.headers["x-request-id"]
    assert "1000" not in problem.text
    assert "much" not in problem.text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"extra": 1}, "/extra"),
        ({"borrower": 5}, "/borrower"),
        ({"borrower": ""}, "/borrower"),
        ({"borrower": "b" * 201}, "/borrower"),
        ({"features": []}, "/features"),
        ({"features": {"age": True}}, "/features/age"),
        ({"features": {"age": [1]}}, "/features/age"),
        ({"features": {"a/b~c": {}}}, "/features/a~1b~0c"),
        ({"features": {"age": "x" * 2_000}}, "/features/age"),
        ({"model": None}, "/model"),
        ({"model": 7}, "/model"),
    ],
)
def test_bodies_of_another_shape_are_refused(
    made: HandMade, client: httpx.Client, change: dict[str, Any], pointer: str
) -> None:
    """Unknown fields, wrong types: 422 with the place."""
    problem = client.post("/v1/score", json=body_of(made, 0) | change)
    assert problem.status_code == 422
    assert pointer in [one["pointer"] for one in problem.json()["errors"]]


def test_wrong_batches_are_refused(made: HandMade, client: httpx.Client) -> None:
    """Columns of another length, of mixed kinds, unknown, too many borrowers, none."""
    rows = range(4)
    features = {name: [made.row(row)[name] for row in rows] for name in made.row(0)}
    body = {"borrowers": [made.borrowers[row] for row in rows], "features": features}
    for change, pointers in (
        ({"age": [1.0]}, {"/features/age"}),
        ({"age": [30.0, "x", 40.0, None]}, {"/features/age/1"}),
        ({"region": [3.0] * 4}, {"/features/region/0"}),
        ({"other": [1.0, None, "x", 2.0]}, {"/features/other"}),
    ):
        problem = client.post("/v1/score/batch", json=body | {"features": features | change})
        assert problem.status_code == 422, problem.text
        assert {one["pointer"] for one in problem.json()["errors"]} == pointers
    for borrowers in ([], ["b"] * 1_001, "b0001"):
        problem = client.post("/v1/score/batch", json=body | {"borrowers": borrowers})
        assert problem.status_code == 422
        assert problem.json()["errors"][0]["pointer"] == "/borrowers"


def test_facts_and_products_are_the_policys_matter(made: HandMade, client: httpx.Client) -> None:
    """What it refuses is named; so is a fact that no fact can be."""
    body = body_of(made, 3)
    for change, pointer in (
        ({"product": "yacht"}, "/product"),
        ({"product": "working-capital"}, "/facts/requested_minor"),
        (
            {"product": "working-capital", "facts": {"requested_minor": None}},
            "/facts/requested_minor",
        ),
        ({"product": "working-capital", "facts": {"x": 1e300}}, "/facts/x"),
        ({"product": "working-capital", "facts": {"x": 10**15 + 1}}, "/facts/x"),
        ({}, "/product"),
    ):
        problem = client.post("/v1/decide", json=body | change)
        assert problem.status_code == 422
        assert problem.json()["errors"][0]["pointer"] == pointer


def test_unknown_models_paths_and_methods(made: HandMade, client: httpx.Client) -> None:
    """404 and 405, as problems too."""
    problem = client.post("/v1/score", json=body_of(made, 0) | {"model": "none"})
    assert problem.status_code == 404
    assert problem.json()["detail"] == "the model asked for is not served here"
    assert client.get("/v1/model", params={"model": "none"}).status_code == 404
    assert client.get("/v1/model", params={"mode": "exact"}).status_code == 400
    for path in ("/", "/v1", "/v1/score/", "/docs", "/redoc"):
        problem = client.get(path)
        assert problem.status_code == 404
        assert problem.headers["content-type"] == "application/problem+json"
    problem = client.get("/v1/score")
    assert problem.status_code == 405
    assert problem.headers["allow"] == "POST"


def test_deadlines(made: HandMade, partners: Partners, client: httpx.Client) -> None:
    """By header: a slow partner is left out; a header that is no deadline is refused."""
    for wrong in ("0", "-5", "1.5", "soon", "60001", "1e3", "٣"):
        problem = client.post(
            "/v1/score", json=body_of(made, 0), headers={"X-Deadline-Ms": wrong.encode()}
        )
        assert problem.status_code == 400, wrong
    partners.delay = 3.0
    try:
        reply = client.post("/v1/score", json=body_of(made, 1), headers={"X-Deadline-Ms": "80"})
    finally:
        partners.delay = 0.0
    assert reply.status_code == 200
    assert reply.json()["degraded"] is True
    assert {one["reason"] for one in reply.json()["missing_parties"]} == {"SILENT"}


def test_without_policy_or_model(made: HandMade, desk: RunningDesk) -> None:
    """/v1/decide is not offered; health says that nothing can be scored."""
    from server.desk.engine import ScoringEngine

    with running_gateway(desk, engine=ScoringEngine(_NoModels())) as bare, bare.client() as client:
        assert client.get("/v1/health").status_code == 503
        assert client.post("/v1/score", json=body_of(made, 0)).status_code == 404
        problem = client.post("/v1/decide", json=body_of(made, 0) | {"product": "x"})
        assert problem.status_code == 404
        assert "no lending policy" in problem.json()["detail"]


class _NoModels:
    def route(self, borrower: str, asked: str) -> Any:
        from federation.errors import InputError

        raise InputError("no model is in production")

    def champion(self, asked: str) -> Any:
        return self.route("", asked)


def test_limits_are_those_of_the_access_file(
    made: HandMade, tmp_path: Any, partners: Partners
) -> None:
    """429 with the seconds to wait; refusals don't fill the record."""
    models = Models({"exact": loaded(made.served, partners)})
    limits = "requests_per_second = 2\nrequests_per_day = 5\n"
    with (
        running_desk(tmp_path, models, limits=limits, limit=5.0) as desk,
        running_gateway(desk) as gateway,
        gateway.client() as client,
    ):
        replies = [client.post("/v1/score", json=body_of(made, 0)) for _ in range(12)]
        limited = [one for one in replies if one.status_code == 429]
        assert 7 <= len(limited) <= 10
        assert int(limited[0].headers["retry-after"]) >= 1
        refused = [row for row in gateway.rows() if row["status"] == "RESOURCE_EXHAUSTED"]
        assert 1 <= len(refused) < len(limited)


def test_every_call_is_in_the_record_without_its_values(
    made: HandMade, gateway: RunningGateway, client: httpx.Client
) -> None:
    """The same rows as gRPC writes, under the request's id."""
    before = len(gateway.rows())
    reply = client.post("/v1/score", json=body_of(made, 2)).json()
    wrong = client.post("/v1/score", content=b"{", headers={"content-type": "application/json"})
    rows = gateway.rows()[before:]
    assert [row["method"] for row in rows] == ["rest/Score"] * 2
    assert rows[0]["request"] == reply["request_id"]
    assert rows[0]["caller"] == "lending"
    assert rows[0]["score"] == reply["score"]
    assert rows[1]["status"] == "INVALID_ARGUMENT"
    assert rows[1]["request"] == wrong.json()["request_id"]
    text = json.dumps(gateway.rows())
    assert made.borrowers[2] not in text
    assert "self-employed" not in text


def test_what_cannot_be_recorded_is_not_answered(
    made: HandMade, desk: RunningDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: 500, and no score."""
    from server.desk.audit import AuditLog

    def full(self: AuditLog, row: object) -> None:
        raise OSError(28, "No space left on device")

    with running_gateway(desk) as gateway, gateway.client() as client:
        monkeypatch.setattr(AuditLog, "enter", full)
        problem = client.post("/v1/score", json=body_of(made, 2))
        monkeypatch.undo()
        assert problem.status_code == 500
        assert "score" not in problem.json()
        assert client.post("/v1/score", json=body_of(made, 2)).status_code == 200

"""The gateway's OpenAPI: what it teaches, and that the running application keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.desk.gateway.bodies import BatchBody, DecideBody, ExplainBody, ScoreBody
from tests.server.desk.desks import Models, Partners, loaded, running_desk
from tests.server.desk.gateways import RunningGateway, running_gateway
from tests.server.desk.models import HandMade, served_model
from tests.server.desk.test_gateway import SmallPolicy

PATHS = {
    "/v1/score": "post",
    "/v1/score/batch": "post",
    "/v1/explain": "post",
    "/v1/decide": "post",
    "/v1/model": "get",
    "/v1/health": "get",
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    allow_header_conformance,
]
EXAMPLES = 15


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of a bank and a feature party."""
    return served_model(("platform",))


@pytest.fixture(scope="module")
def gateway(made: HandMade, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A running gateway with a lending policy."""
    models = Models({"exact": loaded(made.served, Partners(made))})
    with (
        running_desk(tmp_path_factory.mktemp("desk"), models, limit=5.0) as desk,
        running_gateway(desk, decide=SmallPolicy()) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def session(gateway: RunningGateway) -> Iterator[requests.Session]:
    """A session with a caller's certificate, as schemathesis takes it."""
    callers = gateway.desk.folder / "callers"
    with requests.Session() as one:
        one.cert = (str(callers / "lending.pem"), str(callers / "lending.key"))
        one.verify = str(gateway.desk.folder / "tls" / "callers-ca.pem")
        one.trust_env = False
        yield one


@pytest.fixture(scope="module")
def document(gateway: RunningGateway, session: requests.Session) -> dict[str, Any]:
    """What the running application says of itself."""
    reply = session.get(f"https://{gateway.address}/v1/openapi.json")
    assert reply.status_code == 200
    return reply.json()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (path, mode)
        for path in PATHS
        for mode in schemathesis.GenerationMode
        # A path without parameters takes nothing wrong.
        if path != "/v1/health" or mode is schemathesis.GenerationMode.POSITIVE
    ],
)
def test_the_application_keeps_to_its_document(
    gateway: RunningGateway,
    session: requests.Session,
    document: dict[str, Any],
    path: str,
    mode: schemathesis.GenerationMode,
) -> None:
    """Bodies and headers that fit and that don't: a documented status, a reply of its shape."""
    schema = schemathesis.openapi.from_dict(document)
    operation = schema[path][PATHS[path]]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=f"https://{gateway.address}",
            session=session,
            checks=CHECKS,
            verify=session.verify,
            cert=session.cert,
        )

    before = len(gateway.calls)
    keeps()
    if path != "/v1/health":
        assert len(gateway.calls) - before >= EXAMPLES // 5


@pytest.mark.parametrize("shape", [ScoreBody, ExplainBody, DecideBody, BatchBody])
def test_examples_have_the_shape_that_they_show(shape: Any) -> None:
    """Each is a sound body."""
    for example in shape.model_json_schema()["examples"]:
        assert shape.model_validate(example)


def test_the_document_teaches(document: dict[str, Any]) -> None:
    """Every path has words, an answer and its problems; every body an example."""
    assert document["openapi"].startswith("3.1")
    assert {path: next(iter(one)) for path, one in document["paths"].items()} == PATHS
    schemas = document["components"]["schemas"]
    for path, method in PATHS.items():
        operation = document["paths"][path][method]
        assert operation["summary"].endswith(".")
        assert "200" in operation["responses"]
        problem = operation["responses"]["503"]["content"]["application/problem+json"]
        assert problem["schema"]["$ref"] == "#/components/schemas/ProblemBody"
        if method == "post":
            body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert schemas[body.rpartition("/")[2]]["examples"]
            assert schemas[body.rpartition("/")[2]]["additionalProperties"] is False
            assert operation["parameters"][0]["name"] == "X-Deadline-Ms"
            assert "413" in operation["responses"]
    assert "HTTPValidationError" not in schemas


def test_a_sound_body_by_the_document_is_scored(
    made: HandMade, gateway: RunningGateway, session: requests.Session
) -> None:
    """What the model's own list of features asks for."""
    url = f"https://{gateway.address}"
    features = session.get(f"{url}/v1/model").json()["features"]

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(st.data())
    def scored(data: st.DataObject) -> None:
        values: dict[str, Any] = {}
        for one in features:
            if one["kind"] == "numeric":
                value = st.floats(one.get("minimum"), one.get("maximum"), allow_infinity=False)
                value = value.filter(lambda number: number == number)
            else:
                value = st.sampled_from(one["categories"] or ["north", "nowhere"])
            values[one["name"]] = data.draw(st.none() | value)
        body = {"borrower": made.borrowers[0], "features": values}
        reply = session.post(f"{url}/v1/score", json=body)
        assert reply.status_code == 200, reply.text
        assert 0 <= reply.json()["score"] <= 1000

    scored()

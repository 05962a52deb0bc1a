"""The examples ask a desk for a score, in other processes and another language, over mutual TLS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format, message_factory

from federation.proto import scoring_pb2 as pb
from simulations.bench_scoring_desk import CALLER_FILES
from tests.examples.served_desk import ServedDesk, rest_gateway

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SECONDS = 120
# What npm says where there is no way to its registry.
NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH")


PLACE = 5  # of the borrower who is asked about


def as_caller(served: ServedDesk) -> list[str]:
    """What every example's command line takes."""
    options = {"address": served.desk.target.address, **served.files()}
    return [text for name, value in options.items() for text in (f"--{name}", value)]


def asked(served: ServedDesk, *without: str) -> tuple[str, str]:
    """A borrower's id, and its features as JSON."""
    features = served.offline.features(PLACE)
    left = {name: value for name, value in features.items() if name not in without}
    return served.offline.borrowers[PLACE], json.dumps(left)


def expected(served: ServedDesk) -> tuple[int, float]:
    """The borrower's score and probability, computed offline."""
    name = served.offline.served.main.name
    score, probability = served.offline.scores[name], served.offline.probabilities[name]
    return int(score[PLACE]), float(probability[PLACE])


def run(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command's output."""
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=os.environ | (environment or {}),
    )


@pytest.fixture(scope="module")
def node_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node example with its pinned dependencies, in a copy."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not installed")
    folder = tmp_path_factory.mktemp("node") / "example"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    quick = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = run([npm, "ci", *quick], folder)
    if done.returncode and NO_NETWORK.search(done.stderr):
        pytest.skip("npm's registry can't be reached")
    assert done.returncode == 0, done.stderr
    return folder


def node_score(served: ServedDesk, *without: str) -> list[str]:
    """The Node example's command."""
    borrower, features = asked(served, *without)
    proto = str(ROOT / "federation" / "proto" / "scoring.proto")
    options = ["--proto", proto, "--borrower", borrower, "--features", features]
    return ["node", "score.mjs", *as_caller(served), *options]


def test_node_gets_a_score(node_example: Path, served: ServedDesk) -> None:
    """Another process, another language, mutual TLS; the score is the one computed offline."""
    done = run(node_score(served), node_example)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert (reply["score"], reply["probability_of_default"]) == expected(served)
    assert (reply["degraded"], reply["variant"]) == (False, "exact")


def test_node_is_told_which_field_is_wrong(node_example: Path, served: ServedDesk) -> None:
    """gRPC's status and the field on stderr, exit status 1."""
    done = run(node_score(served, "AGE"), node_example)
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr
    assert "AGE" in done.stderr


def test_nodes_dependencies_are_pinned() -> None:
    """Exact versions, the same in the lock, which names no place to fetch them from."""
    wanted = json.loads((EXAMPLES / "node" / "package.json").read_text())["dependencies"]
    lock = json.loads((EXAMPLES / "node" / "package-lock.json").read_text())["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert lock[""]["dependencies"] == wanted
    others = [package for path, package in lock.items() if path]
    assert all(package["integrity"].startswith("sha512-") for package in others)
    assert not any("resolved" in package for package in others)


def python_score(served: ServedDesk, *options: str) -> subprocess.CompletedProcess[str]:
    """What the Python example says."""
    command = [sys.executable, str(EXAMPLES / "python" / "score.py"), *as_caller(served)]
    return run([*command, *options], ROOT, {"PYTHONPATH": str(ROOT)})


def test_python_gets_a_score(served: ServedDesk) -> None:
    """The example in a process of its own."""
    borrower, features = asked(served)
    done = python_score(served, "--borrower", borrower, "--features", features)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert (reply["score"], reply["probability_of_default"]) == expected(served)


def test_python_gets_reasons_and_the_model(served: ServedDesk) -> None:
    """What weighed most comes first; the model's features are those that a request brings."""
    borrower, features = asked(served)
    done = python_score(served, "--borrower", borrower, "--features", features, "--explain")
    assert done.returncode == 0, done.stderr
    points = [reason["points"] for reason in json.loads(done.stdout)["reasons"]]
    assert points == sorted(points, reverse=True)
    assert len(points) == 4
    model = json.loads(python_score(served, "--info").stdout)
    assert {feature["name"] for feature in model["features"]} == set(json.loads(features))


def test_python_is_told_which_field_is_wrong(served: ServedDesk) -> None:
    """Exit status 2, and the field's name with what would be right."""
    borrower, features = asked(served, "AGE")
    done = python_score(served, "--borrower", borrower, "--features", features)
    assert done.returncode == 2
    assert re.search(r"^  features.*AGE", done.stderr, re.M), done.stderr


def test_curl_gets_a_score(served: ServedDesk, tmp_path: Path) -> None:
    """The same over REST with the same kind of certificate; a refusal names its field."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = str(EXAMPLES / "curl" / "score.sh")
    with rest_gateway(served) as address:
        files = [str(served.folder / "rest" / name) for name in CALLER_FILES]

        def score(*without: str) -> subprocess.CompletedProcess[str]:
            borrower, features = asked(served, *without)
            body = {"borrower": borrower, "features": json.loads(features)}
            (tmp_path / "request.json").write_text(json.dumps(body))
            command = [script, f"https://{address}", *files, str(tmp_path / "request.json")]
            return run(command, ROOT)

        done, refused = score(), score("AGE")
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert (reply["score"], reply["probability_of_default"]) == expected(served)
    assert refused.returncode == 22
    assert "AGE" in json.dumps(json.loads(refused.stdout)["errors"])


def test_curls_request_is_one_of_the_gateway() -> None:
    """The file that the example sends, and every body of its README."""
    from server.desk.gateway.bodies import BatchBody, DecideBody, ExplainBody, ScoreBody

    ScoreBody.model_validate_json((EXAMPLES / "curl" / "request.json").read_bytes())
    text = (EXAMPLES / "curl" / "README.md").read_text()
    bodies = dict(re.findall(r"\$DESK/v1/([a-z/]+) \\\s*-d '([^']*)'", text))
    kinds = {"explain": ExplainBody, "decide": DecideBody, "score/batch": BatchBody}
    assert set(bodies) == set(kinds)
    for name, kind in kinds.items():
        kind.model_validate_json(bodies[name])


def test_the_grpcurl_commands_fit_the_service() -> None:
    """Every method that they call is there, and every request is one of its own."""
    text = (EXAMPLES / "grpcurl" / "README.md").read_text()
    calls = re.findall(r"-d '([^']*)' \\?\s*\$DESK veilscore\.scoring\.v1\.(\w+)/(\w+)", text, re.S)
    assert {method for _, _, method in calls} == {"ModelInfo", "Score", "Explain", "Decide"}
    service = pb.DESCRIPTOR.services_by_name["ScoringService"]
    for request, name, method in calls:
        assert name == service.name
        kind = service.methods_by_name[method].input_type
        message = message_factory.GetMessageClass(kind)()
        json_format.Parse(request, message)
    assert (ROOT / "federation/proto/scoring.proto").exists()
    assert "-proto federation/proto/scoring.proto" in text

"""The audit record: a row a call, chained, without features and without borrowers' ids."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import grpc
import pytest

from federation.errors import InputError
from federation.proto.scoring_pb2 import ScoreReply
from server.desk.audit import AuditLog, AuditRow, audit_line, audit_rows
from tests.server.desk.desks import batch_request, running_desk, score_request, single
from tests.server.desk.models import served_model

MADE = served_model(())


def test_each_call_is_a_row_and_a_batch_is_one(tmp_path: Path) -> None:
    """Refused ones as well; nothing of a borrower stands in them."""
    with running_desk(tmp_path, single(MADE)) as desk:
        replies = [
            desk.call("Score", score_request(MADE, row), ScoreReply.FromString) for row in (3, 4)
        ]
        desk.stream([batch_request(MADE, range(50)), batch_request(MADE, range(20))])
        with pytest.raises(grpc.RpcError):
            desk.call("Score", score_request(MADE, 5, age=1.0), ScoreReply.FromString)
        with pytest.raises(grpc.RpcError):
            desk.call("Score", score_request(MADE, 5), ScoreReply.FromString, "stranger")
    bodies = [dict(entry.body) for entry in audit_rows(tmp_path / "audit")]
    # The batches of a stream are worked on side by side.
    bodies[2:4] = sorted(bodies[2:4], key=lambda body: body.get("borrowers", 0), reverse=True)
    assert [(body["method"], body["status"]) for body in bodies] == [
        ("Score", "OK"),
        ("Score", "OK"),
        ("ScoreBatch", "OK"),
        ("ScoreBatch", "OK"),
        ("Score", "INVALID_ARGUMENT"),
        ("Score", "PERMISSION_DENIED"),
    ]
    assert [body.get("borrowers") for body in bodies] == [None, None, 50, 20, None, None]
    first = bodies[0]
    assert first["request"] == replies[0].request_id
    assert (first["score"], first["degraded"]) == (replies[0].score, False)
    assert (first["caller"], first["variant"]) == ("lending", "exact")
    assert first["model"] == MADE.served.digest
    text = (tmp_path / "audit" / "audit.jsonl").read_text()
    text = re.sub("[0-9a-f]{32,}", "", text)  # digests, in which anything may stand by chance
    for secret in ("b0003", "B0003", "employ", "region", *map(str, MADE.row(3).values())):
        if len(secret) > 3:
            assert secret not in text
    found = list(audit_rows(tmp_path / "audit", " B0003 "))
    assert [entry.index for entry in found] == [0]
    assert not list(audit_rows(tmp_path / "audit", "b0007"))


def test_refusals_of_strangers_do_not_fill_the_disk(tmp_path: Path) -> None:
    """A row a second and caller, which counts the others."""
    with running_desk(tmp_path, single(MADE)) as desk, desk.channel("stranger") as channel:
        call = channel.unary_unary("/veilscore.scoring.v1.ScoringService/Score")
        for _ in range(40):
            with pytest.raises(grpc.RpcError):
                call(b"", timeout=5)
    assert len(list(audit_rows(tmp_path / "audit"))) < 20


def test_a_row_that_cant_be_written_is_not_answered(tmp_path: Path) -> None:
    """INTERNAL, and no score."""

    with running_desk(tmp_path, single(MADE)) as desk:
        desk.audit.close()
        with pytest.raises(grpc.RpcError) as caught:
            desk.call("Score", score_request(MADE, 3), ScoreReply.FromString)
        assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_changed_dropped_and_cut_rows_show(tmp_path: Path) -> None:
    """Reading verifies; so does opening for writing."""
    log = AuditLog(tmp_path)
    for number in range(5):
        log.enter(AuditRow(f"r{number}", "Score", borrower="b1", score=500 + number))
    log.close()
    path = tmp_path / "audit.jsonl"
    good = path.read_text()
    lines = good.splitlines(keepends=True)
    for bad in (
        good.replace("502", "602"),
        "".join(lines[:2] + lines[3:]),
        "".join(lines[:3]),
        lines[1] + lines[0] + "".join(lines[2:]),
    ):
        path.write_text(bad)
        with pytest.raises(InputError):
            list(audit_rows(tmp_path))
        with pytest.raises(InputError):
            AuditLog(tmp_path)
    path.write_text(good)
    assert len(list(audit_rows(tmp_path))) == 5
    again = AuditLog(tmp_path)
    again.enter(AuditRow("r5", "Score", borrower="b1"))
    again.close()
    assert len(list(audit_rows(tmp_path, "B1"))) == 6


def test_one_desk_writes_a_record(tmp_path: Path) -> None:
    """A second one is refused."""
    log = AuditLog(tmp_path)
    with pytest.raises(InputError, match="another process"):
        AuditLog(tmp_path)
    log.close()


def test_the_key_for_ids_is_its_owners_and_rows_differ_between_desks(tmp_path: Path) -> None:
    """0600; the same id has another hash at another desk."""
    hashes = []
    for name in ("one", "two"):
        log = AuditLog(tmp_path / name)
        log.enter(AuditRow("r", "Score", borrower="b1"))
        log.close()
        [entry] = audit_rows(tmp_path / name)
        hashes.append(entry.body["borrower"])
        key = tmp_path / name / "borrower-ids.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert hashes[0] != hashes[1]
    (tmp_path / "one" / "borrower-ids.key").write_bytes(b"short")
    with pytest.raises(InputError, match="is no key"):
        AuditLog(tmp_path / "one")


def test_rows_are_printed(tmp_path: Path) -> None:
    """For people and as JSON."""
    log = AuditLog(tmp_path)
    log.enter(AuditRow("r1", "Decide", "lending", decision="approve", rule="7", score=0))
    log.close()
    [entry] = audit_rows(tmp_path)
    assert "decision=approve" in audit_line(entry, as_json=False)
    row = json.loads(audit_line(entry, as_json=True))
    assert (row["row"], row["score"], row["caller"]) == (0, 0, "lending")
    with pytest.raises(InputError, match="no audit record"):
        list(audit_rows(tmp_path / "nowhere"))

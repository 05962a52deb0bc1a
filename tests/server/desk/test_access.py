"""Who may call: certificates, roles, limits, and a file that changes while the desk runs."""

from __future__ import annotations

import logging
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from federation.proto.scoring_pb2 import (
    ExplainReply,
    ExplainRequest,
    ModelInfoReply,
    ModelInfoRequest,
    ScoreReply,
)
from server.desk.access import Gate, Refused, Role, read_access
from server.desk.access.gate import Refusal
from server.desk.access.issue import Authority
from server.desk.access.limits import SECONDS_A_DAY, Limits
from server.desk.desk_folder import add_caller
from server.desk.service import SERVICE
from tests.server.desk.desks import (
    ALL_ROLES,
    RunningDesk,
    access_text,
    batch_request,
    running_desk,
    score_request,
    single,
)
from tests.server.desk.models import served_model

MADE = served_model(())


def code_of(desk: RunningDesk, caller: str, method: str = "Score") -> grpc.StatusCode:
    """How a good call of a caller ends."""
    request = score_request(MADE, 3)
    try:
        if method == "Explain":
            desk.call(method, ExplainRequest(request=request), ExplainReply.FromString, caller)
        elif method == "ModelInfo":
            desk.call(method, ModelInfoRequest(), ModelInfoReply.FromString, caller)
        elif method == "ScoreBatch":
            desk.stream([batch_request(MADE, [0, 1])], caller)
        else:
            desk.call(method, request, ScoreReply.FromString, caller)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def write_later(path: Path, text: str) -> None:
    """Change a file so that its time stamp changes too."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    while path.stat().st_mtime_ns == before:
        path.write_text(text)


def eventually(desk: RunningDesk, caller: str, code: grpc.StatusCode) -> None:
    """A caller's call ends so within some seconds."""
    for _ in range(100):
        if code_of(desk, caller) is code:
            return
        time.sleep(0.05)
    raise AssertionError(f"{caller} never got {code}")


def self_signed(folder: Path, name: str, days: int = 10) -> tuple[bytes, bytes, str]:
    """A certificate that issued itself, its key and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=20))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    (folder / f"{name}.key").write_bytes(private)
    return pem, private, certificate.fingerprint(hashes.SHA256()).hex()


def test_roles_decide_who_may_what(tmp_path: Path) -> None:
    """Each caller its methods; one whose certificate is nobody's, none."""
    callers = {"scorer": ("score",), "explainer": ("explain",), "officer": ("admin",)}
    allowed = {
        "scorer": {"Score", "ScoreBatch", "ModelInfo"},
        "explainer": {"Explain", "ModelInfo"},
        "officer": {"ModelInfo"},
        "stranger": set[str](),
    }
    with running_desk(tmp_path, single(MADE), callers=callers) as desk:
        for caller, methods in allowed.items():
            for method in ("Score", "ScoreBatch", "Explain", "ModelInfo"):
                right = (
                    grpc.StatusCode.OK if method in methods else grpc.StatusCode.PERMISSION_DENIED
                )
                assert code_of(desk, caller, method) is right, (caller, method)


def test_tls_lets_nobody_in_without_a_certificate_of_the_authority(tmp_path: Path) -> None:
    """None at all, one of another authority, plain text, the server's own certificate."""
    with running_desk(tmp_path / "desk", single(MADE)) as desk:
        roots = (desk.folder / "tls" / "callers-ca.pem").read_bytes()
        other = Authority.made(tmp_path / "other", "another")
        other.issue_caller("lending", tmp_path / "c.pem", tmp_path / "c.key")
        tls = desk.folder / "tls"
        pairs: list[tuple[bytes | None, bytes | None]] = [
            (None, None),
            ((tmp_path / "c.key").read_bytes(), (tmp_path / "c.pem").read_bytes()),
            ((tls / "server.key").read_bytes(), (tls / "server.pem").read_bytes()),
        ]
        channels = [
            grpc.secure_channel(desk.address, grpc.ssl_channel_credentials(roots, key, chain))
            for key, chain in pairs
        ]
        for channel in (*channels, grpc.insecure_channel(desk.address)):
            with channel, pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"/{SERVICE}/Score")(b"", timeout=3)
            assert caught.value.code() in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
        assert code_of(desk, "lending") is grpc.StatusCode.OK


def test_a_caller_is_revoked_and_admitted_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a connection that stands; a broken file changes nothing."""
    with running_desk(tmp_path, single(MADE)) as desk, desk.channel() as channel:
        call = channel.unary_unary(f"/{SERVICE}/Score")
        data = score_request(MADE, 3).SerializeToString()
        assert call(data, timeout=5)
        path = desk.folder / "access.toml"
        good = path.read_text()
        write_later(path, "[callers")
        until = time.monotonic() + 20
        while "the old one holds" not in caplog.text:
            assert call(data, timeout=5)
            assert time.monotonic() < until
        write_later(path, access_text({"stranger": ("score",)}))
        eventually(desk, "stranger", grpc.StatusCode.OK)
        with pytest.raises(grpc.RpcError) as caught:
            call(data, timeout=5)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        write_later(path, good)
        eventually(desk, "lending", grpc.StatusCode.OK)
        assert call(data, timeout=5)


def test_a_new_caller_of_the_command_is_admitted(tmp_path: Path) -> None:
    """With the roles that were named; keys are their owner's only."""
    with running_desk(tmp_path, single(MADE)) as desk:
        add_caller(desk.folder, "new", ["score"])
        eventually(desk, "new", grpc.StatusCode.OK)
        assert code_of(desk, "new", "Explain") is grpc.StatusCode.PERMISSION_DENIED
        for key in (*desk.folder.glob("callers/*.key"), *desk.folder.glob("tls/*.key")):
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
        with pytest.raises(InputError, match="there is a caller 'new' already"):
            add_caller(desk.folder, "new", ["score"])
        with pytest.raises(InputError, match="'root' is no role"):
            add_caller(desk.folder, "newer", ["root"])
        with pytest.raises(InputError, match="no caller's name"):
            add_caller(desk.folder, "../x", ["score"])
        (desk.folder / "tls" / "callers-ca.key").unlink()
        with pytest.raises(InputError, match="can't issue certificates"):
            add_caller(desk.folder, "newest", ["score"])


def test_limits_are_told_with_the_time_to_wait(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo; a batch counts its borrowers against the day."""
    limits = "requests_per_second = 2\nrequests_per_day = 100\n"
    with running_desk(tmp_path, single(MADE), limits=limits) as desk:
        codes = []
        retries = []
        for _ in range(4):
            try:
                desk.call("Score", score_request(MADE, 3), ScoreReply.FromString)
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(error.code())
                status = rpc_status.from_call(error)
                for detail in status.details:
                    retry = error_details_pb2.RetryInfo()
                    assert detail.Unpack(retry)
                    retries.append(retry.retry_delay.ToMilliseconds())
        assert codes[:2] == [grpc.StatusCode.OK] * 2
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes[2:]
        assert all(0 < wait <= 500 for wait in retries)
        time.sleep(1.1)
        with pytest.raises(grpc.RpcError) as caught:
            desk.stream([batch_request(MADE, range(200))])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "100 borrowers a day" in caught.value.details()


def test_a_certificate_that_issued_itself_is_pinned_by_its_fingerprint(tmp_path: Path) -> None:
    """Its name counts for nothing, whatever it says; an expired one is refused."""
    for folder in ("desk", "own"):
        (tmp_path / folder).mkdir()
    pem, _, fingerprint = self_signed(tmp_path / "own", "lending")
    old, _, old_print = self_signed(tmp_path / "own", "old", days=-1)
    path = tmp_path / "access.toml"
    path.write_text(access_text({"lending": ALL_ROLES}))
    with pytest.raises(Refused) as caught:
        Gate(path).admit(pem, Role.SCORE)
    assert caught.value.why is Refusal.UNKNOWN
    spelt = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    path.write_text(
        f'[callers.pinned]\ncertificate = "{spelt}"\nroles = ["score"]\n'
        f'[callers.old]\ncertificate = "sha256:{old_print}"\nroles = ["score"]\n'
    )
    gate = Gate(path)
    assert gate.admit(pem, Role.SCORE).name == "pinned"
    with pytest.raises(Refused, match="expired"):
        gate.admit(old, Role.SCORE)
    with pytest.raises(Refused):
        gate.admit(b"no certificate", Role.SCORE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[callers", "not readable TOML"),
        ("x = 1", "holds only tables"),
        ("callers = 3", "holds only tables"),
        ('[callers."a b"]\ncertificate = "a"\nroles = ["score"]', "is no caller"),
        ('[callers.a]\nroles = ["score"]', "needs 'certificate'"),
        ('[callers.a]\ncertificate = "a"', "needs 'roles'"),
        ('[callers.a]\ncertificate = "a"\nroles = ["king"]', "needs 'roles'"),
        ('[callers.a]\ncertificate = "a"\nroles = [["score"]]', "needs 'roles'"),
        ('[callers.a]\ncertificate = "a"\nroles = ["score"]\nrole = 1', "unknown key 'role'"),
        (
            '[callers.a]\ncertificate = "a"\nroles = ["score"]\nrequests_per_second = true',
            "requests_per_second",
        ),
        (
            '[callers.a]\ncertificate = "a"\nroles = ["score"]\nrequests_per_second = nan',
            "requests_per_second",
        ),
        ('[callers.a]\ncertificate = "a"\nroles = ["score"]\nrequests_per_day = 0.5', "per_day"),
        (
            '[callers.a]\ncertificate = "x"\nroles = ["score"]\n'
            '[callers.b]\ncertificate = "x"\nroles = ["score"]',
            "same certificate",
        ),
    ],
)
def test_a_wrong_access_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """At the start it is refused."""
    path = tmp_path / "access.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_access(path)


def test_an_access_file_that_vanishes_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says so."""
    caplog.set_level(logging.ERROR)
    (tmp_path / "own").mkdir()
    path, now = tmp_path / "access.toml", [0.0]
    pem, _, fingerprint = self_signed(tmp_path / "own", "a")
    path.write_text(f'[callers.a]\ncertificate = "{fingerprint}"\nroles = ["score"]\n')
    gate = Gate(path, monotonic=lambda: now[0])
    path.unlink()
    now[0] = 10.0
    assert gate.admit(pem, Role.SCORE).name == "a"
    assert "there is no such file" in caplog.text


@given(
    st.floats(0.1, 1000),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_a_bucket_never_lets_more_through_than_its_rate(rate: float, gaps: list[float]) -> None:
    """Whatever the pauses; and after the wait that it names there is room."""
    limits = Limits(rate, None)
    now, allowed = 100.0, 0
    for gap in gaps:
        now += gap
        wait = limits.take_call(now)
        if wait == 0:
            allowed += 1
        else:
            now += wait + 1e-6
            assert limits.take_call(now) == 0
            allowed += 1
    assert allowed <= max(1.0, rate) + rate * (now - 100.0) + 1e-6


@given(st.integers(1, 1000), st.lists(st.integers(1, 400), max_size=30))
def test_a_quota_is_never_passed_and_begins_anew(per_day: int, counts: list[int]) -> None:
    """A batch goes through whole or not at all; midnight is UTC's."""
    limits = Limits(None, per_day)
    used, clock = 0, 20_000.0 * SECONDS_A_DAY + 5
    for count in counts:
        wait = limits.take_borrowers(count, clock)
        assert (wait > 0) == (used + count > per_day)
        if wait:
            assert wait == SECONDS_A_DAY - 5
        else:
            used += count
    assert limits.take_borrowers(1, clock + SECONDS_A_DAY) == 0

"""HTTP/1.1 of the gateway on the bare connection: slow, large, broken and hostile requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from server.desk.access.issue import Authority
from server.desk.gateway import serving
from server.desk.gateway.connections import tls_extension
from server.desk.gateway.serving import GatewayServer
from server.desk.server import TlsFiles
from server.desk.single_model import SingleModel
from tests.server.desk.desks import Partners, RunningDesk, running_desk, single
from tests.server.desk.gateways import (
    FewConnections,
    HastyConnection,
    RunningGateway,
    running_gateway,
)
from tests.server.desk.models import HandMade, served_model

BODY_LIMIT = 100_000


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of the bank alone."""
    return served_model(())


@pytest.fixture(scope="module")
def desk(made: HandMade, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    """A desk."""
    with running_desk(tmp_path_factory.mktemp("desk"), single(made), limit=5.0) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(desk: RunningDesk) -> Iterator[RunningGateway]:
    """A gateway without patience."""
    with running_gateway(
        desk,
        connection=HastyConnection,
        idle_seconds=1,
        most_body_bytes=BODY_LIMIT,
        body_seconds=0.3,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def patient(desk: RunningDesk) -> Iterator[RunningGateway]:
    """A gateway that waits for callers on a busy machine."""
    with running_gateway(desk, most_body_bytes=BODY_LIMIT) as running:
        yield running


def _trickle(connection: ssl.SSLSocket) -> None:
    """A byte now and then, for ten seconds."""
    for _ in range(1_000):
        connection.sendall(b"X")
        time.sleep(0.01)


@contextlib.contextmanager
def connected(gateway: RunningGateway) -> Iterator[ssl.SSLSocket]:
    """A TLS connection, for bytes as they come."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain,
        gateway.tls().wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        yield tls


def until_closed(connection: ssl.SSLSocket) -> bytes:
    """All bytes until the other side hangs up; fails after the socket's timeout."""
    received = b""
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        while data := connection.recv(65_536):
            received += data
    return received


def one_reply(connection: ssl.SSLSocket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one reply with a length."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65_536)
        assert data, received
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return int(first.split()[1]), headers, body


def alive(gateway: RunningGateway, made: HandMade) -> bool:
    """Whether the gateway still scores; one without patience may hang up on a busy machine."""
    for _ in range(20):
        with contextlib.suppress(httpx.TransportError), gateway.client() as client:
            return client.post("/v1/score", json=scoring(made)).status_code == 200
    return False


def scoring(made: HandMade, row: int = 0) -> dict[str, object]:
    """A sound body."""
    return {"borrower": made.borrowers[row], "features": made.row(row)}


def post(body: bytes, *headers: str, path: str = "/v1/score", length: bool = True) -> bytes:
    """A whole request."""
    lines = [f"POST {path} HTTP/1.1", "host: desk", "content-type: application/json", *headers]
    if length:
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


UNFINISHED = [b"", b"GET /v1/hea", b"GET /v1/health HTTP/1.1\r\nhost: d\r\n"]
BROKEN = [
    b"\x16\x03\x01 garbage\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /v1/health HTTP/1.1\r\n\r\n",  # no host
    b"GET /v1/health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000,
    post(b"{}", "content-length: abc", length=False),
    post(b"{}", "content-length: -2", length=False),
    post(b"{}", "content-length: 2", "content-length: 3", length=False),
    post(b"{}", "content-length: " + "9" * 5_000, length=False),
    post(b"{}", "transfer-encoding: gzip", length=False),
    post(b"zz\r\n", "transfer-encoding: chunked", length=False),
    post(b"2\r\n{}\r\nzz\r\n", "transfer-encoding: chunked", length=False),
    post(b"{}") + b"\x00\x00\x00\r\n\r\n",
    b"GET /v1/health HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.fixture(scope="module")
def received(gateway: RunningGateway) -> dict[bytes, bytes]:
    """What comes back for each of these until the gateway hangs up, all sent at the same time."""

    def exchanged(sent: bytes) -> bytes:
        with connected(gateway) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(sent)
            return until_closed(connection)

    all_sent = [*UNFINISHED, *BROKEN]
    with ThreadPoolExecutor(len(all_sent)) as callers:
        return dict(zip(all_sent, callers.map(exchanged, all_sent), strict=True))


@pytest.mark.parametrize("start", UNFINISHED)
def test_headers_that_never_end_end_the_connection(
    received: dict[bytes, bytes], start: bytes
) -> None:
    """On a new connection, after no byte at all too."""
    assert received[start] == b""


def test_trickled_headers_end_the_connection(gateway: RunningGateway, made: HandMade) -> None:
    """Bytes that keep coming buy no time; nor do they after a first request."""
    for first in (False, True):
        with connected(gateway) as connection:
            if first:
                connection.sendall(b"GET /v1/health HTTP/1.1\r\nhost: desk\r\n\r\n")
                assert one_reply(connection)[0] == 200
            with pytest.raises((OSError, ssl.SSLError)):
                _trickle(connection)
    assert alive(gateway, made)


def test_a_body_that_never_comes_is_a_408(gateway: RunningGateway) -> None:
    """Said so, and then the connection ends."""
    with connected(gateway) as connection:
        connection.sendall(post(b"{", "content-length: 50", length=False))
        status, headers, body = one_reply(connection)
        assert (status, headers["content-type"]) == (408, "application/problem+json")
        assert json.loads(body)["detail"] == "the body must arrive within 0.3 seconds"
        assert until_closed(connection) == b""


@pytest.mark.parametrize("expect", [False, True])
def test_a_large_body_is_refused_before_it_is_sent(gateway: RunningGateway, expect: bool) -> None:
    """10 MB by its length: the reply comes while not one byte of it was sent."""
    with connected(gateway) as connection:
        more = ["expect: 100-continue"] * expect
        connection.sendall(post(b"", "content-length: 10485760", *more, length=False))
        status, _, body = one_reply(connection)
        assert status == 413
        assert "at most 100,000 bytes" in json.loads(body)["detail"]
        assert until_closed(connection) == b""


def test_a_client_that_sends_a_large_body_reads_why(
    patient: RunningGateway, made: HandMade
) -> None:
    """By length and in chunks."""
    large = b" " * 10_485_760
    headers = {"content-type": "application/json"}
    with patient.client() as client:
        assert client.post("/v1/score", content=large, headers=headers).status_code == 413
        chunks = (large[i : i + 50_000] for i in range(0, 500_000, 50_000))
        assert client.post("/v1/score", content=chunks, headers=headers).status_code == 413
        assert client.post("/v1/score", json=scoring(made)).status_code == 200


def test_a_sound_request_in_small_chunks(patient: RunningGateway, made: HandMade) -> None:
    """Chunked bodies are allowed."""
    body = json.dumps(scoring(made)).encode()
    with patient.client() as client:
        reply = client.post(
            "/v1/score",
            content=(body[i : i + 7] for i in range(0, len(body), 7)),
            headers={"content-type": "application/json; charset=UTF-8"},
        )
        assert reply.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
)
def test_other_media_types_are_refused(
    patient: RunningGateway, made: HandMade, headers: dict[str, str]
) -> None:
    """415, compressed JSON among them."""
    with patient.client() as client:
        body = json.dumps(scoring(made)).encode()
        assert client.post("/v1/score", content=body, headers=headers).status_code == 415


@pytest.mark.parametrize("sent", BROKEN)
def test_broken_http_harms_nobody_else(
    received: dict[bytes, bytes], gateway: RunningGateway, made: HandMade, sent: bytes
) -> None:
    """A reply below 500 or a closed connection, and the next caller is served."""
    for status in received[sent].split(b"HTTP/1.1 ")[1:]:
        assert status[:1] in (b"2", b"4"), received[sent]
    assert alive(gateway, made)


def test_requests_sent_ahead_are_answered_in_order(gateway: RunningGateway, made: HandMade) -> None:
    """Three in one write."""
    with gateway.client() as client:
        alone = [client.post("/v1/score", json=scoring(made, row)).json() for row in range(3)]
    with connected(gateway) as connection:
        bodies = [json.dumps(scoring(made, row)).encode() for row in range(3)]
        last = post(bodies.pop(), "connection: close")
        connection.sendall(b"".join(map(post, bodies)) + last)
        received = until_closed(connection)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")[1:]]
    assert [json.loads(body)["score"] for body in bodies] == [one["score"] for one in alone]


def test_a_caller_who_leaves_mid_body_leaves_a_row(gateway: RunningGateway) -> None:
    """And nothing else."""
    before = len(gateway.rows())
    with connected(gateway) as connection:
        connection.sendall(post(b"{", "content-length: 500", length=False))
    while len(gateway.rows()) == before:
        time.sleep(0.01)
    assert gateway.rows()[before]["status"] in ("CANCELLED", "DEADLINE_EXCEEDED")


def test_there_is_room_for_so_many_connections(desk: RunningDesk, made: HandMade) -> None:
    """One more is closed at once; when others leave there is room again."""
    with running_gateway(desk, connection=FewConnections) as gateway:
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                connection = stack.enter_context(connected(gateway))
                connection.sendall(b"GET /v1/health HTTP/1.1\r\nhost: desk\r\n\r\n")
                assert one_reply(connection)[0] == 200
            with connected(gateway) as one_more, contextlib.suppress(OSError):
                one_more.sendall(b"GET /v1/health HTTP/1.1\r\nhost: desk\r\n\r\n")
                assert until_closed(one_more) == b""
        while not _scores(gateway, made):
            time.sleep(0.01)


def _scores(gateway: RunningGateway, made: HandMade) -> bool:
    try:
        return alive(gateway, made)
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def client(patient: RunningGateway) -> Iterator[httpx.Client]:
    """One standing connection for many examples."""
    with patient.client() as standing:
        yield standing


_FIELDS = st.sampled_from(["borrower", "features", "model", "age", "income", "product", "facts"])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(["/v1/score", "/v1/score/batch", "/v1/explain", "/v1/decide"]),
    st.binary(max_size=80) | _VALUES.map(lambda value: json.dumps(value).encode()),
)
def test_raw_bodies_get_a_clear_answer(client: httpx.Client, path: str, body: bytes) -> None:
    """400 or 422 (404 where there is no policy), as a problem; never a 5xx."""
    reply = client.post(path, content=body, headers={"content-type": "application/json"})
    assert reply.status_code in (400, 404, 422), reply.text
    problem = reply.json()
    assert problem["status"] == reply.status_code
    assert reply.headers["content-type"] == "application/problem+json"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_bodies_get_a_clear_answer(
    client: httpx.Client, made: HandMade, data: st.DataObject
) -> None:
    """A sound body with a byte changed, dropped or doubled."""
    body = bytearray(json.dumps(scoring(made)).encode())
    place = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["change", "drop", "double", "cut"])):
        case "change":
            body[place] = data.draw(st.integers(0, 255))
        case "drop":
            del body[place]
        case "double":
            body[place:place] = body[place : place + 20]
        case _:
            del body[place:]
    reply = client.post(
        "/v1/score", content=bytes(body), headers={"content-type": "application/json"}
    )
    assert reply.status_code in (200, 400, 404, 422), reply.text


def test_calls_under_way_end_before_the_server_does(desk: RunningDesk, tmp_path: Path) -> None:
    """A slow partner's call is answered though the server stops meanwhile."""
    made = served_model(("platform",))
    partners = Partners(made, delay=0.5)
    with running_desk(tmp_path, SingleModel(made.served, partners), limit=5.0) as slow:
        replies: list[int] = []
        with running_gateway(slow) as gateway:
            client = gateway.client()

            def call() -> None:
                replies.append(client.post("/v1/score", json=scoring(made)).status_code)

            thread = threading.Thread(target=call)
            thread.start()
            while not partners.asked:
                time.sleep(0.01)
        thread.join()
        client.close()
    assert replies == [200]


def test_what_cannot_listen_says_so(desk: RunningDesk, gateway: RunningGateway) -> None:
    """A taken port, no address, TLS files that are not there."""

    async def start(listen: str, tls: TlsFiles) -> None:
        await GatewayServer(None, tls, listen).start()

    tls = TlsFiles.of(desk.folder / "tls")
    for listen in (gateway.address, "nowhere", "127.0.0.1:http", "127.0.0.1:70000"):
        with pytest.raises(InputError, match="the gateway can't listen on"):
            asyncio.run(start(listen, tls))
    with pytest.raises(InputError, match="the gateway can't use the TLS files"):
        asyncio.run(start("127.0.0.1:0", TlsFiles.of(desk.folder)))


def test_a_renewed_certificate_is_used_without_a_restart(
    desk: RunningDesk, made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections see the new one; a broken file changes nothing."""
    monkeypatch.setattr(serving, "_LOOK_AT_FILES_SECONDS", 0)
    tls = TlsFiles.of(desk.folder / "tls")
    with running_gateway(desk) as gateway:
        with connected(gateway) as connection:
            first = connection.getpeercert(binary_form=True)
        Authority(tls.callers, tls.callers.with_suffix(".key")).issue_server(
            ["127.0.0.1"], tls.certificate, tls.key
        )
        gateway.look_at_files()
        with connected(gateway) as connection:
            renewed = connection.getpeercert(binary_form=True)
        assert renewed != first
        whole = tls.certificate.read_bytes()
        tls.certificate.write_bytes(b"broken")
        gateway.look_at_files()
        with connected(gateway) as connection:
            assert connection.getpeercert(binary_form=True) == renewed
        assert alive(gateway, made)
        tls.certificate.write_bytes(whole)


def test_connections_without_a_handshake_end(
    desk: RunningDesk, made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain bytes, and none."""
    monkeypatch.setattr(serving, "HANDSHAKE_SECONDS", 0.3)
    with running_gateway(desk) as gateway:
        for sent in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
                plain.sendall(sent)
                with contextlib.suppress(ConnectionError):
                    plain.recv(100)
        assert alive(gateway, made)


def test_replies_do_not_wait_for_acknowledgements(desk: RunningDesk, made: HandMade) -> None:
    """Connections send at once what they have (TCP_NODELAY)."""
    seen = []

    class Watched(HastyConnection):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            plain = transport.get_extra_info("socket")
            seen.append(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    with running_gateway(desk, connection=Watched) as gateway:
        assert alive(gateway, made)
    assert seen
    assert all(seen)


def test_without_tls_there_is_no_certificate() -> None:
    """The extension of a plain connection names nobody."""
    extension = tls_extension(asyncio.Transport())
    assert extension["client_cert_chain"] == []
    assert extension["tls_version"] is None

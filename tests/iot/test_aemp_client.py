"""The AEMP client against a server over TLS that pages, fails, dawdles and lies."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from iot.aemp.client import AempClient, AempSource, AempUnavailable
from iot.aemp.credential import (
    BasicCredential,
    BearerCredential,
    ClientCredential,
    Credential,
    CredentialInvalid,
    read_secret,
)
from iot.aemp.record import AempInvalid, AempRecord, Header
from iot.units import Millis
from tests.iot.aemp_server import Answer, MakersServer, makers_server

SECRET = "hush-hush"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakersServer]:
    with makers_server(tmp_path_factory.mktemp("maker")) as server:
        yield server


@pytest.fixture
def server(running: MakersServer) -> MakersServer:
    running.answers.clear()
    running.requests.clear()
    return running


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(SECRET + "\n")
    return path


class Waits(list[float]):
    """Stands for sleep: remembers how long, and does not wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Clock:
    """A clock that a test moves."""

    now = Millis(1_767_254_400_000)

    def __call__(self) -> Millis:
        return self.now


def client_of(
    server: MakersServer,
    credential: Credential,
    waits: Waits | None = None,
    clock: Clock | None = None,
    **settings: object,
) -> AempClient:
    given = {"url": server.url, "authority": server.authority, "read_seconds": 5.0, **settings}
    return AempClient(
        AempSource(**given),  # type: ignore[arg-type]
        credential,
        now=clock or Clock(),
        sleep=waits if waits is not None else Waits(),
        chance=random.Random(7),
    )


def page(pin: str, link: str | None = None) -> Answer:
    links = f"<Links><rel>next</rel><href>{link}</href></Links>" if link else ""
    return Answer(
        f"<Fleet>{links}<Equipment><EquipmentHeader><PIN>{pin}</PIN></EquipmentHeader>"
        "</Equipment></Fleet>".encode()
    )


def pins(client: AempClient) -> list[str]:
    with client:
        return [record.header.pin for one in client.fleet() for record in one.records]


def test_pages_are_followed_to_the_last(server: MakersServer, secret: Path) -> None:
    server.answers = {
        "/api/Fleet/1": [page("P1", f"{server.url}/api/Fleet/2")],
        "/api/Fleet/2": [page("P2", "/Fleet/3")],
        "/api/Fleet/3": [page("P3", "/api/Fleet/4")],
        "/api/Fleet/4": [page("P4", "/api/Fleet/4")],
    }
    client = client_of(server, BearerCredential(secret), url=f"{server.url}/api/")
    assert pins(client) == ["P1", "P2", "P3", "P4"]
    assert {headers["Authorization"] for _, _, headers, _ in server.requests} == {
        f"Bearer {SECRET}"
    }
    assert server.requests[0][2]["Accept"] == "application/xml"


def test_json_is_asked_for_and_read(server: MakersServer, secret: Path) -> None:
    document = json.dumps({"Equipment": [{"EquipmentHeader": {"Pin": "P1"}}]}).encode()
    server.answers = {"/Fleet/1": [Answer(document, media="application/json; charset=utf-8")]}
    assert pins(client_of(server, BasicCredential("me", secret), media="json")) == ["P1"]
    (request,) = server.requests
    assert request[2]["Accept"] == "application/json"
    assert request[2]["Authorization"] == "Basic bWU6aHVzaC1odXNo"


def test_links_in_a_circle_are_refused(server: MakersServer, secret: Path) -> None:
    server.answers = {
        "/Fleet/1": [page("P1", "/Fleet/2")],
        "/Fleet/2": [page("P2", "/Fleet/1")],
    }
    with pytest.raises(AempInvalid, match="links never end"):
        pins(client_of(server, BearerCredential(secret)))
    assert len(server.requests) == 2


def test_endless_pages_are_refused(server: MakersServer, secret: Path) -> None:
    server.answers = {f"/Fleet/{n}": [page(f"P{n}", f"/Fleet/{n + 1}")] for n in range(1, 9)}
    with pytest.raises(AempInvalid, match="over 5 pages"):
        pins(client_of(server, BearerCredential(secret), pages=5))


@pytest.mark.parametrize(
    "link",
    [
        "https://thief.example/Fleet/2",
        "//thief.example/Fleet/2",
        "http://127.0.0.1/Fleet/2",
        "https://127.0.0.1.thief.example/",
        "https://user@127.0.0.1/",
    ],
)
def test_a_link_to_another_server_is_not_followed(
    server: MakersServer, secret: Path, link: str
) -> None:
    server.answers = {"/Fleet/1": [page("P1", link)]}
    with pytest.raises(AempInvalid, match="another server"):
        pins(client_of(server, BearerCredential(secret)))
    assert len(server.requests) == 1


def test_a_failing_server_is_asked_again_with_longer_waits(
    server: MakersServer, secret: Path
) -> None:
    server.answers = {
        "/Fleet/1": [
            Answer(status=503),
            Answer(status=429, headers={"Retry-After": "9"}),
            Answer(status=500),
            page("P1"),
        ]
    }
    waits = Waits()
    assert pins(client_of(server, BearerCredential(secret), waits)) == ["P1"]
    assert len(waits) == 3
    assert 1 <= waits[0] <= 2
    assert waits[1] == 9
    assert 4 <= waits[2] <= 8


def test_a_server_that_keeps_failing_is_given_up(server: MakersServer, secret: Path) -> None:
    server.answers = {"/Fleet/1": [Answer(status=503, headers={"Retry-After": "86400"})]}
    waits = Waits()
    with pytest.raises(AempUnavailable, match="4 attempts: it answered status 503") as told:
        pins(client_of(server, BearerCredential(secret), waits))
    assert max(waits) == 300
    assert len(server.requests) == 4
    assert SECRET not in str(told.value)


def test_a_server_that_is_away_is_asked_again(server: MakersServer, secret: Path) -> None:
    waits = Waits()
    with pytest.raises(AempUnavailable, match="ConnectError"):
        pins(client_of(server, BearerCredential(secret), waits, url="https://127.0.0.1:1"))
    assert len(waits) == 3


def test_an_answer_that_stops_half_way_is_asked_for_again(
    server: MakersServer, secret: Path
) -> None:
    whole = page("P1")
    cut = Answer(whole.body, headers={"Connection": "close", "Content-Length": "9999"})
    server.answers = {"/Fleet/1": [cut, whole]}
    waits = Waits()
    client = client_of(server, BearerCredential(secret), waits, read_seconds=1.0)
    assert pins(client) == ["P1"]
    assert len(waits) == 1


def test_a_server_that_dawdles_is_not_waited_for(server: MakersServer, secret: Path) -> None:
    server.answers = {
        "/Fleet/1": [Answer(b"<Fleet>" + b" " * 100, pieces=50, pause_seconds=0.1), page("P1")]
    }
    waits = Waits()
    client = client_of(server, BearerCredential(secret), waits, page_seconds=0.5)
    assert pins(client) == ["P1"]
    assert len(waits) == 1


def test_an_endless_answer_is_refused(server: MakersServer, secret: Path) -> None:
    server.answers = {"/Fleet/1": [Answer(b"<Fleet>" + b" " * 3_000_000)]}
    with pytest.raises(AempInvalid, match="over 100000 bytes"):
        pins(client_of(server, BearerCredential(secret), page_bytes=100_000))


def test_a_compressed_answer_is_refused(server: MakersServer, secret: Path) -> None:
    server.answers = {"/Fleet/1": [Answer(b"x", headers={"Content-Encoding": "gzip"})]}
    with pytest.raises(AempInvalid, match="compressed"):
        pins(client_of(server, BearerCredential(secret)))
    assert server.requests[0][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "refuses our credential"), (403, "refuses our credential"), (404, "status 404")],
)
def test_a_refusal_is_final(server: MakersServer, secret: Path, status: int, told: str) -> None:
    server.answers = {"/Fleet/1": [Answer(status=status)]}
    with pytest.raises(AempUnavailable, match=told):
        pins(client_of(server, BearerCredential(secret)))
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed(server: MakersServer, secret: Path) -> None:
    server.answers = {
        "/Fleet/1": [Answer(status=302, headers={"Location": "https://thief.example/"})]
    }
    with pytest.raises(AempUnavailable, match="points elsewhere"):
        pins(client_of(server, BearerCredential(secret)))


def test_a_certificate_of_a_stranger_is_refused_at_once(server: MakersServer, secret: Path) -> None:
    with pytest.raises(AempUnavailable, match="not trusted"):
        pins(client_of(server, BearerCredential(secret), authority=None))
    assert server.requests == []


def test_a_sign_in_page_is_no_answer(server: MakersServer, secret: Path) -> None:
    server.answers = {"/Fleet/1": [Answer(b"<html/>", media="text/html")]}
    with pytest.raises(AempInvalid, match="first element is 'html'"):
        pins(client_of(server, BearerCredential(secret)))


def token(text: str, lives: int = 3600) -> Answer:
    return Answer(
        json.dumps({"access_token": text, "token_type": "Bearer", "expires_in": lives}).encode(),
        media="application/json",
    )


def test_a_token_is_fetched_once_and_again_when_it_runs_out(
    server: MakersServer, secret: Path
) -> None:
    server.answers = {"/token": [token("t1"), token("t2")], "/Fleet/1": [page("P1")]}
    credential = ClientCredential(f"{server.url}/token", "me", secret, "telematics")
    clock = Clock()
    with client_of(server, credential, clock=clock) as client:
        list(client.fleet())
        list(client.fleet())
        clock.now = Millis(clock.now + 3_541_000)
        list(client.fleet())
    assert server.paths() == ["/token", "/Fleet/1", "/Fleet/1", "/token", "/Fleet/1"]
    assert server.requests[0][3] == b"grant_type=client_credentials&scope=telematics"
    assert server.requests[0][2]["Authorization"] == "Basic bWU6aHVzaC1odXNo"
    assert [server.requests[n][2]["Authorization"] for n in (1, 4)] == ["Bearer t1", "Bearer t2"]
    assert "t2" not in repr(credential)


def test_a_revoked_token_is_renewed_once(server: MakersServer, secret: Path) -> None:
    server.answers = {"/token": [token("t1"), token("t2")], "/Fleet/1": [Answer(status=401)]}
    credential = ClientCredential(f"{server.url}/token", "me", secret)
    with pytest.raises(AempUnavailable, match="refuses our credential"):
        pins(client_of(server, credential))
    assert server.paths() == ["/token", "/Fleet/1", "/token", "/Fleet/1"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"access_token": "a\\nb"}', b'{"access_token": 5}'])
def test_a_token_that_is_none_is_refused(server: MakersServer, secret: Path, body: bytes) -> None:
    server.answers = {"/token": [Answer(body, media="application/json")]}
    with pytest.raises(AempInvalid, match="token"):
        pins(client_of(server, ClientCredential(f"{server.url}/token", "me", secret)))


def test_a_token_is_not_asked_for_in_the_clear(server: MakersServer, secret: Path) -> None:
    with pytest.raises(AempInvalid, match="https only"):
        pins(client_of(server, ClientCredential("http://127.0.0.1:1/token", "me", secret)))


def test_a_series_is_asked_for_by_pin_or_make_model_and_serial(
    server: MakersServer, secret: Path
) -> None:
    start, end = Millis(1_767_254_400_000), Millis(1_767_340_800_000)
    times = "2026-01-01T08:00:00Z/2026-01-02T08:00:00Z/1"
    by_pin = f"/Fleet/Equipment/P%2F7/CumulativeOperatingHours/{times}"
    by_serial = f"/Fleet/Equipment/MakeModelSerial/CAT/320/S7/Distance/{times}"
    body = b'<M><CumulativeOperatingHours datetime="2026-01-01T09:00:00Z"><Hour>5</Hour>'
    body += b"</CumulativeOperatingHours></M>"
    server.answers = {by_pin: [Answer(body)], by_serial: [Answer(b"<M/>")]}
    with client_of(server, BearerCredential(secret)) as client:
        pin = AempRecord(Header(pin="P/7"), ())
        (found,) = client.series(pin, "CumulativeOperatingHours", start, end)
        assert found.records[0].observations[0].value == 5.0
        serial = AempRecord(Header("CAT", "320", "", "S7"), ())
        list(client.series(serial, "Distance", start, end))
        with pytest.raises(AempInvalid, match="neither a PIN"):
            list(client.series(AempRecord(Header("CAT"), ()), "Distance", start, end))
    assert server.paths() == [by_pin, by_serial]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://maker.example", "https://"),
        ("maker.example", "https://"),
        ("https://me:hush@maker.example", "holds a user"),
        ("https://maker.example/?key=hush", "holds a user"),
    ],
)
def test_an_address_in_the_clear_or_with_a_secret_is_refused(url: str, told: str) -> None:
    with pytest.raises(AempInvalid, match=told) as error:
        AempSource(url)
    assert "hush" not in str(error.value)


def test_a_secret_that_others_may_read_is_refused(secret: Path) -> None:
    assert read_secret(secret) == SECRET
    secret.chmod(0o640)
    with pytest.raises(CredentialInvalid, match="chmod 600") as error:
        read_secret(secret)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff", b"x" * 20_000])
def test_a_secret_that_is_none_is_refused(secret: Path, content: bytes) -> None:
    secret.write_bytes(content)
    with pytest.raises(CredentialInvalid):
        read_secret(secret)
    secret.unlink()
    with pytest.raises(CredentialInvalid, match="can't be read"):
        read_secret(secret)

"""The alert service over mutual TLS: acknowledged once stored, refused in words, never lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from federation.identifiers import IdentifierRule
from federation.proto.alerts_pb2 import (
    Acknowledgement,
    Alert,
    ListRequest,
    ResolveRequest,
    StoredAlert,
)
from server.desk.access.gate import Gate, Refused
from server.desk.access.issue import Authority
from server.desk.access.rules import Role
from server.desk.alerts.desk import AlertDesk
from server.desk.alerts.handlers import SERVICE, STREAMS_A_SOURCE, alert_handlers
from server.desk.alerts.rules import AlertRules, FollowUp
from server.desk.alerts.store import AlertStore
from server.desk.registry.database import Database
from server.desk.registry.settings import DatabaseAddress
from server.desk.server import DeskServer, TlsFiles
from tests.clients.postgres_server import PASSWORD, PostgresServer
from tests.server.desk.alert_cases import NOW_MS, alert
from tests.server.desk.databases import postgres_address, sqlite_address
from tests.server.desk.desks import access_text

CALLERS = {"lessor": ["alerts"], "platform": ["alerts"], "officer": ["admin"]}
SECONDS = 20.0


@dataclass
class AlertServer:
    """A running service, and its desk."""

    address: str
    folder: Path
    desk: AlertDesk
    store: AlertStore
    loop: asyncio.AbstractEventLoop

    def channel(self, caller: str) -> grpc.Channel:
        """A channel with a caller's certificate."""
        tls, callers = self.folder / "tls", self.folder / "callers"
        credentials = grpc.ssl_channel_credentials(
            (tls / "callers-ca.pem").read_bytes(),
            (callers / f"{caller}.key").read_bytes(),
            (callers / f"{caller}.pem").read_bytes(),
        )
        return grpc.secure_channel(self.address, credentials)

    def report(
        self, alerts: Sequence[Alert | bytes], caller: str = "lessor"
    ) -> list[Acknowledgement]:
        """One stream, and all that comes back."""
        data = [one if isinstance(one, bytes) else one.SerializeToString() for one in alerts]
        with self.channel(caller) as channel:
            stream = channel.stream_stream(f"/{SERVICE}/Report")
            return [Acknowledgement.FromString(d) for d in stream(iter(data), timeout=SECONDS)]

    def list(self, caller: str = "officer", **values: Any) -> list[StoredAlert]:
        """What is stored."""
        with self.channel(caller) as channel:
            stream = channel.unary_stream(f"/{SERVICE}/List")
            found = stream(ListRequest(**values).SerializeToString(), timeout=SECONDS)
            return [StoredAlert.FromString(data) for data in found]

    def resolve(self, caller: str = "officer", **values: str) -> StoredAlert:
        """Resolve one."""
        with self.channel(caller) as channel:
            call = channel.unary_unary(f"/{SERVICE}/Resolve")
            data = ResolveRequest(**values).SerializeToString()
            return StoredAlert.FromString(call(data, timeout=SECONDS))

    def here(self, work: Callable[[], Any]) -> Any:
        """Run something in the desk's loop."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(SECONDS)


@contextmanager
def alert_server(
    folder: Path, address: DatabaseAddress, rules: AlertRules | None = None, **options: Any
) -> Iterator[AlertServer]:
    """A service on a free port."""
    authority = Authority.made(folder / "tls", "desk of the tests")
    tls = TlsFiles.of(folder / "tls")
    authority.issue_server(["127.0.0.1", "localhost"], tls.certificate, tls.key)
    for name in CALLERS:
        authority.issue_caller(
            name, folder / "callers" / f"{name}.pem", folder / "callers" / f"{name}.key"
        )
    (folder / "access.toml").write_text(access_text(CALLERS))
    gate = Gate(folder / "access.toml")

    async def authorise(context: Any, role: str) -> str:
        try:
            [certificate] = context.auth_context()["x509_pem_cert"]
            return gate.admit(certificate, Role(role)).name
        except Refused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            return ""

    database = Database(address)
    store = AlertStore(database, rules or AlertRules(), lambda: NOW_MS)
    ready, stop = threading.Event(), asyncio.Event()
    started: list[AlertServer] = []

    async def serve() -> None:
        desk = AlertDesk(store, IdentifierRule.CASEFOLD, poll_seconds=0.05)
        await desk.start()
        server = DeskServer([alert_handlers(desk, authorise, **options)], [SERVICE], tls,
                            "127.0.0.1:0")  # fmt: skip
        where = await server.start()
        started.append(AlertServer(where, folder, desk, store, asyncio.get_running_loop()))
        ready.set()
        await stop.wait()
        await server.drain(0)
        await desk.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(SECONDS)
    try:
        yield started[0]
    finally:
        if started:
            started[0].loop.call_soon_threadsafe(stop.set)
        thread.join()
        database.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AlertServer]:
    """Over SQLite."""
    with alert_server(tmp_path, sqlite_address(tmp_path)) as running:
        yield running


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """The status that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def test_alerts_are_acknowledged_in_order_and_followed_up(
    tmp_path: Path, address: DatabaseAddress
) -> None:
    """More than are taken in at once; who is watched is known by then."""
    with alert_server(tmp_path, address) as server:
        alerts = [alert(id=f"a{n}", borrower=f"B{n % 7}") for n in range(150)]
        told = server.report(alerts)
        assert [ack.id for ack in told] == [one.id for one in alerts]
        assert all(ack.stored and not ack.refusal for ack in told)
        assert server.here(lambda: server.desk.is_watched("b3"))
        assert server.here(lambda: server.desk.limit_review_due("B3 ".strip()))
        assert not server.here(lambda: server.desk.is_watched("b9"))
        assert server.here(server.desk.watch_list) == {f"b{n}" for n in range(7)}
        listed = server.list(most=1000)
        assert {one.alert.id for one in listed} == {one.id for one in alerts}
        assert listed[0].state == "open"
        assert list(listed[0].follow_ups) == ["contact", "limit-review", "watch-list"]
        assert len(server.list()) == 100
        assert len(server.list(borrower="b1", most=5)) == 5


def test_a_refused_alert_does_not_end_the_stream(server: AlertServer) -> None:
    """Those around it are stored."""
    told = server.report(
        [alert(), alert(id="a2", kind=0), alert(source="platform"), alert(detail="other"),
         alert(id="a3")]
    )  # fmt: skip
    assert [(ack.id, ack.stored) for ack in told] == [
        ("a1", True),
        ("a2", False),
        ("a1", False),
        ("a1", False),
        ("a3", True),
    ]
    assert "'kind' is 0" in told[1].refusal
    assert "'source' must be the caller's own" in told[2].refusal
    assert "other content" in told[3].refusal
    assert len(server.list()) == 2


@pytest.mark.parametrize("data", [b"\xff", bytes(9000)])
def test_what_is_no_alert_ends_the_stream(server: AlertServer, data: bytes) -> None:
    """After what came before it was stored."""
    code, _ = refused(lambda: server.report([alert(), data, alert(id="a2")]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [one.alert.id for one in server.list()] == ["a1"]


def test_who_may_do_what(server: AlertServer) -> None:
    """A partner reports and reads nothing; the bank's officer reads and reports nothing."""
    for call in (
        lambda: server.list("lessor"),
        lambda: server.resolve("lessor", source="lessor", id="a1", resolution="x"),
        lambda: server.report([alert()], "officer"),
    ):
        assert refused(call)[0] is grpc.StatusCode.PERMISSION_DENIED
    assert server.list() == []


def test_resolving_over_the_wire(server: AlertServer) -> None:
    """By whom the certificate names; the policy knows at once."""
    server.report([alert()])
    done = server.resolve(source="lessor", id="a1", resolution="a false alarm")
    assert (done.state, done.resolution, done.resolved_by) == (
        "resolved",
        "a false alarm",
        "officer",
    )
    assert not server.here(lambda: server.desk.is_watched("b0001"))
    assert server.list(open_only=True) == []
    for values, code in (
        ({"source": "lessor", "id": "a9", "resolution": "x"}, grpc.StatusCode.NOT_FOUND),
        ({"source": "lessor", "id": "a1", "resolution": "y"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"source": "lessor", "id": "a1", "resolution": ""}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        assert refused(lambda v=values: server.resolve(**v))[0] is code


def test_requests_that_are_wrong(server: AlertServer) -> None:
    """One status and a sentence."""
    code, details = refused(lambda: server.list(most=1001))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'most' must be at most 1000" in details
    with server.channel("officer") as channel:
        for data in (b"\xff", bytes(5000)):
            call = channel.unary_unary(f"/{SERVICE}/Resolve")
            code, details = refused(lambda c=call, d=data: c(d, timeout=SECONDS))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "ResolveRequest" in details


def test_the_same_alerts_from_streams_at_once_are_stored_once(server: AlertServer) -> None:
    """Each stream is told that they are stored."""
    alerts = [alert(id=f"a{n}") for n in range(40)]
    told: list[list[Acknowledgement]] = []
    threads = [
        threading.Thread(target=lambda: told.append(server.report(alerts))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(ack.stored for ack in acks) for acks in told] == [40, 40, 40]
    assert len(server.list(most=1000)) == 40
    _, opened = server.store.open_follow_ups()
    assert len(opened) == 120
    assert len(server.here(lambda: server.desk.open_follow_ups("b0001"))) == 120


def test_a_source_has_so_many_streams(server: AlertServer) -> None:
    """One more is refused until one ends."""
    with server.channel("lessor") as channel:
        holds = threading.Event()

        def hold() -> Iterator[bytes]:
            yield alert().SerializeToString()
            holds.wait(SECONDS)

        streams = [
            channel.stream_stream(f"/{SERVICE}/Report")(hold(), timeout=SECONDS)
            for _ in range(STREAMS_A_SOURCE)
        ]
        for stream in streams:
            next(stream)
        code, details = refused(lambda: server.report([alert()]))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"at most {STREAMS_A_SOURCE} streams" in details
        assert server.report([alert(source="platform")], "platform")[0].stored
        holds.set()
        for stream in streams:
            assert list(stream) == []
        assert server.report([alert()])[0].stored


def test_a_caller_who_is_struck_off_is_cut_off(tmp_path: Path) -> None:
    """In the middle of a stream that stands."""
    with alert_server(tmp_path, sqlite_address(tmp_path), recheck_seconds=0.0) as server:
        struck = threading.Event()

        def alerts() -> Iterator[bytes]:
            yield alert().SerializeToString()
            struck.wait(SECONDS)
            for number in range(10_000):
                yield alert(id=f"b{number}").SerializeToString()

        with server.channel("lessor") as channel:
            stream = channel.stream_stream(f"/{SERVICE}/Report")(alerts(), timeout=SECONDS)
            assert Acknowledgement.FromString(next(stream)).stored
            rest = {name: roles for name, roles in CALLERS.items() if name != "lessor"}
            (tmp_path / "access.toml").write_text(access_text(rest))
            struck.set()
            code, _ = refused(lambda: list(stream))
            assert code is grpc.StatusCode.PERMISSION_DENIED


def test_a_client_that_leaves_frees_its_place(server: AlertServer) -> None:
    """However often."""
    for _ in range(3 * STREAMS_A_SOURCE):
        with server.channel("lessor") as channel:
            never = threading.Event()

            def alerts(never: threading.Event = never) -> Iterator[bytes]:
                yield alert().SerializeToString()
                never.wait(SECONDS)

            stream = channel.stream_stream(f"/{SERVICE}/Report")(alerts(), timeout=SECONDS)
            next(stream)
            stream.cancel()
            never.set()
    assert server.here(lambda: None) is None
    while True:
        try:
            assert server.report([alert()])[0].stored
            break
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017


def test_another_process_resolves(server: AlertServer, tmp_path: Path) -> None:
    """The desk sees it by the counter."""
    server.report([alert()])
    database = Database(sqlite_address(tmp_path))
    AlertStore(database, AlertRules()).resolve("lessor", "a1", "a false alarm", "ann")
    database.close()
    while server.here(lambda: server.desk.is_watched("b0001")):
        time.sleep(0.01)


def test_a_database_that_goes_away(
    postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is acknowledged, who is watched stays so, and the same alerts are taken later."""
    with alert_server(tmp_path, postgres_address(postgres, tmp_path)) as server:
        server.report([alert()])
        postgres.stop()
        try:
            code, details = refused(lambda: server.report([alert(id="a2")]))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "cannot be reached" in details
            assert PASSWORD not in details
            assert refused(server.list)[0] is grpc.StatusCode.UNAVAILABLE
            assert server.here(lambda: server.desk.is_watched("b0001"))
        finally:
            postgres.start()
        assert [ack.stored for ack in server.report([alert(), alert(id="a2")])] == [True, True]
        assert len(server.list()) == 2
    assert PASSWORD not in caplog.text
    assert FollowUp.WATCH_LIST in {row.follow_up for row in server.desk.open_follow_ups("b0001")}

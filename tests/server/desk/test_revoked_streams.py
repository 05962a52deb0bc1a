"""Streams of callers that may call no longer, and of callers that break off: they end, and nothing
stays behind; refusals are in the audit record, but do not fill it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.vault import save_served_model
from federation.proto.alerts_pb2 import Acknowledgement, Alert
from server.desk import app, refusal_pace, service
from server.desk.app import open_desk
from server.desk.audit import audit_rows
from server.desk.desk_folder import add_caller, make_desk_folder
from server.desk.service import SERVICE
from server.desk.settings import DeskSettings, read_settings
from server.desk.single_model import SingleModel
from tests.server.desk.desks import Partners, RunningDesk, batch_request, running_desk, single
from tests.server.desk.models import served_model

MADE = served_model(())
ALERTS = "/veilscore.alerts.v1.AlertService"
SECONDS = 20.0


def strike(folder: Path, caller: str) -> None:
    """Take a caller out of the access file, in which its certificate's name is its own."""
    path = folder / "access.toml"
    text = path.read_text().replace(f'certificate = "{caller}"', 'certificate = "nobody"')
    path.write_text(text)


def until(ready: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def statuses(folder: Path, method: str) -> list[str]:
    """Of a method's rows of the audit record."""
    bodies = [entry.body for entry in audit_rows(folder / "audit")]
    return [str(body["status"]) for body in bodies if body["method"] == method]


def test_an_idle_stream_of_a_revoked_caller_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it says nothing more; the end is a row of the record."""
    monkeypatch.setattr(service, "CHECK_SECONDS", 0.05)
    over = threading.Event()

    def asking() -> Iterator[bytes]:
        yield batch_request(MADE, range(3)).SerializeToString()
        over.wait(SECONDS)

    with running_desk(tmp_path, single(MADE)) as desk, desk.channel() as channel:
        call = channel.stream_stream(f"/{SERVICE}/ScoreBatch")(asking(), timeout=SECONDS)
        next(call)
        time.sleep(0.2)  # looked at some times, and let be
        assert call.is_active()
        strike(tmp_path, "lending")
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        over.set()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert statuses(tmp_path, "ScoreBatch") == ["OK", "PERMISSION_DENIED"]


def test_a_stream_that_is_refused_is_in_the_record_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a caller without the role each time; of a certificate that is nobody's at a pace."""
    monkeypatch.setattr(refusal_pace, "SECONDS", 1000.0)
    callers = {"lending": ["score"], "boss": ["admin"]}
    with running_desk(tmp_path, single(MADE), callers=callers) as desk:
        for caller in ("boss", "boss", "stranger", "stranger", "stranger"):
            with pytest.raises(grpc.RpcError) as caught:
                desk.stream([batch_request(MADE, range(3))], caller)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    rows = [entry.body for entry in audit_rows(tmp_path / "audit")]
    assert [row.get("caller", "") for row in rows] == ["boss", "boss", ""]


def test_a_stream_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither the one who reads it nor the batches that it began, however far it was ahead."""
    made = served_model(("platform",))
    partners = Partners(made, delay=0.1)
    data = batch_request(made, range(20)).SerializeToString()
    bad = batch_request(made, range(20))
    bad.borrowers[-1] = ""
    begun: list[asyncio.Task[Any]] = []
    with running_desk(tmp_path, SingleModel(made.served, partners)) as desk:
        _remember(desk, begun)
        with pytest.raises(grpc.RpcError) as caught:
            desk.stream([data, bad.SerializeToString(), *[data] * 30])
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with desk.channel() as channel:
            call = channel.stream_stream(f"/{SERVICE}/ScoreBatch")(iter([data] * 30))
            asked = partners.asked
            until(lambda: partners.asked > asked)
            time.sleep(0.05)
            call.cancel()
        until(lambda: len(begun) > 4 and all(task.done() for task in begun))
        assert len(desk.stream([data] * 6)) == 6


def _remember(desk: RunningDesk, begun: list[asyncio.Task[Any]]) -> None:
    """Keep all tasks that the desk's loop makes."""

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **more)
        if getattr(coroutine, "__qualname__", "").startswith(("ScoringService.", "Calls.")):
            begun.append(task)
        return task

    desk.loop.call_soon_threadsafe(desk.loop.set_task_factory, make)


@asynccontextmanager
async def whole_desk(folder: Path) -> AsyncIterator[tuple[DeskSettings, str]]:
    """A desk with all its parts, and its address; 'lessor' reports, 'boss' resolves."""
    run = folder / "run" / "bank" / "served-exact.json"
    save_served_model(run, MADE.served, MADE.keys["bank"])
    make_desk_folder(folder / "desk", run, None)
    add_caller(folder / "desk", "lessor", ["alerts"])
    add_caller(folder / "desk", "boss", ["admin"])
    settings = replace(read_settings(folder / "desk"), listen="127.0.0.1:0", drain_seconds=0.1)
    async with open_desk(settings, run) as desk:
        yield settings, desk.address


def channel_of(desk: Path, address: str, caller: str) -> grpc.aio.Channel:
    """With a caller's certificate."""
    certificate, key = (desk / "callers" / f"{caller}.{kind}" for kind in ("pem", "key"))
    credentials = grpc.ssl_channel_credentials(
        (desk / "tls" / "callers-ca.pem").read_bytes(), key.read_bytes(), certificate.read_bytes()
    )
    return grpc.aio.secure_channel(address, credentials)


def alert(identifier: str) -> bytes:
    """Of the lessor."""
    return Alert(
        id=identifier,
        source="lessor",
        borrower="b0001",
        kind=Alert.DEVICE_MOVED,
        severity=Alert.CRITICAL,
        observed_ms=time.time_ns() // 1_000_000,
    ).SerializeToString()


def test_an_idle_stream_of_alerts_ends_with_its_callers_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking again takes no row; strangers' refusals take one a second."""
    monkeypatch.setattr(app, "ALERT_RECHECK_SECONDS", 0.05)
    monkeypatch.setattr(refusal_pace, "SECONDS", 1000.0)

    async def run() -> None:
        async with (
            whole_desk(tmp_path) as (settings, address),
            channel_of(settings.folder, address, "lessor") as channel,
        ):
            call = channel.stream_stream(f"{ALERTS}/Report")(timeout=SECONDS)
            await call.write(alert("a1"))
            assert Acknowledgement.FromString(await call.read()).stored
            await asyncio.sleep(0.3)
            assert not call.done()
            strike(settings.folder, "lessor")
            assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
            for _ in range(4):
                again = channel.stream_stream(f"{ALERTS}/Report")(timeout=SECONDS)
                assert await again.code() is grpc.StatusCode.PERMISSION_DENIED

    asyncio.run(run())
    # The stream that ended has its row, and the first of those that were not begun.
    found = statuses(tmp_path / "desk", "Alerts/alerts")
    assert found == ["OK", "PERMISSION_DENIED", "PERMISSION_DENIED"]


def test_what_can_not_be_entered_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk under the record: the caller learns the request's id, and no path."""

    def full(self: object, row: object) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    async def run() -> None:
        async with whole_desk(tmp_path) as (settings, address):
            monkeypatch.setattr("server.desk.audit.AuditLog.enter", full)
            async with channel_of(settings.folder, address, "boss") as channel:
                call = channel.unary_stream(f"{ALERTS}/List")(b"", timeout=SECONDS)
                assert await call.code() is grpc.StatusCode.INTERNAL
                assert "secret" not in await call.details()
            monkeypatch.undo()

    asyncio.run(run())

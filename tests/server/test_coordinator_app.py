"""The coordinator and the parties' Flower apps, with nodes that are threads of this process."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from clients.app import SIMULATION_FEDERATION, SIMULATION_OUTPUT
from clients.app import app as client_app
from clients.example import write_example
from federation.errors import InputError, PartyFailure
from server.coordinator.app import SessionJob, horizontal_job, run_session
from tests.clients.small_sessions import no_thread_left

NODES = {"bank": 11, "platform": 22}


class ThreadGrid(Grid):
    """Nodes in threads: every message is handled by its node's ClientApp, as Flower would.

    Args:
        apps: each node's app and configuration.
        deaf: nodes that never answer.
    """

    def __init__(
        self,
        apps: Mapping[int, tuple[ClientApp, Mapping[str, Any]]],
        deaf: Iterable[int] = (),
    ) -> None:
        self._apps = apps
        self._deaf = set(deaf)
        self._replies: dict[str, Message] = {}
        self._lock = threading.Lock()

    def set_run(self, run: Any) -> None:
        raise AssertionError("not asked for")

    @property
    def run(self) -> Any:
        raise AssertionError("not asked for")

    def create_message(self, *arguments: Any, **named: Any) -> Message:
        raise AssertionError("not asked for")

    def get_node_ids(self) -> Iterable[int]:
        return list(self._apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        names = []
        for message in messages:
            name = str(uuid4())
            message.metadata.__dict__["_message_id"] = name
            names.append(name)
            if message.metadata.dst_node_id not in self._deaf:
                threading.Thread(target=self._handle, args=(message,), daemon=True).start()
        return names

    def _handle(self, message: Message) -> None:
        node = message.metadata.dst_node_id
        app, config = self._apps[node]
        context = Context(1, node, dict(config), RecordDict(), {})
        try:
            reply = app(message, context)
        except Exception as error:
            reply = Message(Error(code=2, reason=str(error)), reply_to=message)
        with self._lock:
            self._replies[message.metadata.message_id] = reply

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        with self._lock:
            return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        assert timeout is not None
        names, deadline = set(self.push_messages(messages)), time.monotonic() + timeout
        replies: list[Message] = []
        while len(replies) < len(names) and time.monotonic() < deadline:
            replies += self.pull_messages(names)
            time.sleep(0.005)
        return replies


@pytest.fixture(autouse=True)
def _leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(SIMULATION_FEDERATION, raising=False)
    # Flower sets these in the processes of its apps; new messages carry them.
    monkeypatch.setattr(TaskIdentity, "_run_id", 1)
    monkeypatch.setattr(TaskIdentity, "_task_id", 1)
    monkeypatch.setattr(TaskIdentity, "_node_id", 1)
    with no_thread_left():
        yield


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    """A federation's file."""
    return write_example(tmp_path / "federation")


def job(**changes: Any) -> SessionJob:
    """A session of the example's parties."""
    values = {"run": "run-1", "session": "session-1", "label_party": "bank"}
    return SessionJob(**values | {"parties": ("bank", "platform"), "party_seconds": 10.0} | changes)


def nodes(federation: Path, *parties: str) -> dict[int, tuple[ClientApp, Mapping[str, Any]]]:
    """Nodes as `flower-supernode --node-config` starts them."""
    return {
        NODES[party]: (client_app, {"party": party, "federation": str(federation)})
        for party in parties
    }


def scripted(party: str, answer: Any) -> tuple[ClientApp, Mapping[str, Any]]:
    """A node that names itself and answers a session by a function of the message."""
    app = ClientApp()

    @app.query("party")
    def name(message: Message, context: Context) -> Message:
        return Message(RecordDict({"party": ConfigRecord({"name": party})}), reply_to=message)

    @app.train("session")
    def session(message: Message, context: Context) -> Message:
        sentence, kind = answer(message)
        record = ConfigRecord({"sentence": sentence, "kind": kind})
        return Message(RecordDict({"outcome": record}), reply_to=message)

    return app, {}


def test_a_session_from_start_to_end(federation: Path) -> None:
    """Nodes are found by their name, whatever their order; the outcome has figures, no rows."""
    seen: set[tuple[str, str]] = set()
    outcome = run_session(
        ThreadGrid(nodes(federation, "platform", "bank")),
        job(trainings=({"max_rounds": 1},)),
        lambda party, note: seen.add((party, note.stage)),
    )
    assert set(outcome.summaries) == set(outcome.bytes_relayed) == {"bank", "platform"}
    assert outcome.summaries["bank"]["role"] == "label"
    assert outcome.summaries["platform"]["role"] == "feature"
    assert outcome.bytes_relayed["platform"] > outcome.bytes_relayed["bank"] > 100_000
    assert outcome.frames_relayed["bank"] > 3
    assert outcome.seconds["session"] > 0
    assert {("bank", "alignment"), ("platform", "set-up")} <= seen
    assert "rows" not in json.dumps(outcome.summaries["bank"]["trainings"][0]["rounds"])
    for party in ("bank", "platform"):
        assert (federation.parent / "runs" / "run-1" / party / "model-exact.json").is_file()


def test_a_party_whose_node_is_not_there(federation: Path) -> None:
    """The time limit, then one sentence that names it."""
    started = time.monotonic()
    with pytest.raises(PartyFailure) as raised:
        run_session(ThreadGrid(nodes(federation, "bank")), job(party_seconds=0.5))
    assert time.monotonic() - started < 5
    assert str(raised.value) == (
        "platform did not come within 0.5 s; start its node with the right name and federation "
        "file, then run again"
    )


def test_a_party_that_never_takes_its_session(federation: Path) -> None:
    """It named itself, then fell silent: the one that waits hears it too."""
    silent = threading.Event()

    def wait(message: Message) -> tuple[str, str]:
        silent.wait(10)
        return "", ""

    grid = ThreadGrid(nodes(federation, "bank") | {22: scripted("platform", wait)})
    try:
        with pytest.raises(PartyFailure, match=r"^platform did not join within 1.5 s; check that"):
            run_session(grid, job(party_seconds=1.5))
    finally:
        silent.set()


def test_a_node_that_never_answers_at_all(federation: Path) -> None:
    """Not even to the question who it is."""
    with pytest.raises(PartyFailure, match=r"^platform did not come within 1.2 s"):
        run_session(
            ThreadGrid(nodes(federation, "bank", "platform"), deaf=[22]), job(party_seconds=1.2)
        )


def test_a_process_that_fails_ends_the_session() -> None:
    """Flower's own error reply, with its reason."""
    app, _ = scripted("platform", lambda message: 1 / 0)
    bank = scripted("bank", lambda message: ("", ""))
    with pytest.raises(PartyFailure, match=r"^platform: its process failed \(division by zero\)$"):
        run_session(ThreadGrid({11: bank, 22: (app, {})}), job())


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("InputError", "platform: no table"), ("PartyFailure", "no table")],
)
def test_what_a_reply_says_is_told(kind: str, sentence: str) -> None:
    """A party that only heard of another's failure is not blamed."""
    platform = scripted("platform", lambda message: ("no table", kind))
    bank = scripted("bank", lambda message: ("", ""))
    with pytest.raises(PartyFailure, match=f"^{sentence}$"):
        run_session(ThreadGrid({11: bank, 22: platform}), job())


def test_what_is_wrong_with_a_partys_files_stays_there_in_a_deployment(federation: Path) -> None:
    """The coordinator hears that, not what."""
    table = federation.parent / "platform" / "merchants.csv"
    table.write_text(table.read_text().replace("days_on_platform", "days_here"))
    grid = ThreadGrid(nodes(federation, "bank", "platform"))
    with pytest.raises(PartyFailure) as raised:
        run_session(grid, job())
    assert str(raised.value) == (
        "platform: its own input is not in order; its log says what and where"
    )


def test_it_is_told_where_one_person_runs_all_parties(
    federation: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In simulation the sentence is whole; a node is its partition."""
    monkeypatch.setenv(SIMULATION_FEDERATION, str(federation))
    monkeypatch.setenv(SIMULATION_OUTPUT, str(tmp_path / "elsewhere"))
    table = federation.parent / "platform" / "merchants.csv"
    table.write_text(table.read_text().replace("days_on_platform", "days_here"))
    partitions = {11: (client_app, {"partition-id": 0}), 22: (client_app, {"partition-id": 1})}
    with pytest.raises(
        PartyFailure, match=r"^platform: .*is 'days_on_platform', which .* not have"
    ):
        run_session(ThreadGrid(partitions), job())


def test_an_unexpected_error_tells_its_type_and_leaves_its_trace_at_home(federation: Path) -> None:
    """Flower would send the exception's text, which may hold data."""
    in_the_way = federation.parent / "runs" / "run-1" / "bank"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the bank's folder should be")
    with pytest.raises(PartyFailure) as raised:
        run_session(
            ThreadGrid(nodes(federation, "bank", "platform")), job(trainings=({"max_rounds": 1},))
        )
    told = str(raised.value)
    assert re.fullmatch(r"bank: an internal error \(\w+\); its own log says more", told)
    trace = federation.parent / "bank" / "vault" / "errors.log"
    deadline = time.monotonic() + 5
    while not trace.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Traceback" in trace.read_text()
    assert str(in_the_way) in trace.read_text()
    assert trace.stat().st_mode & 0o777 == 0o600
    assert not (federation.parent / "platform" / "vault" / "errors.log").exists()


def test_a_node_without_a_federation_says_how_to_start_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its own log names the flag; the coordinator hears no name, and no file's path."""
    context = Context(1, 11, {}, RecordDict(), {})
    asked = ConfigRecord({"session": "s", "run": "r", "party": "bank"})
    message = Message(RecordDict({"session": asked}), dst_node_id=11, message_type="train.session")
    reply = client_app(message, context)
    assert reply.content["outcome"]["kind"] == "InputError"
    assert "its log says what" in str(reply.content["outcome"]["sentence"])
    question = Message(RecordDict(), dst_node_id=11, message_type="query.party")
    assert client_app(question, context).content["party"]["name"] == ""
    assert caplog.text.count("does not know its federation: start it with --node-config") == 2


def test_a_node_does_not_play_another_party(federation: Path) -> None:
    """A coordinator that takes the platform for the bank is refused before any table is read."""
    asked = ConfigRecord(
        {"session": "s", "run": "r", "party": "bank", "model_run": "", "training": ""}
    )
    message = Message(RecordDict({"session": asked}), dst_node_id=22, message_type="train.session")
    context = Context(1, 22, {"party": "platform", "federation": str(federation)}, RecordDict(), {})
    outcome = client_app(message, context).content["outcome"]
    assert outcome["kind"] == "InputError"
    assert not (federation.parent / "platform" / "vault").exists()


def test_a_horizontal_run_from_flowers_configuration() -> None:
    """The flat keys become limits; what is not given takes the defaults."""
    job = horizontal_job(("a", "b", "c", "d"), "17", {"dropouts": 0, "round-seconds": 30})
    assert (job.run, job.banks, job.resume) == ("17", ("a", "b", "c", "d"), False)
    assert (job.limits.minimum_banks, job.limits.dropouts) == (3, 0)
    assert job.round_seconds == 30
    assert horizontal_job(("a", "b"), "17", {"resume": "12"}).run == "12"
    with pytest.raises(InputError, match="no run's name"):
        horizontal_job(("a", "b"), "17", {"resume": "../12"})

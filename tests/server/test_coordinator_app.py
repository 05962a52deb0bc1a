"""The coordinator and the parties' Flower apps, with nodes that are threads of this process."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from clients.federation_file import read_federation
from clients.pins import pins_of
from federation.errors import InputError, PartyFailure
from federation.identity import PartyKey
from server.coordinator.app import SessionJob, horizontal_job, read_pins, run_session
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


STRANGERS = {party: PartyKey(PartyKey.new_seed()).public for party in ("bank", "platform")}


def job(federation: Path | None = None, **changes: Any) -> SessionJob:
    """A session of the example's parties; without their file, of parties that take no seat."""
    values: dict[str, Any] = {
        "run": "run-1",
        "session": "session-1",
        "label_party": "bank",
        "parties": ("bank", "platform"),
        "pins": pins_of(read_federation(federation)) if federation else STRANGERS,
        "party_seconds": 10.0,
    }
    return SessionJob(**values | changes)


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
        job(federation, trainings=({"max_rounds": 1},)),
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
        run_session(ThreadGrid(nodes(federation, "bank")), job(federation, party_seconds=0.5))
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
            run_session(grid, job(federation, party_seconds=1.5))
    finally:
        silent.set()


def test_a_node_that_never_answers_at_all(federation: Path) -> None:
    """Not even to the question who it is."""
    with pytest.raises(PartyFailure, match=r"^platform did not come within 1.2 s"):
        run_session(
            ThreadGrid(nodes(federation, "bank", "platform"), deaf=[22]),
            job(federation, party_seconds=1.2),
        )


def test_a_process_that_fails_ends_the_session() -> None:
    """Flower's own error reply, with its reason."""
    app, _ = scripted("platform", lambda message: 1 / 0)
    bank = scripted("bank", lambda message: ("", ""))
    with pytest.raises(PartyFailure, match=r"^platform: its process failed \(division by zero\)$"):
        run_session(ThreadGrid({11: bank, 22: (app, {})}), job())


@pytest.mark.parametrize(
    ("kind", "told", "sentence"),
    [
        ("InputError", "no table", "platform: no table"),
        ("PartyFailure", "no relay", "platform reports: no relay"),
        ("InputError", "no\n\x1b[2Jtable", "platform: no  \\[2Jtable"),
    ],
)
def test_what_a_reply_says_is_told(kind: str, told: str, sentence: str) -> None:
    """Who says it is named; a party that only heard of a failure is not blamed for it."""
    platform = scripted("platform", lambda message: (told, kind))
    bank = scripted("bank", lambda message: ("", ""))
    with pytest.raises(PartyFailure, match=f"^{sentence}$"):
        run_session(ThreadGrid({11: bank, 22: platform}), job())


def test_a_reply_that_says_nothing_ends_the_session() -> None:
    """A node that answers with something else leaves nobody waiting."""
    app, _ = scripted("platform", lambda message: ("", ""))
    other = ClientApp()

    @other.query("party")
    def name(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.train("session")
    def session(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    bank = scripted("bank", lambda message: ("", ""))
    with pytest.raises(PartyFailure, match=r"^platform: its reply does not say how the session"):
        run_session(ThreadGrid({11: bank, 22: (other, {})}), job())


@pytest.mark.parametrize("summary", ["", "{", "[1]", "[" * 100_000, '"text"'])
def test_a_summary_that_is_none_is_one_sentence(
    summary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A party may send what it likes as its summary."""
    monkeypatch.setattr(
        "server.coordinator.app.Relay.wait",
        lambda relay, alive: {"bank": "{}", "platform": summary},
    )
    grid = ThreadGrid(
        {
            node: scripted(party, lambda message: ("", ""))
            for party, node in (("bank", 11), ("platform", 22))
        }
    )
    with pytest.raises(PartyFailure, match="^platform ended the session with a summary that is"):
        run_session(grid, job())


LINES = {party: pin.text for party, pin in STRANGERS.items()}


def test_pins_from_flowers_configuration() -> None:
    """Blanks around names and keys, and a comma at the end, are no matter."""
    text = f" bank = {LINES['bank']} ,platform={LINES['platform']},"
    assert read_pins(text, ("bank", "platform")) == STRANGERS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "run configuration: party-keys has no key of bank, platform; give party-keys="),
        (f"bank={LINES['bank']}", "party-keys has no key of platform; give"),
        (f"bank={LINES['bank']},platform=", "party-keys: platform: is no party key; the line"),
        (
            f"bank={LINES['bank']},platform={LINES['platform'][:-1]}",
            "party-keys: platform: is no party key",
        ),
        (f"bank={LINES['bank']},platform", "party-keys: platform: is no party key"),
        (
            f"bank={LINES['bank']},bank={LINES['platform']}",
            "party-keys has two keys of bank; one is right",
        ),
        (
            f"bank={LINES['bank']},platform={LINES['bank']}",
            "bank and platform have the same party key; each party makes its own",
        ),
        (LINES["bank"], "is no party key"),
    ],
)
def test_pins_that_are_not_right(text: str, sentence: str) -> None:
    """Missing, cut, twice, or one key for two: one sentence."""
    with pytest.raises(InputError) as raised:
        read_pins(text, ("bank", "platform"))
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_wrong_with_a_partys_files_stays_there_in_a_deployment(federation: Path) -> None:
    """The coordinator hears that, not what."""
    table = federation.parent / "platform" / "merchants.csv"
    table.write_text(table.read_text().replace("days_on_platform", "days_here"))
    grid = ThreadGrid(nodes(federation, "bank", "platform"))
    with pytest.raises(PartyFailure) as raised:
        run_session(grid, job(federation))
    assert str(raised.value) == (
        "platform: its own input is not in order; its log says what and where"
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda key: key.chmod(0o640), "party.key: may be read by others than its owner"),
        (lambda key: key.write_bytes(key.read_bytes()[:20]), "is no party key (20 bytes, 32 are"),
        (lambda key: key.unlink(), "[parties.platform] pins the key"),
    ],
    ids=["read by others", "cut", "another one"],
)
def test_a_party_key_that_is_not_right_ends_the_session_at_once(
    federation: Path,
    damage: Callable[[Path], None],
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The party's own log says what; the others hear who it is, and nothing is written."""
    pins = pins_of(read_federation(federation))
    text = federation.read_text()
    for party, pin in pins.items():
        text = text.replace(f"[parties.{party}]\n", f'[parties.{party}]\nkey = "{pin.text}"\n')
    federation.write_text(text)
    damage(federation.parent / "platform" / "vault" / "party.key")
    with pytest.raises(PartyFailure) as raised:
        run_session(ThreadGrid(nodes(federation, "bank", "platform")), job(pins=pins))
    assert str(raised.value) == (
        "platform: its own input is not in order; its log says what and where"
    )
    assert sentence in caplog.text
    assert not (federation.parent / "runs").exists()
    assert not (federation.parent / "bank" / "vault" / "ledger.jsonl").exists()


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
        run_session(ThreadGrid(partitions), job(federation))


def test_an_unexpected_error_tells_its_type_and_leaves_its_trace_at_home(federation: Path) -> None:
    """Flower would send the exception's text, which may hold data."""
    in_the_way = federation.parent / "runs" / "run-1" / "bank"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the bank's folder should be")
    with pytest.raises(PartyFailure) as raised:
        run_session(
            ThreadGrid(nodes(federation, "bank", "platform")),
            job(federation, trainings=({"max_rounds": 1},)),
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


def test_what_others_say_stands_on_one_line_of_the_log(
    federation: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a relay or a peer sends: no line of its own, no terminal's codes."""

    def run(*arguments: object) -> None:
        raise PartyFailure("platform: \x1b[2J\nERROR bank: all is lost" + "!" * 10_000)

    monkeypatch.setattr("clients.app._take_part", run)
    context = Context(1, 11, {"party": "bank", "federation": str(federation)}, RecordDict(), {})
    message = Message(
        RecordDict({"session": ConfigRecord({})}), dst_node_id=11, message_type="train.session"
    )
    client_app(message, context)
    (record,) = [record for record in caplog.records if record.name == "veilscore.party"]
    said = record.getMessage()
    assert said.startswith("platform:  [2J ERROR bank: all is lost!!!")
    assert len(said) == 2000


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

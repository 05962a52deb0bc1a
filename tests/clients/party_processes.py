"""Parties as a deployment starts them: a process each, which gets the coordinator's message."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from flwr.app import Context, RecordDict

from clients.app import _take_part
from clients.channels.stream import StreamChannel
from clients.tables import database_table
from federation.errors import PartyFailure
from federation.session.machine import Progress
from server.coordinator.relay import Relay

SPAWN = multiprocessing.get_context("spawn")
SECONDS = 60.0  # the longest that anything here may take


@dataclass(frozen=True)
class Gate:
    """Stops a party while it reads its table: `reached` says that it is there, `go` lets it on."""

    reached: Event
    go: Event

    @classmethod
    def closed(cls) -> Gate:
        """Nobody has come yet."""
        return cls(SPAWN.Event(), SPAWN.Event())

    def wait_at(self, party: PartyProcess) -> None:
        """Wait until the party stands at the gate; it must still live."""
        while not self.reached.wait(0.1):
            if not party.process.is_alive():
                raise AssertionError(f"the party ended before it read: {party.said()}")


@dataclass
class PartyProcess:
    """A party's process."""

    process: Any
    answers: Any

    def said(self) -> str:
        """What its own log says in the end: '' if all went well, else the error, with its type."""
        try:
            return str(self.answers.get(timeout=SECONDS))
        except queue.Empty:
            raise AssertionError("the party does not come to an end") from None


def _party(
    federation: str, party: str, asked: dict[str, Any], answers: Any, gate: Gate | None
) -> None:
    if gate is not None:
        database_table.BATCH_ROWS = 500
        note = StreamChannel.note

        def stopping(channel: StreamChannel, progress: Progress) -> None:
            if progress.stage == "reading" and not gate.reached.is_set():
                gate.reached.set()
                gate.go.wait(SECONDS)
            note(channel, progress)

        StreamChannel.note = stopping  # type: ignore[method-assign]
    context = Context(1, 1, {"party": party, "federation": federation}, RecordDict(), {})
    try:
        _take_part(asked | {"party": party}, context, simulated=False)
        answers.put("")
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")


@contextmanager
def party_processes(
    federations: dict[str, Path],
    run: str,
    relay: Relay,
    gates: dict[str, Gate] | None = None,
    trainings: str = '[{"max_rounds": 1}]',
) -> Iterator[dict[str, PartyProcess]]:
    """Start every party with a federation file of its own; none is left afterwards."""
    asked = {
        "run": run,
        "session": f"{run}-session",
        "address": relay.address,
        "certificate": relay.certificate,
        "trainings": trainings,
        "task": "train",
        "model_run": "",
        "training": "",
    }
    started = {}
    try:
        for party, federation in federations.items():
            answers = SPAWN.Queue()
            arguments = (str(federation), party, asked, answers, (gates or {}).get(party))
            process = SPAWN.Process(target=_party, args=arguments, daemon=True)
            process.start()
            started[party] = PartyProcess(process, answers)
        yield started
    finally:
        for one in started.values():
            one.process.join(5)
            one.process.kill()
            one.process.join(SECONDS)


def ending_of(relay: Relay) -> str:
    """How a session ended at the coordinator: '' or one sentence."""
    try:
        relay.wait()
    except PartyFailure as failure:
        return str(failure)
    return ""


def written_below(folder: Path, names: Sequence[str]) -> list[str]:
    """Files below a folder whose path holds one of these words."""
    paths = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in paths if any(name in path for name in names))

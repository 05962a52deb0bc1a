"""Orders and replies over a grid: what comes late, not at all, or from nobody. Banks are real."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from federation.errors import PartyFailure
from federation.horizontal.server import Limits, Note
from federation.proto.horizontal_pb2 import Order
from server.coordinator.horizontal_run import (
    FRAME,
    POLL_SECONDS,
    HorizontalJob,
    frame_record,
    run_horizontal,
)
from server.coordinator.nodes import find_parties
from server.coordinator.transcript_store import TranscriptStore
from tests.federation.horizontal.banks import FIVE, RUN, Drive, plan_of, step_of

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's messages are made inside one of its tasks."""
    for name in ("_run_id", "_task_id", "_node_id"):
        if hasattr(TaskIdentity, name):
            monkeypatch.setattr(TaskIdentity, name, 1)


@dataclass
class Parcel:
    """A reply on the grid."""

    reply_to: str
    node: int
    content: Any
    failed: bool = False

    @property
    def metadata(self) -> Any:
        """What Flower's messages have."""
        return SimpleNamespace(reply_to_message_id=self.reply_to, src_node_id=self.node)

    def has_error(self) -> bool:
        """Whether the bank's process failed."""
        return self.failed


@dataclass
class SmallGrid:
    """Carries messages to real banks in this process, as Flower's grid would.

    Attributes:
        drive: has the banks.
        fate: of a bank's reply to an order: "", "late", "failed", "garbage", "gone", "empty".
        names: that the nodes give; node numbers from 1.
    """

    drive: Drive
    fate: Callable[[str, Order], str] = lambda bank, order: ""
    names: tuple[str, ...] = FIVE
    waiting: list[Parcel] = field(default_factory=list)
    ttls: list[float] = field(default_factory=list)
    count: int = 0

    def get_node_ids(self) -> list[int]:
        """All nodes."""
        return list(range(1, len(self.names) + 1))

    def send_and_receive(self, messages: Iterable[Message], timeout: float) -> list[Parcel]:
        """Which party they are."""
        return [
            Parcel(
                "",
                message.metadata.dst_node_id,
                RecordDict(
                    {"party": ConfigRecord({"name": self.names[message.metadata.dst_node_id - 1]})}
                ),
            )
            for message in messages
        ]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """To the banks, who answer at once."""
        pushed = []
        for message in messages:
            self.ttls.append(message.metadata.ttl)
            bank = self.names[message.metadata.dst_node_id - 1]
            record = message.content[FRAME]
            assert isinstance(record, ArrayRecord)
            order = Order.FromString(record[FRAME].data)
            fate = self.fate(bank, order)
            if fate == "gone":
                continue
            self.count += 1
            pushed.append(f"message-{self.count}")
            content: Any = RecordDict(
                {FRAME: frame_record(self.drive.answer(bank, order.SerializeToString()))}
            )
            if fate == "garbage":
                content = RecordDict({FRAME: frame_record(b"\x01\x02\x03")})
            if fate == "empty":
                content = RecordDict({"other": ConfigRecord({})})
            if fate != "late":
                self.waiting.append(
                    Parcel(pushed[-1], message.metadata.dst_node_id, content, fate == "failed")
                )
            else:
                self.late = Parcel(pushed[-1], message.metadata.dst_node_id, content)
        return pushed

    def pull_messages(self, identities: list[str]) -> list[Parcel]:
        """What has come for these; a late reply lies there too."""
        found = [parcel for parcel in self.waiting if parcel.reply_to in identities]
        self.waiting = [parcel for parcel in self.waiting if parcel not in found]
        return found


def run(grid: SmallGrid, folder: Path, notes: list[Note] | None = None, **values: Any) -> Any:
    """A run over the grid."""
    job = HorizontalJob(RUN, FIVE, Limits(3, 1), round_seconds=0.3, party_seconds=0.1, **values)
    on_note = (lambda note: None) if notes is None else notes.append
    return run_horizontal(grid, job, TranscriptStore(folder), on_note)  # type: ignore[arg-type]


def fate_at(bank: str, kind: str, step: int, fate: str) -> Callable[[str, Order], str]:
    """One reply's fate."""
    return lambda name, order: fate if (name, *step_of(order)) == (bank, kind, step) else ""


def test_a_run_over_a_grid_counts_its_bytes(tmp_path: Path) -> None:
    """Bytes up and down are those of orders and replies; messages live as long as their round."""
    grid = SmallGrid(Drive(plan_of(rounds=1)))
    result = run(grid, tmp_path)
    assert result.outcome.banks == FIVE
    assert result.outcome.rounds == 1
    assert set(result.bytes_sent) == set(result.bytes_received) == set(FIVE)
    assert all(count > 60_000 for count in result.bytes_received.values())
    assert result.messages == grid.count
    assert set(grid.ttls) == {0.3}
    assert TranscriptStore(tmp_path).read(RUN).next_step > 0


@pytest.mark.parametrize("fate", ["late", "failed", "gone"])
def test_a_reply_that_does_not_come_in_time_is_silence(tmp_path: Path, fate: str) -> None:
    """The bank is back in the next step; a late reply is never taken for another one."""
    grid = SmallGrid(Drive(plan_of(rounds=2)), fate_at("dogwood", "contribute", 1, fate))
    if fate == "late":
        pull = grid.pull_messages

        def with_late(identities: list[str]) -> list[Parcel]:
            late = getattr(grid, "late", None)
            return [
                *pull(identities),
                *([late] if late and late.reply_to not in identities else []),
            ]

        grid.pull_messages = with_late  # type: ignore[method-assign]
    result = run(grid, tmp_path)
    assert result.outcome.banks == FIVE
    assert result.outcome.silent == {"dogwood": 1}


@pytest.mark.parametrize("fate", ["garbage", "empty"])
def test_a_reply_that_is_none_leaves_its_bank_out(tmp_path: Path, fate: str) -> None:
    """By name, with a note for people."""
    grid = SmallGrid(Drive(plan_of(rounds=1)), fate_at("dogwood", "contribute", 1, fate))
    notes: list[Note] = []
    result = run(grid, tmp_path, notes)
    assert "dogwood" in result.outcome.excluded["dogwood"]
    assert ("left out", "dogwood") in [(note.stage, note.bank) for note in notes]


def test_a_dead_node_is_waited_for_once_and_at_the_end(tmp_path: Path) -> None:
    """Other steps do not wait for it."""
    grid = SmallGrid(
        Drive(plan_of(rounds=4)),
        lambda bank, order: (
            "late" if bank == "elm" and order.contribute.step + order.unmask.step >= 1 else ""
        ),
    )
    empty = 0  # looks in vain

    def counted(identities: list[str]) -> list[Parcel]:
        nonlocal empty
        found = SmallGrid.pull_messages(grid, identities)
        empty += not found
        return found

    grid.pull_messages = counted  # type: ignore[method-assign]
    result = run(grid, tmp_path)
    assert result.outcome.banks == FIVE[:4]
    assert result.outcome.silent["elm"] == 7  # four updates, the counts, and twice at the end
    assert 2 <= empty <= 2 * round(0.3 / POLL_SECONDS)


def test_banks_that_did_not_come_are_named(tmp_path: Path) -> None:
    """One is spared; three are too many."""
    notes: list[Note] = []
    result = run(SmallGrid(Drive(plan_of(rounds=1)), names=FIVE[:4]), tmp_path / "a", notes)
    assert result.outcome.banks == FIVE[:4]
    assert notes[0] == Note("left out", "did not come within 0.1 s", "elm")
    with pytest.raises(PartyFailure, match="cedar, dogwood, elm did not come within"):
        run(SmallGrid(Drive(), names=FIVE[:2]), tmp_path / "b")


def test_two_nodes_of_one_name_are_refused() -> None:
    """Nobody knows which of them is the bank."""
    grid = SmallGrid(Drive(), names=("ash", "birch", "birch"))
    with pytest.raises(PartyFailure, match="two nodes say that they are birch"):
        find_parties(grid, ("ash", "birch"), 0.1)  # type: ignore[arg-type]


def test_a_resumed_run_goes_on_with_the_banks_that_come(tmp_path: Path) -> None:
    """From the transcript; a bank without a node is left out by name."""

    class Stopped(Exception):
        """The coordinator's process ends."""

    def stop(note: Note) -> None:
        if note.stage == "update":
            raise Stopped

    drive = Drive(plan_of(rounds=2))
    job = HorizontalJob(RUN, FIVE, Limits(3, 1), 5.0, party_seconds=0.1)
    with pytest.raises(Stopped):
        run_horizontal(SmallGrid(drive), job, TranscriptStore(tmp_path), stop)  # type: ignore[arg-type]
    result = run(SmallGrid(drive, names=FIVE[:4]), tmp_path, resume=True)
    assert result.outcome.banks == FIVE[:4]
    assert result.outcome.excluded == {"elm": "did not come back"}
    assert result.outcome.rounds == 2

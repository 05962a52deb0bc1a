"""A horizontal run over Flower: one message an order, and whoever does not answer in time is out.

Flower carries the frames; the protocol is `federation.horizontal.server`, without I/O.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from federation.errors import PartyFailure
from federation.horizontal.server import Ask, Keep, Limits, Note, Outcome, coordinate
from server.coordinator.nodes import PARTY_SECONDS, find_parties, missing
from server.coordinator.transcript_store import TranscriptStore

POLL_SECONDS = 0.01
FRAME = "frame"


@dataclass(frozen=True)
class HorizontalJob:
    """One horizontal run.

    Attributes:
        run: its id.
        banks: all banks' names.
        limits: of the protocol.
        round_seconds: how long an order waits for its replies.
        overrides: of the settings in the banks' federation file; a bank refuses less privacy.
        resume: go on with the run of this id, which was stopped.
        party_seconds: how long to wait for the banks to come.
    """

    run: str
    banks: tuple[str, ...]
    limits: Limits
    round_seconds: float = 120.0
    overrides: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    party_seconds: float = PARTY_SECONDS


@dataclass(frozen=True)
class HorizontalOutcome:
    """What the coordinator has after a run: no row, no model.

    Attributes:
        outcome: of the protocol.
        bytes_sent, bytes_received: by bank, as the coordinator counted.
        messages: in all.
        seconds: by stage.
    """

    outcome: Outcome
    bytes_sent: Mapping[str, int]
    bytes_received: Mapping[str, int]
    messages: int
    seconds: Mapping[str, float]


def run_horizontal(
    grid: Grid,
    job: HorizontalJob,
    store: TranscriptStore,
    on_note: Callable[[Note], None] = lambda note: None,
) -> HorizontalOutcome:
    """Run it with the nodes of a grid.

    Raises:
        PartyFailure: too few banks came or are left; one sentence.
        InputError: there is no transcript to resume.
    """
    started = time.monotonic()
    transcript = store.read(job.run) if job.resume else None
    nodes = find_parties(grid, job.banks, job.party_seconds)
    late = missing(job.banks, nodes)
    if len(nodes) < job.limits.minimum_banks:
        raise PartyFailure(
            f"{', '.join(late)} did not come within {job.party_seconds:g} s, and at least "
            f"{job.limits.minimum_banks} banks must take part; start its node with the right name "
            "and federation file, then run again"
        )
    for bank in late:
        on_note(Note("left out", f"did not come within {job.party_seconds:g} s", bank))
    found = time.monotonic()
    post = _Post(grid, job, nodes)
    role = coordinate(job.run, nodes, job.limits, transcript)
    replies: Mapping[str, bytes] | None = None
    while True:
        try:
            step = role.send(replies) if replies is not None else next(role)
        except StopIteration as end:
            outcome: Outcome = end.value
            break
        replies = {}
        if isinstance(step, Ask):
            replies = post.ask(step)
        elif isinstance(step, Note):
            on_note(step)
        elif isinstance(step, Keep):
            store.keep(step.transcript)
    return HorizontalOutcome(
        outcome,
        post.sent,
        post.received,
        post.messages,
        {"find banks": found - started, "rounds": time.monotonic() - found},
    )


class _Post:
    """Carries orders out and replies back."""

    def __init__(self, grid: Grid, job: HorizontalJob, nodes: Mapping[str, int]) -> None:
        self._grid = grid
        self._job = job
        self._nodes = nodes
        self.sent = dict.fromkeys(nodes, 0)
        self.received = dict.fromkeys(nodes, 0)
        self.messages = 0

    def ask(self, step: Ask) -> dict[str, bytes]:
        """Send the orders; returns the replies that came in time."""
        pending: dict[str, str] = {}
        for bank, order in step.orders.items():
            message = Message(
                self._content(bank, order),
                dst_node_id=self._nodes[bank],
                message_type="train.step",
                ttl=self._job.round_seconds,
            )
            # One by one: which of several were refused, since a node has gone, Flower may not say.
            for identity in self._grid.push_messages([message]):
                if identity:
                    pending[identity] = bank
            self.sent[bank] += len(order)
            self.messages += 1
        deadline = time.monotonic() + self._job.round_seconds
        replies: dict[str, bytes] = {}
        while not step.awaited.isdisjoint(pending.values()) and time.monotonic() < deadline:
            for reply in self._grid.pull_messages(list(pending)):
                bank = pending.pop(reply.metadata.reply_to_message_id, "")
                if not bank or reply.has_error():  # its process failed: as good as silent
                    continue
                data = _frame(reply.content)
                self.received[bank] += len(data)
                replies[bank] = data
            if pending:
                time.sleep(POLL_SECONDS)
        return replies

    def _content(self, bank: str, order: bytes) -> RecordDict:
        job = ConfigRecord(
            {"run": self._job.run, "bank": bank, "overrides": json.dumps(dict(self._job.overrides))}
        )
        return RecordDict({"job": job, FRAME: frame_record(order)})


def frame_record(data: bytes) -> ArrayRecord:
    """Bytes as Flower carries large payloads, in chunks."""
    return ArrayRecord({FRAME: Array("uint8", (len(data),), "veilscore.frame", data)})


def _frame(content: RecordDict) -> bytes:
    record = content.get(FRAME)
    if not isinstance(record, ArrayRecord) or FRAME not in record:
        return b""  # no reply that can be read
    return record[FRAME].data

"""`veilscore bench relay`: many parties pump messages through one relay, each in its own process.

Every party sends its share to its two neighbours in a ring and takes theirs; every message carries
its number and a checksum and is checked where it arrives. The relay's memory is its own process's.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from clients.channels.stream import StreamChannel
from federation.errors import InputError, ProtocolError
from federation.identity import PartyKey
from server.coordinator.relay import Relay

PARCEL_BYTES = 1024 * 1024
HEAD_BYTES = 8
SLOW_SECONDS = 0.1
START_SECONDS = 120.0
END_SECONDS = 20.0


@dataclass
class PumpingParty:
    """An endpoint that sends `messages` to its neighbours in turn, and takes as many from them.

    Attributes:
        neighbours: the next party and the one before.
        pause: seconds that it sleeps at every message that it takes.
        lost: messages that came out of order, and so those that were missing before them.
    """

    party: str
    session: str
    neighbours: tuple[str, str]
    messages: int
    pause: float = 0.0
    finished: bool = False
    waiting_for: str = "its neighbours' messages"
    taken: int = 0
    lost: int = 0
    started: float = 0.0
    ended: float = 0.0
    _sent_all: bool = False
    _next: dict[str, int] = field(default_factory=dict)

    def use_version(self, version: int) -> None:
        """Any will do."""

    def start(self) -> Iterator[tuple[str, bytes]]:
        """Send everything."""
        self.started = time.time()
        block = os.urandom(PARCEL_BYTES - HEAD_BYTES)
        checksum = zlib.crc32(block).to_bytes(4, "little")
        for number in range(self.messages):
            head = (number // 2).to_bytes(4, "little") + checksum
            yield self.neighbours[number % 2], head + block
        self._sent_all = True
        self._finish_if_done()

    def receive(self, frame: bytes, sender: str) -> Iterator[tuple[str, bytes]]:
        """Check one message."""
        number = int.from_bytes(frame[:4], "little")
        checksum = int.from_bytes(frame[4:HEAD_BYTES], "little")
        if zlib.crc32(memoryview(frame)[HEAD_BYTES:]) != checksum:
            raise ProtocolError(f"message {number} from {sender} was changed on its way")
        self.lost += number - self._next.get(sender, 0)
        self._next[sender] = number + 1
        self.taken += 1
        time.sleep(self.pause)
        self._finish_if_done()
        return iter(())

    def _finish_if_done(self) -> None:
        self.finished = self._sent_all and self.taken == self.messages
        self.ended = time.time()

    def summary(self) -> str:
        """What the benchmark adds up."""
        shown = ("taken", "lost", "started", "ended")
        return json.dumps({name: getattr(self, name) for name in shown})


def bench_relay(parties: int = 10, megabytes: int = 1024, slow: bool = False) -> dict[str, Any]:
    """Pump messages through a relay; returns the figures.

    Args:
        parties: at least three.
        megabytes: sent by all parties together, in parcels of 1 MiB.
        slow: one party sleeps at every message that it takes.

    Raises:
        InputError: too few parties or megabytes.
        PartyFailure: a message was lost, changed, or a party failed.
    """
    messages = megabytes // parties // 2 * 2  # as many to either neighbour
    if parties < 3 or messages < 2:
        raise InputError("bench relay: at least 3 parties and 2 MB for each are needed")
    session = f"bench-{secrets.token_hex(4)}"
    names = [f"party-{number}" for number in range(parties)]
    seeds = {name: PartyKey.new_seed() for name in names}
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    processes: list[multiprocessing.process.BaseProcess] = [
        context.Process(target=_relay_process, args=(session, seeds, there), daemon=True)
    ]
    processes[0].start()
    there.close()  # the relay's process has its own; if it dies, this side hears of it
    try:
        address, certificate = _answer(here)
        for number, name in enumerate(names):
            pause = SLOW_SECONDS if slow and number == 0 else 0.0
            ring = (names[(number + 1) % parties], names[number - 1])
            party = PumpingParty(name, session, ring, messages, pause)
            arguments = (party, seeds[name], address, certificate)
            processes.append(context.Process(target=_party_process, args=arguments, daemon=True))
            processes[-1].start()
        figures = _answer(here)
    finally:
        for process in processes:
            process.join(END_SECONDS)
            process.kill()
            process.join()
        here.close()
    summaries = figures.pop("summaries")
    seconds = max(s["ended"] for s in summaries) - min(s["started"] for s in summaries)
    sent = messages * parties
    return {
        "parties": parties,
        "slow": slow,
        "messages": sent,
        "megabytes": sent * PARCEL_BYTES / 2**20,
        "seconds": round(seconds, 3),
        "megabytes_per_second": round(sent * PARCEL_BYTES / 2**20 / seconds, 1),
        "lost": sent - sum(s["taken"] for s in summaries) + sum(s["lost"] for s in summaries),
        **figures,
    }


def _answer(here: Connection) -> Any:
    """What the relay's process says next; it says its error, if it has one."""
    answer = here.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _relay_process(session: str, seeds: dict[str, bytes], there: Connection) -> None:
    pins = {name: PartyKey(seed).public for name, seed in seeds.items()}
    try:
        with Relay(session, pins, join_seconds=START_SECONDS) as relay:
            there.send((relay.address, relay.certificate))
            summaries = [json.loads(text) for text in relay.wait().values()]
            most = max(relay.most_queued_bytes.values())
        figures = {"relay_peak_rss_mb": round(_peak_rss_mb(), 1), "most_queued_bytes": most}
        there.send({"summaries": summaries, **figures})
    except Exception as error:
        there.send(error)


def _peak_rss_mb() -> float:
    """This process's own peak; getrusage's would also count the one that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say a process's peak memory")


def _party_process(party: PumpingParty, seed: bytes, address: str, certificate: bytes) -> None:
    StreamChannel(address, PartyKey(seed), certificate).run(party, party.summary)

"""The parties' places at the relay, and the bounds on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from federation.session.byte_queue import ByteQueue, QueueClosed
from federation.session.relay_messages import HEARTBEAT_SECONDS, LOST_SECONDS


@dataclass(frozen=True)
class RelayLimits:
    """What the relay allows.

    Attributes:
        outbox_bytes: what may wait for one party; a parcel always fits.
        heartbeat_seconds: after so long with nothing to send, a heartbeat is sent.
        lost_seconds: after so long without a word from a party, the session ends.
        handshake_seconds: what a connection has until TLS and HTTP/2 are agreed.
    """

    outbox_bytes: int = 4 * 1024 * 1024
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    lost_seconds: float = LOST_SECONDS
    handshake_seconds: float = 10.0


@dataclass
class Traffic:
    """What the relay carried from one party: counts only."""

    frames: int = 0
    bytes: int = 0


@dataclass
class Seat:
    """A party's place in the session.

    Attributes:
        outbox: messages for the party, ready to be sent.
        joined: whether its stream is here.
        versions: of the protocol, as it offered them.
        summary: what it wants the run record to hold; None until it is done.
        traffic: what came from it.
        heard: when anything last came from it (monotonic seconds).
        held_up: whether the relay itself does not read from it, since a recipient is slow.
    """

    outbox: ByteQueue[bytes]
    joined: bool = False
    versions: frozenset[int] = frozenset()
    summary: str | None = None
    traffic: Traffic = field(default_factory=Traffic)
    heard: float = 0.0
    held_up: bool = False

    def note_heard(self) -> None:
        """Something came from the party just now."""
        self.heard = time.monotonic()

    def silent_for(self) -> float:
        """Seconds since the party was last heard of; 0 while nobody listens to it."""
        return time.monotonic() - self.heard if self.joined and not self.held_up else 0.0

    def pass_on(self, recipient: Seat, message: bytes) -> None:
        """Queue this party's message for another; waits while the other's queue is full.

        The wait slows a sender down to its recipient's pace: nobody reads from it meanwhile.
        """
        with contextlib.suppress(QueueClosed):  # the session is over: the message is nobody's
            if not recipient.outbox.put(message, len(message), timeout=0):
                with self._held_up():
                    recipient.outbox.put(message, len(message))

    @contextlib.contextmanager
    def _held_up(self) -> Iterator[None]:
        self.held_up = True
        try:
            yield
        finally:
            self.note_heard()
            self.held_up = False

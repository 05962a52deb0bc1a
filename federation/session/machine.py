"""Sans-I/O protocols: a role is a generator, a machine feeds it messages and takes what it sends.

A role never opens a socket and never waits: it yields what it wants (`Send`, `Receive`,
`Progress`) and a driver (in-process, Flower simulation, a stream between machines) moves the
bytes. The approach is that of the sans-I/O protocol libraries (h11, h2). Every message carries
the session, its sender, its recipient and a sequence number per direction; the machine refuses by
name whatever is foreign, repeated, out of order or of another kind than the role expects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from google.protobuf.message import Message

from federation.errors import ProtocolError
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Envelope
from federation.session.wire import PROTOCOL_VERSION, decode, encode

# What one session's peers may send ahead of what the role takes, ENVELOPE_BYTES a message included.
MOST_AHEAD_BYTES = 2 * 1024 * 1024 * 1024
ENVELOPE_BYTES = 1024
# Kinds with lists and maps, which take many times their length in memory once they are parsed.
MOST_BYTES_OF_KIND = {"hello": 1 << 20, "plan": 1 << 20, "bin_shapes": 1 << 20}

Result = TypeVar("Result")
Body = TypeVar("Body", bound=Message)
# The envelope's field of each body.
_KINDS = {
    type(getattr(Envelope(), field.name)): field.name
    for field in Envelope.DESCRIPTOR.oneofs_by_name["body"].fields
}


@dataclass(frozen=True)
class Send:
    """Send one message body to one party; `kind` names the envelope's body field."""

    recipient: str
    kind: str
    body: object


@dataclass(frozen=True)
class Receive:
    """Wait for the next message of a party; it must be of this kind."""

    sender: str
    kind: str


@dataclass(frozen=True)
class Progress:
    """What a person watching should see: a stage, how much of it is done (0..1), and words."""

    stage: str
    fraction: float
    detail: str = ""


@dataclass(frozen=True)
class Release:
    """Something private is about to leave: enter it in the ledger first, or refuse."""

    spent: Expenditure


Step = Send | Receive | Progress | Release
# A role yields steps; a `Receive` evaluates to the message body it waited for.
Role = Generator[Step, object, Result]


def expect(sender: str, body: type[Body]) -> Generator[Step, object, Body]:
    """Wait for a party's next message, which must have this body; use with `yield from`."""
    received = yield Receive(sender, _KINDS[body])
    if not isinstance(received, body):
        raise TypeError(f"{sender}'s message is {type(received).__name__}, not {body.__name__}")
    return received


@dataclass(frozen=True)
class Sent:
    """One record for the disclosure log: what left this party, in which form, to whom."""

    sequence: int
    recipient: str
    kind: str
    size_bytes: int


@dataclass
class Machine(Generic[Result]):
    """Runs one party's role of one session.

    Args:
        party: this party's name; every envelope it sends is from it.
        session: the session's id; envelopes of another session are refused.
        role: the generator that is this party's protocol.
        on_sent: called for every message that leaves, before it leaves (disclosure log).
        on_progress: called for every `Progress` step.
        on_release: called for every `Release` step; it raises where the budget has no room.

    Use `start()` once, then `receive(frame)` for every frame that arrives; both yield the frames
    to deliver as `(recipient, bytes)`, each as soon as it is made, and must be consumed to the end.
    `finished` and `result` say how it ended.
    """

    party: str
    session: str
    role: Role[Result]
    on_sent: Callable[[Sent], None] = lambda sent: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_release: Callable[[Expenditure], None] = lambda spent: None
    finished: bool = False
    _result: Result | None = None
    _waiting: Receive | None = None
    _inbox: dict[str, deque[tuple[Envelope, int]]] = field(default_factory=dict)
    _ahead: int = 0
    _sent: dict[str, int] = field(default_factory=dict)
    _received: dict[str, int] = field(default_factory=dict)

    @property
    def result(self) -> Result:
        """What the role returned; raises while it has not finished."""
        if not self.finished:
            raise ProtocolError(f"the session of {self.party} has not finished yet")
        return self._result  # type: ignore[return-value]

    @property
    def waiting_for(self) -> str:
        """In words, what this party waits for (for messages about a silent peer)."""
        if self._waiting is None:
            return "nothing"
        return f"'{self._waiting.kind}' from {self._waiting.sender}"

    def use_version(self, version: int) -> None:
        """Run the session under this version of the protocol; this release speaks one.

        Raises:
            ProtocolError: it is another one.
        """
        if version != PROTOCOL_VERSION:
            raise ProtocolError(
                f"{self.party} speaks version {PROTOCOL_VERSION} of the protocol, not {version}"
            )

    def start(self) -> Iterator[tuple[str, bytes]]:
        """Run the role up to its first wait; yields the frames to deliver."""
        return self._advance(None)

    def receive(self, frame: bytes, sender: str | None = None) -> Iterator[tuple[str, bytes]]:
        """Take one frame that arrived; yields the frames to deliver because of it.

        Args:
            frame: the envelope.
            sender: who sent it, where the transport knows; an envelope of another is refused.
        """
        envelope = decode(frame)
        if sender is not None and envelope.sender != sender:
            raise ProtocolError(
                f"{sender} sent message {envelope.sequence} ('{envelope.WhichOneof('body')}') in "
                f"the name of '{envelope.sender}'"
            )
        self._admit(envelope)
        self._keep(envelope, len(frame))
        body = self._take()
        return iter(()) if body is None else self._advance(body)

    def _admit(self, envelope: Envelope) -> None:
        """Refuse what is not the next message of this session from that sender to this party."""
        where = f"message {envelope.sequence} ('{envelope.WhichOneof('body')}')"
        if envelope.session != self.session:
            raise ProtocolError(
                f"{self.party} was given {where} of session '{envelope.session}', but takes part "
                f"in session '{self.session}'"
            )
        if envelope.recipient != self.party or envelope.sender == self.party:
            raise ProtocolError(
                f"{self.party} was given {where} from '{envelope.sender}' to "
                f"'{envelope.recipient}'; only messages to {self.party} from others are taken"
            )
        if self.finished:
            raise ProtocolError(f"{where} from {envelope.sender} came after the session had ended")
        expected = self._received.get(envelope.sender, 0)
        if envelope.sequence < expected:
            raise ProtocolError(
                f"{where} from {envelope.sender} was replayed; "
                f"the next from that party must be message {expected}"
            )
        if envelope.sequence > expected:
            raise ProtocolError(
                f"{where} from {envelope.sender} is out of order; message {expected} is missing"
            )
        self._received[envelope.sender] = expected + 1

    def _keep(self, envelope: Envelope, size: int) -> None:
        """Queue a message until the role takes it; nobody fills this party's memory with them."""
        kind = str(envelope.WhichOneof("body"))
        most = MOST_BYTES_OF_KIND.get(kind)
        if most is not None and size > most:
            raise ProtocolError(
                f"'{kind}' of {size} bytes came from {envelope.sender}; at most {most} are right"
            )
        cost = size + ENVELOPE_BYTES
        self._ahead += cost
        if self._ahead > MOST_AHEAD_BYTES:
            raise ProtocolError(
                f"message {envelope.sequence} from {envelope.sender} is one too many: over "
                f"{MOST_AHEAD_BYTES} bytes wait here while {self.party} waits for "
                f"{self.waiting_for}"
            )
        self._inbox.setdefault(envelope.sender, deque()).append((envelope, cost))

    def _take(self) -> object | None:
        """The body the role waits for, if it is here already."""
        if self._waiting is None:
            return None
        queue = self._inbox.get(self._waiting.sender)
        if not queue:
            return None
        envelope, cost = queue.popleft()
        self._ahead -= cost
        kind = envelope.WhichOneof("body")
        if kind != self._waiting.kind:
            raise ProtocolError(
                f"{self.party} expected '{self._waiting.kind}' from {envelope.sender}, "
                f"but message {envelope.sequence} is '{kind}'"
            )
        self._waiting = None
        return getattr(envelope, kind)  # type: ignore[no-any-return]

    def _advance(self, value: object | None) -> Iterator[tuple[str, bytes]]:
        while True:
            try:
                step = self.role.send(value)
            except StopIteration as end:
                self.finished = True
                self._result = end.value
                return
            value = None
            if isinstance(step, Send):
                yield self._seal(step)
            elif isinstance(step, Progress):
                self.on_progress(step)
            elif isinstance(step, Release):
                self.on_release(step.spent)
            else:
                self._waiting = step
                value = self._take()
                if value is None:
                    return

    def _seal(self, step: Send) -> tuple[str, bytes]:
        sequence = self._sent.get(step.recipient, 0)
        self._sent[step.recipient] = sequence + 1
        frame = encode(self.session, self.party, step.recipient, sequence, step.kind, step.body)
        self.on_sent(Sent(sequence, step.recipient, step.kind, len(frame)))
        return step.recipient, frame

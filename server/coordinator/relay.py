"""The relay: routes frames between the parties of one session, over one stream a party.

It routes by address, parses no payload, keeps nothing, and ends the session everywhere as soon as
one party fails, leaves, or never comes. Payloads are not sealed end to end yet: whoever runs the
relay could read them (docs/security.md says what that is worth).
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field

import grpc

from federation.errors import PartyFailure
from federation.proto.relay_pb2 import (
    Begin,
    End,
    Failed,
    FromParty,
    Parcel,
    ProgressNote,
    ToParty,
)
from federation.session.wire import MAX_FRAME_BYTES

log = logging.getLogger("veilscore.coordinator")

SERVICE = "veilscore.relay.Relay"
QUEUED_FRAMES = 256
JOIN_SECONDS = 90.0
SILENCE_SECONDS = 1800.0


@dataclass
class Traffic:
    """What the relay carried from one party: counts only."""

    frames: int = 0
    bytes: int = 0


@dataclass
class _Seat:
    """A party's place in the session."""

    ticket: bytes
    outbox: queue.Queue[ToParty | None] = field(default_factory=lambda: queue.Queue(QUEUED_FRAMES))
    joined: bool = False
    summary: str | None = None
    traffic: Traffic = field(default_factory=Traffic)


class Relay:
    """The relay of one session.

    Args:
        session: the session's id.
        tickets: a secret for every party that must come.
        join_seconds: how long to wait for all of them.
        on_progress: called with a party's name and its progress note.
        silence_seconds: how long all parties together may send nothing once they are here: longer
            than any party computes between two messages or progress notes.

    Use as a context manager; `address` is where parties connect.
    """

    def __init__(
        self,
        session: str,
        tickets: Mapping[str, bytes],
        join_seconds: float = JOIN_SECONDS,
        on_progress: Callable[[str, ProgressNote], None] = lambda party, note: None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Nothing listens before `start`."""
        self._session = session
        self._seats = {party: _Seat(ticket) for party, ticket in tickets.items()}
        self._join_seconds = join_seconds
        self._silence_seconds = silence_seconds
        self._last_heard = time.monotonic()
        self._last_speaker = "nobody"
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._all_here = threading.Event()
        self._failure: Failed | None = None
        self._complete = False
        self._threads = futures.ThreadPoolExecutor(max_workers=len(tickets) + 2)
        self._server = grpc.server(
            self._threads,
            options=[
                ("grpc.max_receive_message_length", MAX_FRAME_BYTES + 1024),
                ("grpc.max_send_message_length", MAX_FRAME_BYTES + 1024),
            ],
        )
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=FromParty.FromString,
            response_serializer=ToParty.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Session": handler}),)
        )
        self.address = ""

    def __enter__(self) -> Relay:
        """Listen on a free port of the loopback interface."""
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.address = f"127.0.0.1:{port}"
        return self

    def __exit__(self, *exception: object) -> None:
        """Close every stream and the port."""
        self.end_with_failure("", "the coordinator stopped before the session had ended")
        self._server.stop(grace=1).wait()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Frames and bytes that came from each party."""
        return {party: seat.traffic for party, seat in self._seats.items()}

    def wait(self, alive: Callable[[], None] = lambda: None) -> dict[str, str]:
        """Wait for the end of the session; returns each party's summary.

        Args:
            alive: called every fraction of a second; it may raise to give the session up.

        Raises:
            PartyFailure: with one sentence that names the party and what happened.
        """
        deadline = time.monotonic() + self._join_seconds
        while not self._over.wait(0.05):
            if not self._all_here.is_set() and time.monotonic() > deadline:
                missing = ", ".join(name for name, seat in self._seats.items() if not seat.joined)
                self.end_with_failure(
                    "",
                    f"{missing} did not join within {self._join_seconds:g} s; check that its "
                    "process runs, then start again",
                )
            quiet = time.monotonic() - self._last_heard
            if self._all_here.is_set() and quiet > self._silence_seconds:
                self.end_with_failure(
                    "",
                    f"no party sent anything for {self._silence_seconds:g} s, the last was "
                    f"{self._last_speaker}; look at the parties' logs, then start again",
                )
            try:
                alive()
            except PartyFailure as error:
                self.end_with_failure("", str(error))
        if self._failure is not None:
            sender = f"{self._failure.party}: " if self._failure.party else ""
            raise PartyFailure(f"{sender}{self._failure.sentence}")
        return {party: seat.summary or "{}" for party, seat in self._seats.items()}

    def end_with_failure(self, party: str, sentence: str) -> None:
        """End the session everywhere; the first failure is the one that is told."""
        with self._lock:
            if self._failure is not None or self._over.is_set():
                return
            self._failure = Failed(party=party, sentence=sentence)
        for name, seat in self._seats.items():
            if name != party:
                _replace(seat.outbox, ToParty(failed=self._failure), None)
            else:
                _replace(seat.outbox, None)
        self._over.set()

    def _serve(
        self, requests: Iterator[FromParty], context: grpc.ServicerContext
    ) -> Iterator[ToParty]:
        party = self._admit(next(requests, None), context)
        seat = self._seats[party]
        reader = threading.Thread(target=self._read, args=(party, requests), daemon=True)
        reader.start()
        while (message := seat.outbox.get()) is not None:
            yield message

    def _admit(self, first: FromParty | None, context: grpc.ServicerContext) -> str:
        """The party that a stream belongs to; refuses strangers and second streams."""
        join = first.join if first is not None else None
        seat = self._seats.get(join.party) if join is not None else None
        if join is None or seat is None or join.session != self._session:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not a party of this session")
            raise AssertionError("abort raises")
        if not hmac.compare_digest(join.ticket, seat.ticket):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the ticket is not this party's")
        with self._lock:
            if seat.joined:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{join.party} is here already")
            seat.joined = True
            everybody = all(other.joined for other in self._seats.values())
        if everybody:
            self._all_here.set()
            for other in self._seats.values():
                other.outbox.put(ToParty(begin=Begin()))
        return join.party

    def _read(self, party: str, requests: Iterator[FromParty]) -> None:
        seat = self._seats[party]
        try:
            for message in requests:
                content = message.WhichOneof("content")
                self._last_heard, self._last_speaker = time.monotonic(), party
                if content == "parcel":
                    self._route(party, message.parcel)
                elif content == "progress":
                    self._on_progress(party, message.progress)
                elif content == "failed":
                    self.end_with_failure(party, message.failed.sentence)
                elif content == "done":
                    seat.summary = message.done.summary_json
                    self._finish_if_all_done()
        except grpc.RpcError:
            pass  # the stream broke: told below
        except Exception as error:  # whatever it is, nobody may be left waiting
            log.exception("the session %s ends here", self._session)
            self.end_with_failure("", f"the coordinator failed ({type(error).__name__})")
        if seat.summary is None:
            self.end_with_failure(party, "left before the session had ended")

    def _route(self, sender: str, parcel: Parcel) -> None:
        recipient = self._seats.get(parcel.peer)
        if recipient is None or parcel.peer == sender:
            self.end_with_failure("", f"{sender} sent a message to '{parcel.peer}', no other party")
            return
        if not self._all_here.is_set():
            # Who is not here yet would never get it.
            self.end_with_failure("", f"{sender} sent a message before every party had come")
            return
        traffic = self._seats[sender].traffic
        traffic.frames += 1
        traffic.bytes += len(parcel.frame)
        if self._failure is None:
            recipient.outbox.put(ToParty(parcel=Parcel(peer=sender, frame=parcel.frame)))

    def _finish_if_all_done(self) -> None:
        with self._lock:
            if self._complete or any(seat.summary is None for seat in self._seats.values()):
                return
            self._complete = True
        for seat in self._seats.values():
            seat.outbox.put(ToParty(end=End()))
            seat.outbox.put(None)
        self._over.set()


def _replace(outbox: queue.Queue[ToParty | None], *messages: ToParty | None) -> None:
    """Put the last messages in the place of all that waits: nobody needs a dead session's frames.

    It never blocks for long on a party that takes nothing, and that party's stream still ends.
    """
    with contextlib.suppress(queue.Empty):
        while True:
            outbox.get_nowait()
    for message in messages:
        outbox.put(message)

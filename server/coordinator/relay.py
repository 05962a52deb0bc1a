"""The relay: routes sealed parcels between the parties of one session, one stream a party.

It routes by address, reads no frame, keeps nothing, and ends the session everywhere as soon as one
party fails, leaves, falls silent, or never comes. A party is who its certificate says, signed with
the key that is pinned for it (federation/identity/certificates.py).

What waits at the relay is bounded for each party. When a recipient's queue is full the relay stops
reading from the sender, and HTTP/2's flow control holds the sender up: a slow party slows those who
send to it, and fills nobody's memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import grpc

from federation.errors import PartyFailure, ProtocolError
from federation.identity.party_key import PartyPublicKey, check_pins
from federation.proto.relay_pb2 import Begin, End, Failed, ProgressNote, ToParty
from federation.session.byte_queue import ByteQueue, QueueClosed, QueueEmpty
from federation.session.relay_messages import (
    HEARTBEAT_TO_PARTY,
    ParcelView,
    check_frame_length,
    common_version,
    failed_note,
    one_line,
    progress_note,
    read_from_party,
    read_parcel,
)
from server.coordinator.relay_admission import Admission
from server.coordinator.relay_seats import RelayLimits, Seat, Traffic
from server.coordinator.relay_server import RelayServer

__all__ = ["Relay", "RelayLimits", "Traffic"]

log = logging.getLogger("veilscore.coordinator")

JOIN_SECONDS = 90.0
SILENCE_SECONDS = 1800.0
READER_SECONDS = 5.0
# What the last party has to take what still waits for it, once all are done.
LAST_WORD_SECONDS = 10.0


class Relay:
    """The relay of one session.

    Args:
        session: the session's id.
        pins: the public key of every party that must come, by name.
        join_seconds: how long to wait for all of them.
        on_progress: called with a party's name and its progress note.
        silence_seconds: how long all parties together may send nothing but heartbeats once they
            are here: longer than any party computes between two messages or progress notes.
        listen: host and port; port 0 takes a free one.
        limits: bounds that tests set lower.

    Use as a context manager; `address` is where parties connect, `certificate` (PEM, public) the
    one that they must trust.

    Raises:
        InputError: two parties have the same key, or the address can't be listened on.
    """

    def __init__(
        self,
        session: str,
        pins: Mapping[str, PartyPublicKey],
        join_seconds: float = JOIN_SECONDS,
        on_progress: Callable[[str, ProgressNote], None] = lambda party, note: None,
        silence_seconds: float = SILENCE_SECONDS,
        listen: str = "127.0.0.1:0",
        limits: RelayLimits | None = None,
    ) -> None:
        """Nothing listens before the context is entered."""
        check_pins(pins)
        self._session = session
        self._limits = limits or RelayLimits()
        self._seats = {party: Seat(ByteQueue(self._limits.outbox_bytes)) for party in pins}
        self._join_seconds = join_seconds
        self._silence_seconds = silence_seconds
        self._on_progress = on_progress
        self._last_heard, self._last_speaker = time.monotonic(), "nobody"
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._all_here = threading.Event()
        self._failure: Failed | None = None
        self._complete = False
        self._readers: list[threading.Thread] = []
        self._admission = Admission(session, pins)
        self._server = RelayServer(self._serve, pins, listen, self._limits.handshake_seconds)
        self.certificate = self._server.certificate
        self.address = ""

    def __enter__(self) -> Relay:
        """Listen."""
        self.address = self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close every stream and the port."""
        self.end_with_failure("", "the coordinator stopped before the session had ended")
        self._server.stop(LAST_WORD_SECONDS if self._complete else 1.0)
        for reader in self._readers:
            reader.join(READER_SECONDS)

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Frames and bytes that came from each party."""
        return {party: seat.traffic for party, seat in self._seats.items()}

    @property
    def most_queued_bytes(self) -> dict[str, int]:
        """The most that ever waited for each party."""
        return {party: seat.outbox.most_bytes for party, seat in self._seats.items()}

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
            self._check_silence()
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
            if self._failure is not None or self._complete or self._over.is_set():
                return
            self._failure = failed_note(party, sentence)
        message = ToParty(failed=self._failure).SerializeToString()
        for name, seat in self._seats.items():
            if name == party:
                seat.outbox.replace()
            else:
                seat.outbox.replace(message)
        self._over.set()

    def _check_silence(self) -> None:
        for party, seat in self._seats.items():
            if seat.silent_for() > self._limits.lost_seconds:
                self.end_with_failure(
                    "",
                    f"{party} has not been heard of for {self._limits.lost_seconds:g} s; check its "
                    "process and the network, then start again",
                )
        quiet = time.monotonic() - self._last_heard
        if self._all_here.is_set() and quiet > self._silence_seconds:
            self.end_with_failure(
                "",
                f"no party sent anything for {self._silence_seconds:g} s, the last was "
                f"{self._last_speaker}; look at the parties' logs, then start again",
            )

    def _serve(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        party = self._admit(requests, context)
        outbox = self._seats[party].outbox
        yield HEARTBEAT_TO_PARTY  # the party knows that it is admitted
        while True:
            try:
                yield outbox.get(self._limits.heartbeat_seconds)
            except QueueEmpty:
                yield HEARTBEAT_TO_PARTY
            except QueueClosed:
                return

    def _admit(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> str:
        """Give a stream its party's seat; refuses strangers and second streams."""
        try:
            party, versions = self._admission.identify(context)
        except ProtocolError as error:
            self._admission.refuse(context, grpc.StatusCode.PERMISSION_DENIED, str(error))
        seat = self._seats[party]
        with self._lock:
            second, seat.joined = seat.joined, True
        if second:
            self._admission.refuse(
                context, grpc.StatusCode.ALREADY_EXISTS, f"{party} is here already"
            )
        seat.note_heard()
        seat.versions = versions
        # The reader of a party that is held up would not notice that it has gone.
        context.add_callback(lambda: self._left(party))
        reader = threading.Thread(
            target=self._read, args=(party, requests), daemon=True, name=f"relay reads {party}"
        )
        self._readers.append(reader)
        reader.start()
        self._begin_if_all_here()
        return party

    def _begin_if_all_here(self) -> None:
        # Under the lock nothing is routed, so that no parcel overtakes a 'begin'.
        with self._lock:
            if self._all_here.is_set() or not all(s.versions for s in self._seats.values()):
                return
            offers = {party: seat.versions for party, seat in self._seats.items()}
            try:
                begin = ToParty(begin=Begin(version=common_version(offers))).SerializeToString()
            except ProtocolError as error:
                sentence = str(error)
            else:
                for seat in self._seats.values():
                    seat.outbox.put_now(begin, len(begin))
                self._last_heard = time.monotonic()
                self._all_here.set()
                return
        self.end_with_failure("", sentence)

    def _read(self, party: str, requests: Iterator[bytes]) -> None:
        """Take all that a party sends, until its stream ends."""
        seat = self._seats[party]
        try:
            for message in requests:
                seat.note_heard()
                self._take(party, seat, message)
        except grpc.RpcError:
            pass  # the stream broke: told below
        except ProtocolError as error:
            self.end_with_failure("", f"{party} sent what can't be passed on: {error}")
        except Exception as error:  # whatever it is, nobody may be left waiting
            log.exception("the session %s ends here", self._session)
            self.end_with_failure("", f"the coordinator failed ({type(error).__name__})")
        self._left(party)

    def _left(self, party: str) -> None:
        seat = self._seats[party]
        if seat.summary is None:
            self.end_with_failure(party, "left before the session had ended; its log says why")
        seat.outbox.finish()

    def _take(self, party: str, seat: Seat, message: bytes) -> None:
        parcel = read_parcel(message)
        if parcel is not None:
            self._note_speaker(party)
            self._route(party, seat, parcel)
            self._note_speaker(party)
            return
        parsed = read_from_party(message)
        content = parsed.WhichOneof("content")
        if content == "heartbeat":
            return
        self._note_speaker(party)
        if content == "progress":
            note = parsed.progress
            self._on_progress(party, progress_note(note.stage, note.fraction, note.detail))
        elif content == "failed":
            self.end_with_failure(party, one_line(parsed.failed.sentence))
        elif seat.summary is not None or not self._all_here.is_set():
            raise ProtocolError("it says that it is done, out of turn")
        else:
            seat.summary = parsed.done.summary_json
            self._finish_if_all_done()

    def _note_speaker(self, party: str) -> None:
        self._last_heard, self._last_speaker = time.monotonic(), party

    def _route(self, sender: str, seat: Seat, parcel: ParcelView) -> None:
        check_frame_length(parcel.frame_bytes)
        recipient = self._seats.get(parcel.peer)
        if recipient is None or parcel.peer == sender:
            shown = one_line(parcel.peer, 80)
            self.end_with_failure("", f"{sender} sent a message to '{shown}', no other party")
            return
        if not self._all_here.is_set():
            with self._lock:  # 'begin' may be on its way out just now
                early = not self._all_here.is_set()
            if early:
                # Who is not here yet would never get it.
                self.end_with_failure("", f"{sender} sent a message before every party had come")
                return
        seat.traffic.frames += 1
        seat.traffic.bytes += parcel.frame_bytes
        seat.pass_on(recipient, parcel.readdressed(sender))

    def _finish_if_all_done(self) -> None:
        with self._lock:
            if self._complete or any(seat.summary is None for seat in self._seats.values()):
                return
            self._complete = True
        end = ToParty(end=End()).SerializeToString()
        for seat in self._seats.values():
            seat.outbox.put_now(end, len(end))
            seat.outbox.finish()
        self._over.set()

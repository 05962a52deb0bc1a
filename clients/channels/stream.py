"""One outbound gRPC stream to the coordinator's relay, held open for a whole session."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from federation.errors import InputError, PartyFailure, VeilscoreError
from federation.proto.relay_pb2 import Done, Failed, FromParty, Join, Parcel, ProgressNote, ToParty
from federation.session.machine import Machine, Progress
from federation.session.wire import MAX_FRAME_BYTES

SESSION_METHOD = "/veilscore.relay.Relay/Session"
# Frames wait here while the network is slower than the mathematics.
OUTBOX_FRAMES = 64
WAIT_SECONDS = 0.2


class StreamChannel:
    """Runs one party's machine over a stream.

    Args:
        address: the relay's host:port.
        ticket: the secret that the coordinator gave this party for this session.
        tell_inputs: whether the others are told what is wrong with this party's own input: its
            files and columns are its own business, except where one person runs all parties.
    """

    def __init__(self, address: str, ticket: bytes, tell_inputs: bool = False) -> None:
        """Nothing is opened before `run`."""
        self._tell_inputs = tell_inputs
        self._address = address
        self._ticket = ticket
        self._outbox: queue.Queue[FromParty | None] = queue.Queue(OUTBOX_FRAMES)
        self._inbox: queue.Queue[ToParty | BaseException | None] = queue.Queue()
        self._over = threading.Event()

    def note(self, progress: Progress) -> None:
        """Show progress to a person at the coordinator; dropped rather than waited for."""
        content = ProgressNote(
            stage=progress.stage, fraction=progress.fraction, detail=progress.detail
        )
        try:
            self._outbox.put_nowait(FromParty(progress=content))
        except queue.Full:
            return

    def run(self, machine: Machine[Any], summary: Callable[[], str]) -> None:
        """Join the session, run the machine to its end, and report `summary()` as done.

        Raises:
            PartyFailure: another party failed or never came, or the relay went away.
            Exception: whatever this party's own machine raised; the others are told.
        """
        options = [
            ("grpc.max_receive_message_length", MAX_FRAME_BYTES + 1024),
            ("grpc.max_send_message_length", MAX_FRAME_BYTES + 1024),
        ]
        with grpc.insecure_channel(self._address, options=options) as channel:
            call = channel.stream_stream(
                SESSION_METHOD,
                request_serializer=FromParty.SerializeToString,
                response_deserializer=ToParty.FromString,
            )
            join = Join(session=machine.session, party=machine.party, ticket=self._ticket)
            self._put(FromParty(join=join))
            responses = call(self._requests())
            reader = threading.Thread(target=self._read, args=(responses,), daemon=True)
            reader.start()
            try:
                self._drive(machine, summary)
            except PartyFailure:
                raise
            except Exception as error:
                self._fail(machine.party, told(error, self._tell_inputs))
                raise
            finally:
                self._put(None)
                reader.join(timeout=5)
                responses.cancel()

    def _requests(self) -> Iterator[FromParty]:
        while (message := self._outbox.get()) is not None:
            yield message

    def _read(self, responses: Iterator[ToParty]) -> None:
        try:
            for message in responses:
                self._inbox.put(message)
                if message.WhichOneof("content") == "failed":
                    self._over.set()
            self._inbox.put(None)
        except grpc.RpcError as error:
            self._inbox.put(error)
        finally:
            self._over.set()

    def _next(self) -> ToParty:
        message = self._inbox.get()
        if message is None:
            raise PartyFailure("the relay ended the session without a word; see the coordinator")
        if isinstance(message, BaseException):
            raise PartyFailure(f"the relay at {self._address} {_what_happened(message)}")
        if message.WhichOneof("content") == "failed":
            failed = message.failed
            sender = f"{failed.party}: " if failed.party else ""
            raise PartyFailure(f"{sender}{failed.sentence}")
        return message

    def _drive(self, machine: Machine[Any], summary: Callable[[], str]) -> None:
        while self._next().WhichOneof("content") != "begin":
            continue
        self._deliver(machine.start())
        while not machine.finished:
            message = self._next()
            if message.WhichOneof("content") == "parcel":
                self._deliver(machine.receive(message.parcel.frame, message.parcel.peer))
        self._put(FromParty(done=Done(summary_json=summary())))
        while self._next().WhichOneof("content") != "end":
            continue

    def _deliver(self, frames: Iterator[tuple[str, bytes]]) -> None:
        for recipient, frame in frames:
            self._put(FromParty(parcel=Parcel(peer=recipient, frame=frame)))
            while self._over.is_set():  # no use in going on: say why
                self._next()

    def _put(self, message: FromParty | None) -> None:
        """Put a message where the stream takes it from, or drop it when the session is over."""
        while True:
            try:
                self._outbox.put(message, timeout=WAIT_SECONDS)
            except queue.Full:
                if not self._over.is_set():
                    continue
            return

    def _fail(self, party: str, sentence: str) -> None:
        self._put(FromParty(failed=Failed(party=party, sentence=sentence)))


def _what_happened(error: BaseException) -> str:
    if not isinstance(error, grpc.Call):
        return f"ended the stream: {error}"
    if error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.ALREADY_EXISTS):
        return f"refused this party: {error.details()}"
    return f"is not to be reached: {error.details()}"


def told(error: Exception, tell_inputs: bool) -> str:
    """What other parties may read of an error.

    What an unexpected exception says may hold data: only its type leaves.
    """
    if not isinstance(error, VeilscoreError):
        return f"an internal error ({type(error).__name__}); its own log says more"
    if isinstance(error, InputError) and not tell_inputs:
        return "its own input is not in order; its log says what and where"
    return str(error)

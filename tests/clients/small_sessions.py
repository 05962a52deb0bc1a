"""Small parties for tests of the stream, run in threads and processes."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from clients.channels.stream import StreamChannel
from federation.proto.session_pb2 import HintBlock
from federation.session.machine import Machine, Receive, Send, Step

SESSION = "session-1"
SECONDS = 20.0  # the longest that anything here may take


def ticket(party: str) -> bytes:
    """A party's secret."""
    return party.encode().ljust(32, b"#")


def block(number: int, size: int = 0) -> HintBlock:
    """A message that says its number, with that many bytes."""
    return HintBlock(first_row=number, rows=1, values=bytes([number % 256]) * size)


def sending(
    recipients: Iterable[str], messages: int, size: int = 0, awaited: Iterable[str] = ()
) -> Generator[Step, object, list[tuple[str, int]]]:
    """Send every recipient the same numbered messages, then take as many from all `awaited`."""
    for number in range(messages):
        for recipient in recipients:
            yield Send(recipient, "hint_block", block(number, size))
    return (yield from taking(awaited, messages, size))


def taking(
    senders: Iterable[str], messages: int, size: int = 0
) -> Generator[Step, object, list[tuple[str, int]]]:
    """Take numbered messages of all senders; returns (sender, number) in the order they came."""
    taken = []
    for sender in senders:
        for _ in range(messages):
            body = yield Receive(sender, "hint_block")
            assert isinstance(body, HintBlock)
            assert body.values == bytes([body.first_row % 256]) * size
            taken.append((sender, body.first_row))
    return taken


def sending_for_ever(recipient: str, size: int) -> Generator[Step, object, None]:
    """Send until somebody ends it."""
    number = 0
    while True:
        yield Send(recipient, "hint_block", block(number, size))
        number += 1


def raising(error: Exception, after: str | None = None) -> Generator[Step, object, None]:
    """Raise, at once or after a message of a party."""
    if after is not None:
        yield Receive(after, "hint_block")
    raise error
    yield


def in_thread(
    address: str,
    party: str,
    role: Generator[Step, object, Any],
    *,
    tell_inputs: bool = False,
    session: str = SESSION,
    with_ticket: bytes | None = None,
) -> Future[Any]:
    """Run a role over a stream of its own; the future has its result or what it raised."""
    future: Future[Any] = Future()

    def run() -> None:
        channel = StreamChannel(address, with_ticket or ticket(party), tell_inputs)
        machine = Machine(party, session, role, on_progress=channel.note)
        try:
            channel.run(machine, lambda: json.dumps({"party": party}))
            future.set_result(machine.result)
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"test-{party}").start()
    return future


def _send_one_and_wait(address: str, party: str, peer: str) -> None:
    def role() -> Generator[Step, object, None]:
        yield Send(peer, "hint_block", block(0))
        yield Receive(peer, "closing")  # never comes

    StreamChannel(address, ticket(party)).run(Machine(party, SESSION, role()), lambda: "{}")


@contextmanager
def in_process(address: str, party: str, peer: str) -> Iterator[BaseProcess]:
    """A party in a process of its own: sends its peer one message, then waits for ever."""
    process = multiprocessing.get_context("spawn").Process(
        target=_send_one_and_wait, args=(address, party, peer), daemon=True
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(SECONDS)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """What runs inside leaves no thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left

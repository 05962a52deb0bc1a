"""An open-loop load generator for the scoring desk: requests go out when they are due.

A closed loop sends the next request when the last one is answered, so a server that stalls is sent
less and looks fast. Here every request has its time beforehand, and its latency counts from that
time, whoever is late: the server, the network or this generator (Gil Tene, 'How not to measure
latency': coordinated omission). Every latency is kept, so that percentiles are exact.

The client is gRPC's own, whose calls are answered on a thread of gRPC's: the one for asyncio adds
nearly a millisecond to each call on two cores, which would count as the desk's.

It sends to this machine only, for so many requests and so long, and then ends.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.proto.scoring_pb2 import ScoreReply
from simulations.open_loop_recording import OK, UNFINISHED, Recording

METHOD = "/veilscore.scoring.v1.ScoringService/Score"
MOST_REQUESTS = 2_000_000
MOST_A_SECOND = 5_000.0
MOST_CALL_SECONDS = 10.0
START_SECONDS = 20.0
# Between the last warm call and the first measured one.
LEAD_SECONDS = 0.05

Call = Callable[[bytes], Any]  # starts a call; returns its future


class Arrivals(StrEnum):
    """When requests are due."""

    POISSON = "poisson"  # independent of each other, as from many callers
    CONSTANT = "constant"  # evenly spaced


@dataclass(frozen=True)
class Target:
    """A desk on this machine, and who calls.

    Attributes:
        address: host:port; the host is a loopback address.
        ca: the certificates that the desk's own must chain to, PEM.
        certificate, key: the caller's, PEM.
        server_name: in the desk's certificate, where that is not the address.
    """

    address: str
    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    server_name: str = ""


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        rate: requests a second, on average.
        seconds: from the first to the last.
        arrivals: how they are spaced.
        channels: connections that take turns.
        call_seconds: each call's deadline from when it is sent.
        warm: calls on each channel beforehand, one after the other, not measured.
        seed: of the times.
    """

    rate: float
    seconds: float
    arrivals: Arrivals = Arrivals.POISSON
    channels: int = 4
    call_seconds: float = 1.0
    warm: int = 50
    seed: int = 1

    def check(self) -> None:
        """Refuse what would not end soon.

        Raises:
            InputError: names the bound.
        """
        if not (0 < self.rate <= MOST_A_SECOND and self.seconds > 0):
            raise InputError(
                f"load: the rate must be above 0 and at most {MOST_A_SECOND:,.0f} a second, the "
                "duration above 0 seconds"
            )
        if self.rate * self.seconds > MOST_REQUESTS:
            raise InputError(f"load: rate × seconds must be at most {MOST_REQUESTS:,} requests")
        if not (0 < self.call_seconds <= MOST_CALL_SECONDS and 1 <= self.channels <= 64):
            raise InputError(
                f"load: a call's deadline must be at most {MOST_CALL_SECONDS:g} seconds, and the "
                "channels 1 to 64"
            )
        if not 0 <= self.warm <= 10_000:
            raise InputError("load: the warm calls must be 0 to 10,000")

    def due(self) -> npt.NDArray[np.float64]:
        """When each request is due, seconds after the start, ascending."""
        count = max(1, round(self.rate * self.seconds))
        if self.arrivals is Arrivals.CONSTANT:
            return np.arange(count) / self.rate
        # A Poisson process with this many arrivals is as many uniform draws, sorted.
        return np.sort(np.random.default_rng(self.seed).uniform(0, self.seconds, size=count))


def check_loopback(address: str) -> None:
    """Refuse to load anything but this machine.

    Raises:
        InputError: the host is not a loopback address, written as numbers.
    """
    host, colon, port = address.rpartition(":")
    try:
        inside = ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        inside = False
    if not (inside and colon and port.isdecimal() and 0 < int(port) < 65_536):
        raise InputError(
            f"load: '{address[:80]}' is not on this machine; an address such as 127.0.0.1:7443 is "
            "right, since load is sent to loopback addresses only"
        )


def open_loop(target: Target, load: Load, requests: Sequence[bytes]) -> Recording:
    """Send serialised score requests in turn, each when it is due; blocks until all have ended.

    Args:
        target: where to, and as whom.
        load: how many, how fast.
        requests: `ScoreRequest`s; the i-th due is number i modulo their count.

    Raises:
        InputError: not this machine, beyond the bounds, no request, or no connection.
    """
    check_loopback(target.address)
    load.check()
    if not requests:
        raise InputError("load: at least one request is needed")
    credentials, options = _security(target)
    channels = [
        grpc.secure_channel(target.address, credentials, options=options)
        for _ in range(load.channels)
    ]
    try:
        for channel in channels:
            try:
                grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
            except grpc.FutureTimeoutError:
                raise _no_connection() from None
        calls = [_call(channel, load.call_seconds) for channel in channels]
        for number in range(load.warm * len(calls)):
            # What is wrong shows in what is measured.
            calls[number % len(calls)](requests[number % len(requests)]).exception()
        return _Run(load, requests, calls).run()
    finally:
        for channel in channels:
            channel.close()


def open_channels(target: Target, count: int) -> list[grpc.aio.Channel]:
    """As many connections of their own, for asyncio."""
    credentials, options = _security(target)
    return [
        grpc.aio.secure_channel(target.address, credentials, options=options) for _ in range(count)
    ]


def _security(target: Target) -> tuple[grpc.ChannelCredentials, list[tuple[str, Any]]]:
    credentials = grpc.ssl_channel_credentials(target.ca, target.key, target.certificate)
    options: list[tuple[str, Any]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ]
    if target.server_name:
        options.append(("grpc.ssl_target_name_override", target.server_name))
    return credentials, options


async def ready(channels: Sequence[grpc.aio.Channel]) -> None:
    """Wait until all are connected.

    Raises:
        InputError: one is not, in time.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            await asyncio.gather(*(channel.channel_ready() for channel in channels))
    except TimeoutError:
        raise _no_connection() from None


def _no_connection() -> InputError:
    return InputError(
        f"load: no connection within {START_SECONDS:g} seconds; check that the desk listens there "
        "and that the certificates are its callers'"
    )


def _call(channel: grpc.Channel, seconds: float) -> Call:
    method: Any = channel.unary_unary(METHOD)  # without serialisers: bytes

    def call(payload: bytes) -> Any:
        return method.future(payload, timeout=seconds)

    return call


class _Run:
    """One run's state: arrays that every call writes its own place of."""

    def __init__(self, load: Load, requests: Sequence[bytes], calls: Sequence[Call]) -> None:
        self._load, self._requests, self._calls = load, requests, calls
        self._due = load.due()
        count = len(self._due)
        self._lag = np.zeros(count)
        self._latency = np.full(count, np.inf)
        self._status = np.full(count, UNFINISHED, dtype=np.uint8)
        self._score = np.zeros(count, dtype=np.int32)
        self._probability = np.full(count, np.nan)
        self._variant = np.zeros(count, dtype=np.uint8)
        self._degraded = np.zeros(count, dtype=np.bool_)
        self._variants: dict[str, int] = {}
        self._lock = threading.Lock()
        self._left = iter(range(count, 0, -1))  # next() is one step, whichever threads ask
        self._ended = threading.Semaphore(0)

    def run(self) -> Recording:
        gc.collect()
        gc.freeze()  # a collection over all that was imported would count as the desk's latency
        begin = time.monotonic() + LEAD_SECONDS
        try:
            for place, due in enumerate(self._due.tolist()):
                wait = begin + due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                self._send(place, begin + due)
            self._ended.acquire(timeout=self._load.call_seconds + START_SECONDS)
        finally:
            gc.unfreeze()
        seconds = time.monotonic() - begin
        ended = np.where(np.isfinite(self._latency), self._latency, seconds - self._due)
        return Recording(
            self._due,
            self._lag,
            ended,
            self._status,
            self._score,
            self._probability,
            self._variant,
            self._degraded,
            tuple(self._variants),
            seconds,
        )

    def _send(self, place: int, due: float) -> None:
        self._lag[place] = time.monotonic() - due
        call = self._calls[place % len(self._calls)]

        def ended(answer: Any) -> None:
            self._latency[place] = time.monotonic() - due
            self._enter(place, answer)
            if next(self._left) == 1:
                self._ended.release()

        call(self._requests[place % len(self._requests)]).add_done_callback(ended)

    def _enter(self, place: int, answer: Any) -> None:
        code = answer.code()
        self._status[place] = code.value[0]
        if code is not grpc.StatusCode.OK:
            return
        reply = ScoreReply.FromString(answer.result())
        self._status[place] = OK
        self._score[place] = reply.score
        self._probability[place] = reply.probability_of_default
        with self._lock:
            self._variant[place] = self._variants.setdefault(reply.variant, len(self._variants))
        self._degraded[place] = reply.degraded

"""The batch stream under load: messages one after another over one stream, a few ahead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.proto.scoring_pb2 import ScoreBatchReply
from simulations.open_loop import Target, check_loopback, open_channels, ready

METHOD = "/veilscore.scoring.v1.ScoringService/ScoreBatch"
STREAM_SECONDS = 120.0
MOST_MESSAGES = 10_000


@dataclass(frozen=True)
class BatchRecording:
    """What came of a stream.

    Attributes:
        seconds: from the first message sent to the last reply read.
        latency: of each message (m,), seconds from when it was sent to its reply.
        scores: of all messages' borrowers in a row (n,).
        probabilities: (n,).
        variant: places in `variants` (n,).
        variants: names.
        degraded: messages whose replies were.
        error: gRPC's status where the stream broke; '' otherwise.
    """

    seconds: float
    latency: npt.NDArray[np.float64]
    scores: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float64]
    variant: npt.NDArray[np.uint32]
    variants: tuple[str, ...]
    degraded: int
    error: str


def stream_batches(target: Target, messages: Sequence[bytes], ahead: int = 3) -> BatchRecording:
    """Send serialised `ScoreBatchRequest`s over one stream.

    Args:
        target: the desk, on this machine.
        messages: in the order of their sequence numbers, from 0.
        ahead: messages that may be on their way at once.

    Raises:
        InputError: not this machine, too many messages, or no connection.
    """
    check_loopback(target.address)
    if not 1 <= len(messages) <= MOST_MESSAGES or ahead < 1:
        raise InputError(f"load: 1 to {MOST_MESSAGES:,} messages are right, at least one ahead")
    return asyncio.run(_run(target, messages, ahead))


async def _run(target: Target, messages: Sequence[bytes], ahead: int) -> BatchRecording:
    channels = open_channels(target, 1)
    try:
        await ready(channels)
        return await _stream(channels[0], messages, ahead)
    finally:
        await channels[0].close()


async def _stream(
    channel: grpc.aio.Channel, messages: Sequence[bytes], ahead: int
) -> BatchRecording:
    room = asyncio.Semaphore(ahead)
    sent = np.zeros(len(messages))

    async def outgoing() -> AsyncIterator[bytes]:
        for number, message in enumerate(messages):
            await room.acquire()
            sent[number] = time.monotonic()
            yield message

    method: Any = channel.stream_stream(METHOD)  # without serialisers: bytes
    answers: list[bytes] = []
    latency: list[float] = []
    error = ""
    begin = time.monotonic()
    try:
        async for answer in method(outgoing(), timeout=STREAM_SECONDS):
            latency.append(time.monotonic() - sent[len(answers)])
            answers.append(answer)
            room.release()
    except grpc.aio.AioRpcError as broken:
        error = f"{broken.code().name}: {broken.details()}"
    seconds = time.monotonic() - begin
    replies = [ScoreBatchReply.FromString(answer) for answer in answers]
    if not error and [reply.sequence for reply in replies] != list(range(len(messages))):
        error = "INTERNAL: the replies are not those of the messages, in order"
    return _recording(replies, seconds, latency, error)


def _recording(
    replies: Sequence[ScoreBatchReply], seconds: float, latency: list[float], error: str
) -> BatchRecording:
    names: dict[str, int] = {}
    variants = [
        np.array([names.setdefault(name, len(names)) for name in reply.variants])[
            np.array(reply.variant, dtype=np.int64)
        ]
        for reply in replies
    ]
    nothing: list[npt.NDArray[Any]] = [np.zeros(0)]
    return BatchRecording(
        seconds,
        np.array(latency),
        np.concatenate([r.scores for r in replies] or nothing).astype(np.int32),
        np.concatenate([r.probabilities_of_default for r in replies] or nothing),
        np.concatenate(variants or nothing).astype(np.uint32),
        tuple(names),
        sum(reply.degraded for reply in replies),
        error,
    )

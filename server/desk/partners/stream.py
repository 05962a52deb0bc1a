"""Many questions to one partner over one stream: what a call of its own costs is paid once.

Measured on two cores, two partners asked at once: 2.2 ms by unary calls, 1.5 ms by streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from federation.proto.contribution_pb2 import NumberedReply, NumberedRequest

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ContributionStream:
    """Questions out and answers in over one bidirectional call, opened when first needed.

    Lives on one event loop. A stream that breaks fails what is under way on it, and the next
    question opens another.

    Args:
        method: the channel's stream-stream method, bytes both ways.
    """

    def __init__(self, method: Any) -> None:
        """Nothing is open."""
        self._method = method
        self._open: _Open | None = None
        self._number = 0

    async def ask(self, request: bytes, seconds: float) -> bytes:
        """One question, one answer.

        Raises:
            grpc.aio.AioRpcError: it was refused, the stream broke, or there was no answer in time.
        """
        if self._open is None or self._open.broken:
            self._open = _Open(self._method())
        self._number += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._open.ask(self._number, request)
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time") from None

    async def close(self) -> None:
        """End the stream, and what is under way on it."""
        if self._open is not None:
            await self._open.close()
            self._open = None


class _Open:
    """A stream that is open; a writer and a reader each have a task of their own.

    A call's write must not be cancelled, or the stream ends: so nobody who waits writes himself.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._more = asyncio.Event()
        self.broken = False
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def ask(self, number: int, request: bytes) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._unsent.append((number, request))
        self._more.set()
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        self._break(_error(grpc.StatusCode.UNAVAILABLE, "the connection is closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                while self._unsent:
                    number, request = self._unsent.popleft()
                    if number in self._waiting:  # else nobody waits for it any more
                        asked = NumberedRequest(number=number, request=request)
                        await self._call.write(asked.SerializeToString())
        except asyncio.CancelledError:
            raise
        except Exception:
            self._more.clear()  # the reader learns why

    async def _read(self) -> None:
        try:
            while True:
                data = await self._call.read()
                if data is grpc.aio.EOF:
                    code = await self._call.code()
                    detail = await self._call.details() or "the partner ended the stream"
                    # Ended in good order, as a partner does that stops: it can't be asked here.
                    ended = grpc.StatusCode.UNAVAILABLE if code is grpc.StatusCode.OK else code
                    self._break(_error(ended, detail))
                    return
                self._take(NumberedReply.FromString(data))
        except grpc.aio.AioRpcError as error:
            self._break(error)
        except DecodeError:
            self._break(_error(grpc.StatusCode.INTERNAL, "its answer can't be read"))
        except asyncio.CancelledError:
            self._break(_error(grpc.StatusCode.UNAVAILABLE, "the connection is closed"))
            raise
        except Exception as error:  # whatever the library raises, nobody may wait for ever
            self._break(_error(grpc.StatusCode.INTERNAL, type(error).__name__))

    def _take(self, reply: NumberedReply) -> None:
        answer = self._waiting.pop(reply.number, None)
        if answer is None or answer.done():
            return
        if reply.WhichOneof("outcome") == "refusal":
            code = _CODES.get(reply.refusal.code, grpc.StatusCode.UNKNOWN)
            answer.set_exception(_error(code, reply.refusal.sentence))
        else:
            answer.set_result(reply.reply)

    def _break(self, error: BaseException) -> None:
        self.broken = True
        self._call.cancel()
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(error)


def _error(code: grpc.StatusCode, detail: str) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, details=detail)

"""Questions over one stream: real answer sides over mutual TLS, and broken ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from federation.proto.contribution_pb2 import (
    ContributionReply,
    ContributionRequest,
    NumberedReply,
    NumberedRequest,
)
from federation.scoring.contribution import build_request, new_nonce, read_reply
from federation.scoring.tags import tag_key, tags
from server.desk.partners.line import CONTRIBUTE, OFFER, Dialling, Line
from server.desk.partners.stream import ContributionStream
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model
from tests.server.desk.partner_sides import Conduct, answering

LONG = 20.0


def question(made: HandMade, numbers: list[int]) -> bytes:
    """A request about some borrowers, of the variant with the platform alone."""
    served = made.served
    key = tag_key(
        made.keys[LABEL_PARTY], served.pins["platform"], served.session, LABEL_PARTY, "platform"
    )
    asked = tags(key, [made.borrowers[number] for number in numbers])
    nonce = new_nonce(time.time_ns() // 1_000_000)
    return build_request(served.session, served.main, nonce, asked).SerializeToString()


@contextlib.asynccontextmanager
async def line_to(made: HandMade, address: str) -> AsyncIterator[Line]:
    """A line of the desk's to the platform."""
    key = made.keys[LABEL_PARTY]
    line = Line(Dialling(address, "platform", made.served.pins["platform"], LABEL_PARTY, key))
    try:
        yield line
    finally:
        await line.close()


def test_answers_find_their_questions() -> None:
    """A hundred at once, each borrower's own points."""
    made = served_model(("platform",))

    async def run() -> None:
        async with answering(made, "platform") as address, line_to(made, address) as line:
            replies = await asyncio.gather(
                *(line.call(CONTRIBUTE, question(made, [n]), LONG) for n in range(100))
            )
        expected = made.party_points("platform", made.served.main.name)
        for number, data in enumerate(replies):
            answer = read_reply(ContributionReply.FromString(data), made.served.main, 1)
            assert answer.points.view("i4")[0] == expected[number]

    asyncio.run(run())


def test_a_refused_question_ends_itself_not_the_stream() -> None:
    """With the status and sentence that a unary call would end with."""
    made = served_model(("platform",))
    stale = ContributionRequest.FromString(question(made, [0]))
    stale.nonce = new_nonce(1_000)

    async def run() -> None:
        async with answering(made, "platform") as address, line_to(made, address) as line:
            for wrong, code in (
                (stale.SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT),
                (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
                (
                    ContributionRequest(version=1, session="another").SerializeToString(),
                    grpc.StatusCode.FAILED_PRECONDITION,
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await line.call(CONTRIBUTE, wrong, LONG)
                assert caught.value.code() is code
                assert caught.value.details()
            first = line._stream._open
            await line.call(CONTRIBUTE, question(made, [1]), LONG)
            assert line._stream._open is first

    asyncio.run(run())


def test_what_is_lost_ends_in_time_and_the_stream_goes_on() -> None:
    """A silent answer is the asker's deadline; a late one finds nobody and harms nobody."""
    made = served_model(("platform",))
    conduct = Conduct(lost=1)

    async def run() -> None:
        async with (
            answering(made, "platform", conduct=conduct) as address,
            line_to(made, address) as line,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await line.call(CONTRIBUTE, question(made, [0]), 0.05)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            conduct.delay = 0.2
            with pytest.raises(grpc.aio.AioRpcError):
                await line.call(CONTRIBUTE, question(made, [0]), 0.05)
            conduct.delay = 0.0
            await line.call(CONTRIBUTE, question(made, [0]), LONG)

    asyncio.run(run())


def test_a_stopped_partner_ends_the_stream_at_once_and_another_one_is_opened() -> None:
    """No grace is waited out for a stream that only waits; what comes next is asked anew."""
    made = served_model(("platform",))

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            partner = contextlib.AsyncExitStack()
            address = await partner.enter_async_context(answering(made, "platform"))
            line = await stack.enter_async_context(line_to(made, address))
            await line.call(CONTRIBUTE, question(made, [0]), LONG)
            opened = line._stream._open
            assert opened is not None
            await partner.aclose()
            while not opened.broken:
                await asyncio.sleep(0.01)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await line.call(CONTRIBUTE, question(made, [0]), 1.0)
        assert caught.value.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )

    asyncio.run(run())


class _Call:
    """A stream call whose answers the test makes up."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.asked, self.cancelled = answers, asyncio.Queue[bytes](), False

    async def write(self, data: bytes) -> None:
        self.asked.put_nowait(data)

    async def read(self) -> Any:
        await self.asked.get()
        return self.answers.pop(0)

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    async def details(self) -> str:
        return ""

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"\xff\xff", grpc.StatusCode.INTERNAL),
        (grpc.aio.EOF, grpc.StatusCode.UNAVAILABLE),
        (NumberedReply(number=1).SerializeToString(), None),
        (NumberedReply(number=77, reply=b"x").SerializeToString(), grpc.StatusCode.UNAVAILABLE),
    ],
    ids=["garbage", "its end", "neither answer nor refusal", "another's number, then its end"],
)
def test_a_partner_that_leaves_the_protocol_leaves_nobody_waiting(
    answer: Any, code: grpc.StatusCode | None
) -> None:
    """An empty answer goes to the one who reads it; else the stream is given up."""

    async def run() -> None:
        call = _Call([answer, grpc.aio.EOF])
        stream = ContributionStream(lambda: call)
        asking = asyncio.create_task(stream.ask(b"question", LONG))
        if isinstance(answer, bytes) and answer.startswith(b"\x08\x4d"):
            call.asked.put_nowait(b"")  # the end comes after it
        if code is None:
            assert await asking == b""
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asking
            assert caught.value.code() is code
            assert call.cancelled
        await stream.close()

    asyncio.run(run())


def test_a_strangers_stream_is_refused() -> None:
    """The pin decides, as for a call."""
    made = served_model(("platform",))
    other = served_model(("platform", "bank-2"))

    async def run() -> None:
        stranger = Dialling(
            "", "platform", made.served.pins["platform"], "bank-2", other.keys["bank-2"]
        )
        async with answering(made, "platform") as address:
            line = Line(Dialling(address, stranger.party, stranger.pin, "bank-2", stranger.key))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await line.call(CONTRIBUTE, question(made, [0]), 2.0)
            await line.close()
        assert caught.value.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )

    asyncio.run(run())


def test_offers_stay_calls_of_their_own() -> None:
    """A probe must not wait behind questions."""
    made = served_model(("platform",))

    async def run() -> None:
        async with answering(made, "platform") as address, line_to(made, address) as line:
            assert await line.call(OFFER, b"", LONG)
            assert line._stream._open is None

    asyncio.run(run())


def test_a_message_on_the_stream_that_is_none_ends_it() -> None:
    """INVALID_ARGUMENT; the server answers the next stream."""
    made = served_model(("platform",))

    async def run() -> None:
        async with answering(made, "platform") as address, line_to(made, address) as line:
            call = line._stream._method()
            await call.write(NumberedRequest(number=1).SerializeToString()[:1] + b"\xff")
            code = await call.code()
            await line.call(CONTRIBUTE, question(made, [0]), LONG)
        assert code is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(run())

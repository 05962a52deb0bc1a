"""Partners that die, hang, crawl, lie or refuse: every borrower is scored all the same."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import grpc
import numpy as np
import pytest

from federation.identity import PartyKey
from federation.proto.contribution_pb2 import ContributionReply
from server.desk.answers import Absence, Gathered
from server.desk.partners import BreakerSettings, BreakerState, LinkSettings, Outcome, PartnerLinks
from tests.server.desk.models import HandMade, served_model
from tests.server.desk.partner_sides import (
    LONG,
    Conduct,
    Seen,
    Terms,
    answering,
    black_hole,
    linked,
    partner_process,
)
from tests.server.desk.test_partners import assert_offline

PARTIES = ("lessor", "platform")
# A deadline of the desk, and what a busy machine may add to it.
DEADLINE = 0.2
GENEROUS = 5.0
QUICK = LinkSettings(
    probe_seconds=1.0,
    offer_seconds=0.2,
    eager_offer_seconds=0.2,
    tick_seconds=0.02,
    breaker=BreakerSettings(
        failing_seconds=0.0, first_pause_seconds=0.1, longest_pause_seconds=0.2
    ),
)
STUBBORN = LinkSettings(breaker=BreakerSettings(failing_seconds=0.0, first_pause_seconds=600.0))


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of a bank and two feature parties."""
    return served_model(PARTIES)


async def in_time(links: PartnerLinks, made: HandMade, number: int) -> Gathered:
    """One borrower's points within the deadline, and right."""
    began = time.monotonic()
    gathered = await links.gather([made.borrowers[number]], DEADLINE)
    assert time.monotonic() - began < DEADLINE + GENEROUS
    assert_offline(made, gathered, np.array([number]))
    return gathered


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.02)


def test_a_black_hole_costs_no_more_than_the_first_deadlines(made: HandMade) -> None:
    """All are answered by the other partner; once the circuit is open nobody waits any more."""

    async def run() -> None:
        seen = Seen()
        conduct = Conduct()
        with black_hole() as hole:
            async with (
                answering(made, "platform", conduct=conduct) as platform,
                linked(made, {"lessor": hole, "platform": platform}, STUBBORN, seen, 0.2) as links,
            ):
                for number in range(40):
                    gathered = await in_time(links, made, number)
                    assert gathered.variants[0].parties == ("platform",)
                    expected = Absence.SILENT if number < 5 else Absence.CIRCUIT_OPEN
                    assert gathered.failed == {"lessor": expected}
                assert links.states["lessor"] is BreakerState.OPEN
                assert seen.outcomes("lessor") == [str(Outcome.SILENT)] * 5
                # With the circuit open the platform is asked once, for the variant without it.
                assert conduct.asked - len(seen.hedged) <= 5 * 2 + 35
                assert seen.breaker == [("lessor", "open")]

    asyncio.run(run())


def test_with_every_partner_a_black_hole_the_label_party_is_alone(made: HandMade) -> None:
    """Within the deadline, also where many ask at once and the circuits are still closed."""

    async def run() -> None:
        with black_hole() as one, black_hole() as other:
            addresses = {"lessor": one, "platform": other}
            async with linked(made, addresses, STUBBORN, warm=0.1) as links:
                answers = await asyncio.gather(*(in_time(links, made, n) for n in range(50)))
                for gathered in answers:
                    assert gathered.variants == (made.served.alone,)
                    assert gathered.failed.keys() == set(PARTIES)
                batch = await links.gather(made.borrowers * 30, DEADLINE)
                assert batch.variants == (made.served.alone,)

    asyncio.run(run())


def test_no_time_at_all_leaves_the_label_party_alone(made: HandMade) -> None:
    """And opens no circuit: the caller was in a hurry."""

    async def run() -> None:
        async with (
            answering(made, "lessor") as lessor,
            answering(made, "platform", conduct=Conduct(delay=0.05)) as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            for seconds in (0.0, -1.0, 0.001, *[0.008] * 10):
                gathered = await links.gather(made.borrowers[:1], seconds)
                assert "platform" in gathered.failed
            assert set(links.states.values()) == {BreakerState.CLOSED}

    asyncio.run(run())


def test_a_slow_partner_is_asked_twice_then_done_without(made: HandMade) -> None:
    """The hedge is bounded; one that is slow within the deadline is waited for."""

    async def run() -> None:
        seen, conduct = Seen(), Conduct(delay=0.02)
        async with (
            answering(made, "lessor", conduct=conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, QUICK, seen) as links,
        ):
            for number in range(30):
                gathered = await links.gather([made.borrowers[number]], 4.0)
                assert gathered.failed == {}
                assert_offline(made, gathered, np.array([number]))
            assert len(seen.hedged) <= 5 + 2
            conduct.delay = LONG
            gathered = await in_time(links, made, 0)
            assert gathered.failed == {"lessor": Absence.SILENT}
            assert gathered.variants[0].parties == ("platform",)

    asyncio.run(run())


def test_one_lost_answer_is_made_good_by_the_hedge(made: HandMade) -> None:
    """The partner answers the same request a second time, and nothing is degraded."""

    async def run() -> None:
        seen = Seen()
        conduct = Conduct()
        async with (
            answering(made, "lessor", conduct=conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, seen=seen) as links,
        ):
            for number in range(30):
                await links.gather([made.borrowers[number]], LONG)
            conduct.lost = 1
            gathered = await links.gather([made.borrowers[0]], LONG)
            assert gathered.failed == {}
            assert "lessor" in seen.hedged
            assert_offline(made, gathered, np.array([0]))

    asyncio.run(run())


def test_a_partner_killed_under_load_loses_no_request(made: HandMade) -> None:
    """Real processes, SIGKILL: before it both answer, after it the other one does."""

    async def run() -> None:
        with (
            partner_process("lessor", PARTIES) as (lessor, process),
            partner_process("platform", PARTIES) as (platform, _),
        ):
            addresses = {"lessor": lessor, "platform": platform}
            async with linked(made, addresses, STUBBORN) as links:
                asked = []
                for number in range(300):
                    borrower = number % len(made.borrowers)
                    asked.append(asyncio.create_task(links.gather([made.borrowers[borrower]], 2.0)))
                    if number == 150:
                        os.kill(process.pid, signal.SIGKILL)
                    await asyncio.sleep(0.002)
                answers = await asyncio.gather(*asked)
                for number, gathered in enumerate(answers):
                    assert_offline(made, gathered, np.array([number % len(made.borrowers)]))
                parties = [gathered.variants[0].parties for gathered in answers]
                assert parties[:100] == [PARTIES] * 100
                assert parties[-50:] == [("platform",)] * 50
                # None was left to the label party alone.
                assert set(parties) == {PARTIES, ("platform",)}

    asyncio.run(run())


def test_a_partner_that_comes_back_is_asked_again(made: HandMade) -> None:
    """By a probe in the background; until then nobody waits for it."""

    async def run() -> None:
        seen = Seen()
        async with answering(made, "platform") as platform, contextlib.AsyncExitStack() as stack:
            lessor = await stack.enter_async_context(answering(made, "lessor"))
            addresses = {"lessor": lessor, "platform": platform}
            async with linked(made, addresses, QUICK, seen) as links:
                assert (await in_time(links, made, 0)).failed == {}
                await stack.aclose()
                for number in range(10):
                    gathered = await in_time(links, made, number)
                    assert gathered.variants[0].parties == ("platform",)
                await until(lambda: ("lessor", "half-open") in seen.breaker)
                asked = len(seen.outcomes("lessor"))
                async with answering(made, "lessor", listen=lessor):
                    await until(lambda: links.states["lessor"] is BreakerState.CLOSED)
                    assert len(seen.outcomes("lessor")) == asked
                    gathered = await in_time(links, made, 1)
                    assert gathered.failed == {}
                    assert gathered.variants == (made.served.main,)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def lossy_wire(target: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """A way to a partner on which what is connected can be made to vanish; and how."""
    host, port = target.rsplit(":", 1)
    lost: set[int] = set()
    opened: list[asyncio.StreamWriter] = []

    async def pump(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if number not in lost:
                    writer.write(data)
                    await writer.drain()
        if number not in lost:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(opened)
        there, back = await asyncio.open_connection(host, int(port))
        opened.extend((writer, back))
        await asyncio.gather(pump(number, reader, back), pump(number, there, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        listening = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{listening}", lambda: lost.update(range(len(opened)))
    finally:
        server.close()
        for writer in opened:
            writer.close()


def test_connections_whose_packets_vanish_are_replaced(made: HandMade) -> None:
    """Nothing closes them; the answers stay away, then a probe dials anew."""

    async def run() -> None:
        async with (
            answering(made, "lessor") as lessor,
            answering(made, "platform") as platform,
            lossy_wire(lessor) as (wire, lose),
            linked(made, {"lessor": wire, "platform": platform}, QUICK) as links,
        ):
            assert (await in_time(links, made, 0)).failed == {}
            lose()
            failed = 0
            while links.states["lessor"] is BreakerState.CLOSED:
                gathered = await in_time(links, made, failed)
                assert gathered.variants[0].parties == ("platform",)
                failed += 1
            assert failed == 5
            await until(lambda: links.states["lessor"] is BreakerState.CLOSED)
            assert (await in_time(links, made, 0)).failed == {}

    asyncio.run(run())


def test_certificates_are_renewed_without_losing_a_request(made: HandMade) -> None:
    """Connections are replaced again and again under load."""
    renewing = LinkSettings(renew_seconds=0.1, tick_seconds=0.02)

    async def run() -> None:
        async with (
            answering(made, "lessor") as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, renewing) as links,
        ):
            asked = []
            for number in range(100):
                asked.append(asyncio.create_task(links.gather([made.borrowers[number]], LONG)))
                await asyncio.sleep(0.005)
            for number, answer in enumerate(asked):
                gathered = await answer
                assert gathered.failed == {}
                assert_offline(made, gathered, np.array([number]))

    asyncio.run(run())


def test_whoever_shows_another_key_is_not_the_partner(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS refuses it, before anything is asked."""

    async def run() -> None:
        conduct = Conduct()
        impostor = PartyKey(PartyKey.new_seed())
        async with (
            answering(made, "lessor", conduct=conduct, key=impostor) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, STUBBORN, warm=0.5) as links,
        ):
            for number in range(8):
                gathered = await in_time(links, made, number)
                assert gathered.variants[0].parties == ("platform",)
            assert conduct.asked == 0

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "partner lessor: unreachable" in caplog.text


def beyond(reply: bytes) -> bytes:
    """One word of a reply, changed by more than any part can say."""
    parsed = ContributionReply.FromString(reply)
    words = np.frombuffer(parsed.points, dtype="<u4").copy()
    words[0] += np.uint32(1 << 30)
    parsed.points = words.tobytes()
    return parsed.SerializeToString()


@pytest.mark.parametrize(
    "twist",
    [
        lambda reply: b"\xff" * 40,
        lambda reply: b"",
        lambda reply: reply[: len(reply) // 2],
        lambda reply: reply + ContributionReply(points=b"12345678").SerializeToString(),
        lambda reply: reply + ContributionReply(known=b"\xff").SerializeToString(),
        lambda reply: reply + ContributionReply(known=b"\0").SerializeToString(),
        lambda reply: bytes(3_000_000),
    ],
)
def test_garbage_is_no_answer(made: HandMade, twist: Callable[[bytes], bytes]) -> None:
    """The party counts as failed, the other answers, and the process goes on."""

    async def run() -> None:
        seen = Seen()
        async with (
            answering(made, "lessor", conduct=Conduct(twist=twist)) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, STUBBORN, seen) as links,
        ):
            for number in range(8):
                gathered = await links.gather([made.borrowers[number]], LONG)
                assert gathered.variants[0].parties == ("platform",)
                assert "lessor" in gathered.failed
                assert_offline(made, gathered, np.array([number]))
            assert links.states["lessor"] is BreakerState.OPEN
            assert not seen.of("lessor", Outcome.ANSWERED)

    asyncio.run(run())


def test_answers_that_do_not_add_up_leave_the_variant_aside(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell who it was; each alone, one of them is believed as far as points go."""

    async def run() -> None:
        stranger = PartyKey(PartyKey.new_seed())
        conduct = Conduct()
        async with (
            answering(made, "lessor", Terms(pins={"platform": stranger}), conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            for number in range(6):
                gathered = await links.gather([made.borrowers[number]], LONG)
                assert len(gathered.variants[0].parties) == 1
                assert len(gathered.failed) == 1
                assert_offline(made, gathered, np.array([number]))

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert caplog.text.count("do not add up") == 1


def test_an_unmasked_answer_out_of_range_counts_as_a_failure() -> None:
    """Where there is nothing to hide it behind."""
    made = served_model(("platform",))

    async def run() -> None:
        async with (
            answering(made, "platform", conduct=Conduct(twist=beyond)) as side,
            linked(made, {"platform": side}) as links,
        ):
            gathered = await links.gather(made.borrowers[:2], LONG)
            assert gathered.variants == (made.served.alone,)
            assert gathered.failed == {"platform": Absence.SILENT}

    asyncio.run(run())


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED]
)
def test_a_partner_that_refuses_is_done_without(
    made: HandMade, status: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told as such, and after a few refusals it is left in peace."""

    async def run() -> None:
        seen = Seen()
        conduct = Conduct(refuse=status)
        async with (
            answering(made, "lessor", conduct=conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, STUBBORN, seen) as links,
        ):
            reasons = []
            for number in range(8):
                gathered = await links.gather([made.borrowers[number]], LONG)
                assert gathered.variants[0].parties == ("platform",)
                reasons.append(gathered.failed["lessor"])
            assert reasons == [Absence.REFUSED] * 5 + [Absence.CIRCUIT_OPEN] * 3
            assert conduct.asked == 5

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert caplog.text.count("a refusal of the test") == 1


def test_a_variant_that_is_not_served_any_more_is_asked_for_when_it_is_offered_again(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """FAILED_PRECONDITION opens no circuit: only that variant is not asked for."""
    slowly = LinkSettings(offer_seconds=600, eager_offer_seconds=1.0, tick_seconds=0.02)

    async def run() -> None:
        seen = Seen()
        conduct = Conduct()
        async with (
            answering(made, "lessor", conduct=conduct) as lessor,
            answering(made, "platform") as platform,
            linked(made, {"lessor": lessor, "platform": platform}, slowly, seen) as links,
        ):
            await until(lambda: links.served()["exact"])
            conduct.refuse = grpc.StatusCode.FAILED_PRECONDITION
            gathered = await links.gather(made.borrowers[:1], LONG)
            assert gathered.failed.keys() & {"lessor"}
            assert gathered.failed["lessor"] is Absence.REFUSED
            assert not links.served()["exact"]
            conduct.refuse = None
            await until(lambda: links.served()["exact"])
            gathered = await links.gather(made.borrowers[:1], LONG)
            assert gathered.failed == {}
            assert links.states["lessor"] is BreakerState.CLOSED
            assert seen.of("lessor", Outcome.NOT_SERVED) >= 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    told = [r for r in caplog.records if "variant exact of session" in r.getMessage()]
    assert len(told) == 1


def test_a_partner_that_does_not_answer_alone_is_not_made_to(made: HandMade) -> None:
    """Its policy; a borrower unknown to the other is then scored by the label party alone."""

    async def run() -> None:
        conduct = Conduct()
        async with (
            answering(made, "lessor", Terms(unknown=[2])) as lessor,
            answering(made, "platform", Terms(alone=False), conduct) as platform,
            linked(made, {"lessor": lessor, "platform": platform}) as links,
        ):
            gathered = await links.gather(made.borrowers[:5], LONG)
            used = [gathered.variants[number].parties for number in gathered.variant]
            assert used == [PARTIES, PARTIES, (), PARTIES, PARTIES]
            assert gathered.failed == {"platform": Absence.REFUSED}
            assert conduct.asked == 1

    asyncio.run(run())

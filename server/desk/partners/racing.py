"""One question to one partner, as one call or two identical ones: the first answer counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from server.desk.partners.line import Line
from server.desk.partners.outcomes import Outcome, PartnerFailed, failure_of

Send = Callable[[Line], Awaitable[bytes]]


async def first_answer(
    party: str,
    lines: Sequence[Line],
    send: Send,
    until: float,
    hedge_at: float | None,
    may_hedge: Callable[[], bool],
) -> bytes:
    """The first answer to a question.

    Args:
        party: that is asked, for errors.
        lines: to use, the best first; the second is for the hedge, or for when the first breaks.
        send: makes the call on a line.
        until: when the answer is of no use any more, of the monotonic clock.
        hedge_at: when to send a second time, if there is no answer yet; None: never.
        may_hedge: asked then.

    Raises:
        PartnerFailed: there is none, or the last call ended without one.
    """
    spare = list(lines)
    waiting: set[asyncio.Future[bytes]] = {asyncio.ensure_future(send(spare.pop(0)))}
    try:
        while True:
            may_come = hedge_at is not None and bool(spare)
            wake = min(hedge_at, until) if may_come and hedge_at is not None else until
            done, waiting = await _some_done(waiting, wake)
            failure = None
            for call in done:
                error = None if call.cancelled() else call.exception()
                if error is None and not call.cancelled():
                    return call.result()
                failure = failure_of(party, error)
            now = time.monotonic()
            if failure is not None and not waiting:
                broken = failure.outcome is Outcome.UNREACHABLE
                if not broken or not spare or now >= until:
                    raise failure
                waiting.add(asyncio.ensure_future(send(spare.pop(0))))
            elif now >= until:
                raise PartnerFailed(party, Outcome.SILENT)
            elif not done and may_come and hedge_at is not None and now >= hedge_at:
                hedge_at = None
                if may_hedge():
                    waiting.add(asyncio.ensure_future(send(spare.pop(0))))
    finally:
        for call in waiting:
            call.cancel()
            call.add_done_callback(_let_go)


async def _some_done(
    calls: set[asyncio.Future[bytes]], wake: float
) -> tuple[set[asyncio.Future[bytes]], set[asyncio.Future[bytes]]]:
    """Calls that have ended by a time, and the others."""
    seconds = max(wake - time.monotonic(), 0)
    done, waiting = await asyncio.wait(calls, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        # An answer may have come while this process was busy elsewhere: let it be read.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = {call for call in calls if call.done()}
        waiting = calls - done
    return done, waiting


def _let_go(call: asyncio.Future[bytes]) -> None:
    """Nobody waits for this call any more, however it ends."""
    if not call.cancelled():
        call.exception()

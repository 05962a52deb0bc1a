"""One partner: hedged calls over two connections, and a breaker over both.

A keeper in the background connects what is not connected, renews certificates long before they
expire, probes an open breaker and reads the partner's offer, so that no borrower's score waits for
any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import grpc

from federation.errors import ProtocolError
from federation.identity.answering import RENEW_AFTER
from server.desk.partners.breaker import Breaker, BreakerSettings, BreakerState
from server.desk.partners.hedging import HedgeBudget, Latencies, hedge_delay
from server.desk.partners.line import OFFER, Dialling
from server.desk.partners.line_pair import LinePair
from server.desk.partners.offers import PartnerOffer, read_offer
from server.desk.partners.outcomes import Outcome, PartnerFailed, PartnerHooks
from server.desk.partners.racing import first_answer

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PROBES = 3
# A wait that ends so much later than it should: it was this process that stood still.
STANDSTILL_SECONDS = 0.01
_LAST_MOMENT = 0.005


@dataclass(frozen=True)
class LinkSettings:
    """How a partner is dealt with.

    Attributes:
        most_seconds: that any answer is waited for.
        fair_seconds: a partner that is silent for less has not failed: the caller was in a hurry.
        probe_seconds: for a probe to connect, and the most for its answer.
        offer_seconds: between two readings of its offer.
        eager_offer_seconds: the same while it could not be read, or lacked what was asked for.
        renew_seconds: after which certificate and connections are made anew.
        tick_seconds: between two rounds of the keeper.
        breaker: when it is not asked any more.
    """

    most_seconds: float = 60.0
    fair_seconds: float = 0.01
    probe_seconds: float = 2.0
    offer_seconds: float = 30.0
    eager_offer_seconds: float = 5.0
    renew_seconds: float = RENEW_AFTER.total_seconds()
    tick_seconds: float = 0.1
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


class Link:
    """The desk's link to one partner, for all models that it has a part of.

    Args:
        dialling: where it is and whose keys count.
        hooks: who is told of its answers.
        settings: how it is dealt with.

    Attributes:
        breaker: whether it is asked at present.
        latencies: of its answers to small requests.
        offer: as it last made it; None before.
        on_offer: who is told of each offer.
    """

    def __init__(
        self,
        dialling: Dialling,
        hooks: PartnerHooks | None = None,
        settings: LinkSettings | None = None,
    ) -> None:
        """Begin to connect; on the event loop that asks."""
        self.party = dialling.party
        self.settings = settings or LinkSettings()
        self.breaker = Breaker(self.settings.breaker)
        self.latencies = Latencies()
        self.offer: PartnerOffer | None = None
        self.on_offer: set[Callable[[PartnerOffer], None]] = set()
        self._hooks = hooks or PartnerHooks()
        self._budget = HedgeBudget()
        self._refused: set[tuple[str, str]] = set()
        self._offer_at = 0.0
        self._patience = self.settings.fair_seconds
        self._told_sentence = ""
        self._told_state = self.breaker.state
        self._lines = LinePair(dialling)
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper of the link to {self.party}")

    async def close(self) -> None:
        """Close the connections; what is under way fails."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._lines.close()

    async def warm(self, seconds: float) -> bool:
        """Connect and read the offer; whether that was done within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lines.connected(seconds)
                return await self.read_offer(seconds)
        return False

    def serves(self, session: str, variant: str) -> bool:
        """Whether it serves a variant, as far as is known."""
        key = (session, variant)
        return key not in self._refused and (self.offer is None or key in self.offer.digests)

    def mark_refused(self, session: str, variant: str, why: PartnerFailed) -> None:
        """Do not ask for a variant again before the partner's next offer has it."""
        if (session, variant) not in self._refused:
            self._refused.add((session, variant))
            soon = time.monotonic() + self.settings.eager_offer_seconds
            self._offer_at = min(self._offer_at, soon)
            _log.warning(
                "%s; variant %s of session %s is not asked of it until it offers it again",
                why,
                variant,
                session,
            )

    async def ask(
        self,
        method: str,
        request: bytes,
        until: float,
        read: Callable[[bytes], _T],
        small: bool = True,
    ) -> _T:
        """Ask, hedged where it is worth it, and read the answer.

        Args:
            method: of `line`.
            request: the message, serialised; a hedge sends the very same.
            until: when the answer is of no use any more, of the monotonic clock.
            read: parses and checks the answer; raises ProtocolError.
            small: whether it may be hedged; batches go out twice only where a connection breaks.

        Raises:
            PartnerFailed: there is no answer that counts; at once while the breaker is open.
        """
        permit = self.breaker.permit()
        if permit is None:
            raise PartnerFailed(self.party, Outcome.CIRCUIT_OPEN)
        began = time.monotonic()
        until = min(until, began + self.settings.most_seconds)
        if small:
            self._patience = max(self._patience, min(until - began, self.settings.probe_seconds))
        failure = None
        try:
            return read(await self._raced(method, request, began, until, small))
        except ProtocolError as error:
            failure = PartnerFailed(self.party, Outcome.MALFORMED, str(error))
            raise failure from error
        except PartnerFailed as error:
            failure = error
            raise
        except asyncio.CancelledError:
            permit = None  # nobody waits any more: says nothing about the partner
            raise
        finally:
            if permit is not None:
                self._record(permit, failure, time.monotonic() - began, until - began, small)

    async def read_offer(self, seconds: float) -> bool:
        """Read its offer; whether it gave one within so many seconds."""
        line = self._lines.in_order(small=True)[0]
        try:
            offer = read_offer(await line.call(OFFER, b"", seconds))
        except ProtocolError as error:
            self._tell(f"partner {self.party}: {error}")
            return False
        except grpc.aio.AioRpcError:
            return False
        self.offer = offer
        self._refused.clear()
        for told in tuple(self.on_offer):
            told(offer)
        return True

    async def _raced(
        self, method: str, request: bytes, began: float, until: float, small: bool
    ) -> bytes:
        self._budget.earn()
        delay = hedge_delay(self.latencies.p95, until - began) if small else None

        def may_hedge() -> bool:
            if not self._budget.spend():
                return False
            self._hooks.on_hedged(self.party)
            return True

        return await first_answer(
            self.party,
            self._lines.in_order(small),
            # A little longer than is waited: an answer at the last moment is still read.
            lambda line: line.call(method, request, until - time.monotonic() + _LAST_MOMENT),
            until,
            None if delay is None else began + delay,
            may_hedge,
        )

    def _record(
        self, permit: int, failure: PartnerFailed | None, took: float, had: float, small: bool
    ) -> None:
        outcome = Outcome.ANSWERED if failure is None else failure.outcome
        if small and outcome in (Outcome.ANSWERED, Outcome.SILENT):
            self.latencies.add(took)
        at_fault = had >= self.settings.fair_seconds and took < had + STANDSTILL_SECONDS
        hurried = outcome is Outcome.SILENT and not at_fault
        if not hurried and outcome is not Outcome.NOT_SERVED:
            self.breaker.record(permit, failure is None, time.monotonic())
        if failure is None:
            self._told_sentence = ""
        elif not hurried and outcome is not Outcome.NOT_SERVED:
            self._tell(str(failure))
        self._tell_state()
        self._hooks.on_asked(self.party, str(outcome), took)

    def _tell(self, sentence: str) -> None:
        """Log what went wrong, once until it goes right or goes wrong in another way."""
        if sentence != self._told_sentence:
            self._told_sentence = sentence
            _log.warning("%s", sentence)

    def _tell_state(self) -> None:
        state = self.breaker.state
        if state is self._told_state:
            return
        before, self._told_state = self._told_state, state
        if BreakerState.CLOSED in (before, state):
            _log.warning("partner %s: circuit %s", self.party, state)
        self._hooks.on_breaker(self.party, state)

    async def _keep(self) -> None:
        """The keeper's rounds, for as long as the link is open."""
        while True:
            try:
                await self._look_after()
            except Exception:  # the keeper must outlive whatever a library raises at it
                _log.exception("partner %s: the keeper of its link stumbled", self.party)
            await asyncio.sleep(self.settings.tick_seconds)

    async def _look_after(self) -> None:
        settings = self.settings
        if self._lines.age >= settings.renew_seconds:
            await self._lines.renew(settings.probe_seconds)
        self._lines.nudge()
        if self.breaker.begin_probe(time.monotonic()):
            self._tell_state()
            succeeded = False
            try:
                succeeded = await self._probe()
            finally:
                self.breaker.end_probe(succeeded, time.monotonic())
                self._tell_state()
            if succeeded:  # until then nobody asks, and the last ones' patience is the measure
                self._patience = settings.fair_seconds
        if self.breaker.state is BreakerState.CLOSED and time.monotonic() >= self._offer_at:
            read = await self.read_offer(settings.probe_seconds)
            pause = settings.offer_seconds if read else settings.eager_offer_seconds
            self._offer_at = time.monotonic() + pause

    async def _probe(self) -> bool:
        """Whether the partner answers as fast as it is waited for; its first answer warms up.

        Over fresh connections: those at hand may lead to a machine that is gone.
        """
        seconds = self.settings.probe_seconds
        if not await self._lines.renew(seconds) or not await self.read_offer(seconds):
            return False
        for _ in range(PROBES):  # one may meet a bad moment, of this side or that
            if await self.read_offer(self._patience):
                return True
        return False

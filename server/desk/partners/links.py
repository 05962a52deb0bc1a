"""The desk's links to the feature parties of one served model."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial

from federation.scoring import ServedModel, ServedVariant
from federation.scoring.contribution import new_nonce
from federation.scoring.tags import tag_key, tags
from server.desk.answers import Gathered, GivenReason
from server.desk.partners.breaker import BreakerState
from server.desk.partners.cache import ContributionCache
from server.desk.partners.gathering import Gathering
from server.desk.partners.hedging import working_seconds
from server.desk.partners.line import REASONS
from server.desk.partners.link import Link
from server.desk.partners.offers import PartnerOffer
from server.desk.partners.outcomes import PartnerFailed
from server.desk.partners.pool import LinkPool
from server.desk.partners.reasons import read_reasons, reasons_request

_log = logging.getLogger(__name__)

WARMING_SECONDS = 2.0
CLOSING_SECONDS = 5.0
_CLOSING_STEP = 0.01


class PartnerLinks:
    """Implements `server.desk.answers.Contributors` over mutual TLS.

    Args:
        model: that is served; its pins say whose answers count.
        pool: where links come from; it outlives this object.
    """

    def __init__(self, model: ServedModel, pool: LinkPool) -> None:
        """Derive the session's tag keys; nothing is connected before `start`."""
        self._model = model
        self._pool = pool
        self._tag_keys = {
            party: tag_key(pool.key, pin, model.session, model.label_party, party)
            for party, pin in model.pins.items()
        }
        self._links: dict[str, Link] = {}
        self._listeners: dict[str, partial[None]] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self._lacking: dict[str, frozenset[str]] = {}
        self._cache = ContributionCache()
        self._gathering = Gathering(model, self._links, self._tag_keys, self._cache, pool.hooks)
        self._connected = self._closed = False
        self._under_way = 0

    async def start(self, seconds: float = WARMING_SECONDS) -> None:
        """Connect and read the offers, for at most so many seconds.

        Partners that can't be reached by then are connected when they can.
        """
        self._connect()
        await asyncio.gather(*(link.warm(seconds) for link in self._links.values()))

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """The feature parties' points for borrowers (normalised ids), within so many seconds."""
        self._connect()
        self._under_way += 1
        try:
            return await self._gathering.gather(borrowers, seconds)
        finally:
            self._under_way -= 1

    async def reasons(
        self, borrower: str, variant: ServedVariant, most: int, seconds: float
    ) -> Mapping[str, list[GivenReason] | None]:
        """Per feature party of the variant its reasons, heaviest first; None: it gives none."""
        self._connect()
        until = time.monotonic() + working_seconds(seconds)

        async def one(party: str) -> list[GivenReason] | None:
            link = self._links.get(party)
            if link is None or (link.offer is not None and not link.offer.reasons):
                return None
            tag = tags(self._tag_keys[party], [borrower])
            nonce = new_nonce(time.time_ns() // 1_000_000)
            request = reasons_request(self._model.session, variant.name, nonce, tag, most)
            read = partial(read_reasons, party=party, most=most)
            try:
                return await link.ask(REASONS, request, until, read)
            except PartnerFailed:
                return None

        given = await asyncio.gather(*(one(party) for party in variant.parties))
        return dict(zip(variant.parties, given, strict=True))

    def offers(self) -> Mapping[str, PartnerOffer | None]:
        """Each feature party's latest offer; None: it could not be read yet."""
        return {
            party: self._links[party].offer if party in self._links else None
            for party in self._model.main.parties
        }

    def served(self) -> Mapping[str, bool]:
        """By variant: whether all its feature parties offer it and are asked at present."""
        return {
            variant.name: all(self._serves(party, variant) for party in variant.parties)
            for variant in self._model.variants
        }

    @property
    def states(self) -> Mapping[str, BreakerState]:
        """Each feature party's breaker; a party without an address counts as open."""
        return {
            party: self._links[party].breaker.state if party in self._links else BreakerState.OPEN
            for party in self._model.main.parties
        }

    async def close(self) -> None:
        """Let go of the links, once what is under way has ended; it is given some seconds.

        The pool closes those that no other model uses.
        """
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + CLOSING_SECONDS
        while self._under_way and time.monotonic() < until:
            await asyncio.sleep(_CLOSING_STEP)
        for party, link in self._links.items():
            link.on_offer.discard(self._listeners[party])
            await self._pool.give_back(link)

    def _serves(self, party: str, variant: ServedVariant) -> bool:
        link = self._links.get(party)
        if link is None or link.breaker.state is not BreakerState.CLOSED:
            return False
        return link.serves(self._model.session, variant.name)

    def _connect(self) -> None:
        if self._connected or self._closed:
            return
        self._connected = True
        for party in self._model.main.parties:
            link = self._pool.take(party, self._model.pins[party], self._model.label_party)
            if link is None:
                _log.warning(
                    "partner %s has no address, so that every score is made without it; add "
                    "[partners.%s] to the desk's settings",
                    party,
                    party,
                )
                continue
            self._links[party] = link
            self._listeners[party] = listener = partial(self._offer_came, party)
            link.on_offer.add(listener)
            if link.offer is not None:
                listener(link.offer)

    def _offer_came(self, party: str, offer: PartnerOffer) -> None:
        missing = set()
        for variant in self._model.variants:
            if party not in variant.parties:
                continue
            digest = offer.digests.get((self._model.session, variant.name))
            if digest is None:
                missing.add(variant.name)
                continue
            before = self._digests.get((party, variant.name))
            if before not in (None, digest):
                self._cache.forget(variant.name)
                _log.warning(
                    "partner %s now answers for variant %s with another part than before; scores "
                    "may differ from those of the trained model",
                    party,
                    variant.name,
                )
            self._digests[party, variant.name] = digest
        lacking = frozenset(missing)
        if lacking and self._lacking.get(party) != lacking:
            _log.warning(
                "partner %s does not offer: %s (session %s); these are not asked of it until it "
                "does",
                party,
                ", ".join(sorted(lacking)),
                self._model.session,
            )
        self._lacking[party] = lacking

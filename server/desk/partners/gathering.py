"""Gathers the feature parties' points of borrowers, within a time, whoever fails.

All parties of the model are asked at once. Where one fails, the others are asked again for the best
variant without it, in the time that is left; where none is left, the label party scores alone.
Borrowers that a party does not know are asked for again at the others, together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from federation.errors import ProtocolError
from federation.proto.contribution_pb2 import ContributionReply
from federation.scoring import ServedModel, ServedVariant
from federation.scoring.contribution import (
    Answer,
    build_request,
    combine,
    new_nonce,
    read_reply,
)
from server.desk.answers import Absence, Gathered
from server.desk.partners.breaker import BreakerState
from server.desk.partners.cache import ContributionCache
from server.desk.partners.choosing import Chooser
from server.desk.partners.hedging import attempt_seconds, working_seconds
from server.desk.partners.line import CONTRIBUTE
from server.desk.partners.link import Link
from server.desk.partners.outcomes import Outcome, PartnerFailed, PartnerHooks
from server.desk.partners.question import Question
from server.desk.partners.tally import Places, Tally, joined

_log = logging.getLogger(__name__)

# At most as many as the protocol allows; fewer, so that one request is made while another is
# answered.
BORROWERS_A_REQUEST = 4096
REQUESTS_AT_ONCE = 4
# Larger requests are not hedged, and go over a connection of their own.
MOST_SMALL = 64
# An attempt with less time than this is not worth a partner's while.
LEAST_SECONDS = 0.002


class Gathering:
    """Asks the feature parties of one model.

    Args:
        model: that is served.
        links: to its feature parties; one without a link counts as silent.
        tag_keys: of the model's session, by feature party.
        cache: of unmasked contributions.
        hooks: who is told what came from the cache.
    """

    def __init__(
        self,
        model: ServedModel,
        links: Mapping[str, Link],
        tag_keys: Mapping[str, bytes],
        cache: ContributionCache,
        hooks: PartnerHooks,
    ) -> None:
        """Nothing is asked yet."""
        self._model = model
        self._links = links
        self._tag_keys = tag_keys
        self._cache = cache
        self._hooks = hooks
        self._chooser = Chooser(model, links)

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """As `Contributors.gather`."""
        end = time.monotonic() + working_seconds(seconds)
        if len(borrowers) <= BORROWERS_A_REQUEST:
            return (await self._part(borrowers, end)).gathered()
        at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def one(start: int) -> Tally:
            async with at_once:
                return await self._part(borrowers[start : start + BORROWERS_A_REQUEST], end)

        async with asyncio.TaskGroup() as group:
            starts = range(0, len(borrowers), BORROWERS_A_REQUEST)
            parts = [group.create_task(one(start)) for start in starts]
        return joined(self._model, [part.result() for part in parts]).gathered()

    async def _part(self, borrowers: Sequence[str], end: float) -> Tally:
        tally = Tally(self._model, len(borrowers))
        answering = set()
        for party in self._model.main.parties:
            link = self._links.get(party)
            if link is None:
                continue
            if link.breaker.state is not BreakerState.CLOSED:
                tally.failed[party] = Absence.CIRCUIT_OPEN
                continue
            answering.add(party)
        if borrowers:
            question = Question(tally, borrowers, self._tag_keys, end)
            await self._settle(question, np.arange(len(borrowers)), frozenset(answering))
        for party in answering:
            if not self._chooser.serves_all(party):
                tally.failed.setdefault(party, Absence.REFUSED)
        return tally

    async def _settle(self, question: Question, places: Places, answering: frozenset[str]) -> None:
        """Find points of some borrowers, by whichever variants can be answered in time."""
        tally = question.tally
        while True:
            variant = self._chooser.best(answering)
            left = question.end - time.monotonic()
            if not variant.parties or left < LEAST_SECONDS:
                break
            others = self._chooser.others_can_answer(variant, answering)
            known_p95 = [self._links[party].latencies.p95 for party in answering]
            until = time.monotonic() + attempt_seconds(left, others, known_p95)
            points, failed = await self._ask(question, places, variant, until)
            answering -= failed
            if points is not None:
                known = tally.known_to_all(variant.parties, places)
                tally.assign(places[known], variant, points[known])
                places = places[~known]
                if not places.size:
                    return
            groups = tally.groups(places, answering)
            if len(groups) > 1:
                async with asyncio.TaskGroup() as group:
                    for parties, members in groups.items():
                        group.create_task(self._settle(question, members, parties))
                return
            ((answering, places),) = groups.items()
        await self._from_cache(question, places)

    async def _ask(
        self, question: Question, places: Places, variant: ServedVariant, until: float
    ) -> tuple[npt.NDArray[np.int64] | None, frozenset[str]]:
        """Ask all parties of a variant at once.

        Returns:
            The points of all together, or None; and the parties that failed.
        """
        if len(variant.parties) == 1:
            return await self._ask_one(question, places, variant, until)
        nonce = new_nonce(time.time_ns() // 1_000_000)
        await question.make_tags(variant.parties)
        asking = {
            party: asyncio.create_task(
                self._contribution(question, places, variant, party, nonce, until)
            )
            for party in variant.parties
        }
        try:
            # Once one has failed, the others' answers to this question are of no use.
            await asyncio.wait(asking.values(), return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in asking.values():
                task.cancel()
        answers, failed = [], set()
        for party, task in asking.items():
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is None:
                answers.append(task.result())
            elif not isinstance(error, PartnerFailed):
                raise error
            elif self._note(question.tally, variant, error):
                failed.add(party)
        if len(answers) < len(asking):
            return None, frozenset(failed)
        try:
            return combine(answers), frozenset()
        except ProtocolError as error:
            if self._chooser.leave_aside(variant):
                _log.warning("variant %s: %s; it is left aside for a minute", variant.name, error)
            return None, frozenset()

    async def _ask_one(
        self, question: Question, places: Places, variant: ServedVariant, until: float
    ) -> tuple[npt.NDArray[np.int64] | None, frozenset[str]]:
        """As `_ask`, of the only party of a variant: what is kept of it is not asked for again."""
        party = variant.parties[0]
        await question.make_tags(variant.parties)
        points, missed = self._kept(question, places, variant)
        if missed.any():
            wanted = places[missed]
            nonce = new_nonce(time.time_ns() // 1_000_000)
            try:
                answer = await self._contribution(question, wanted, variant, party, nonce, until)
            except PartnerFailed as failure:
                # What is kept still counts: it is looked up again before the label party is alone.
                counts = self._note(question.tally, variant, failure)
                return None, frozenset({party} if counts else ())
            points[missed] = combine([answer])
            self._keep(question, wanted, variant, answer)
        return points, frozenset()

    async def _contribution(
        self,
        question: Question,
        places: Places,
        variant: ServedVariant,
        party: str,
        nonce: bytes,
        until: float,
    ) -> Answer:
        def read(reply: bytes) -> Answer:
            try:
                return read_reply(ContributionReply.FromString(reply), variant, len(places))
            except DecodeError as error:
                raise ProtocolError("its answer can't be read") from error

        asked = question.tags(party, places)
        request = build_request(self._model.session, variant, nonce, asked).SerializeToString()
        small = len(places) <= MOST_SMALL
        answer = await self._links[party].ask(CONTRIBUTE, request, until, read, small)
        question.tally.mark_unknown(party, places, ~answer.known)
        return answer

    def _note(self, tally: Tally, variant: ServedVariant, failure: PartnerFailed) -> bool:
        """Note a failure; whether the party can't be asked for other variants either."""
        tally.failed.setdefault(failure.party, failure.outcome.absence)
        if failure.outcome is Outcome.NOT_SERVED:
            link = self._links[failure.party]
            link.mark_refused(self._model.session, variant.name, failure)
            return False
        return True

    def _kept(
        self, question: Question, places: Places, variant: ServedVariant
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Points out of the cache, and which borrowers it has none of."""
        points = np.zeros(len(places), dtype=np.int64)
        missed = np.ones(len(places), dtype=np.bool_)
        if not len(self._cache):
            return points, missed
        party, now, oldest = variant.parties[0], time.monotonic(), 0.0
        for number, place in enumerate(places):
            kept = self._cache.find(variant.name, question.tag(party, int(place)), now)
            if kept is not None:
                points[number], missed[number] = kept.points, False
                oldest = max(oldest, now - kept.since)
                if not kept.known:
                    one = places[number : number + 1]
                    question.tally.mark_unknown(party, one, np.ones(1, dtype=np.bool_))
        found = len(places) - int(missed.sum())
        if found:
            self._hooks.on_cached(party, found, oldest)
        return points, missed

    def _keep(
        self, question: Question, places: Places, variant: ServedVariant, answer: Answer
    ) -> None:
        if answer.cache_seconds <= 0:
            return
        now = time.monotonic()
        points = answer.points.view(np.int32)
        for place, each, known in zip(places, points.tolist(), answer.known.tolist(), strict=True):
            tag = question.tag(variant.parties[0], int(place))
            self._cache.keep(variant.name, tag, each, known, answer.cache_seconds, now)

    async def _from_cache(self, question: Question, places: Places) -> None:
        """Score borrowers with what is kept of a party that can't be asked now."""
        if not len(self._cache):
            return
        for variant in self._model.variants:
            if len(variant.parties) != 1 or not places.size:
                continue
            await question.make_tags(variant.parties)
            known = places[question.tally.known_to_all(variant.parties, places)]
            points, missed = self._kept(question, known, variant)
            found = ~missed & question.tally.known_to_all(variant.parties, known)
            question.tally.assign(known[found], variant, points[found])
            places = np.setdiff1d(places, known[found])
